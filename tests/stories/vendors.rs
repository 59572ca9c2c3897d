//! Boxes that run their vendor's own firmware, and boxes that nobody described: what is protected on them.

use crate::fakebox::{FakeBox, Mtd, mtd};
use crate::shapes::{K, M, NEW, OLD, TS219};
use crate::simbox::is_root;

const DS213J: [Mtd; 6] = [
    mtd(0, "RedBoot", 768 * K, 0),
    mtd(1, "zImage", 2880 * K, 768 * K),
    mtd(2, "rd.gz", 4352 * K, 0x39_0000),
    mtd(3, "vendor", 64 * K, 0x7d_0000),
    mtd(4, "RedBoot Config", 64 * K, 0x7e_0000),
    mtd(5, "FIS directory", 64 * K, 0x7f_0000),
];

/// Asserts what a plan for each partition is refused by.
#[track_caller]
fn protects(fake: &FakeBox, wanted: &[(&str, &str)]) {
    for (part, check) in wanted {
        let plan = fake.plan(part, &[]);
        let refused = plan.refused();
        match check.is_empty() {
            true => assert!(refused.is_empty(), "{part}: {}", plan.json),
            false => assert!(refused.contains(check), "{part}: {}", plan.json),
        }
    }
}

/// Their kernels name the processor's family only, and show no offsets.
#[test]
fn the_vendors_kernels_are_recognised() {
    if !is_root() {
        return;
    }
    let qts = FakeBox::new("2.6.33.2\n", &TS219.map(Mtd::anywhere)).hardware("Feroceon-KW ARM");
    assert_eq!(qts.devices().json["board"], "qnap-ts219");
    let table = [
        ("U-Boot", "bootloader"),
        ("U-Boot Config", "settings"),
        ("NAS Config", "settings"),
        ("Kernel", ""),
        ("RootFS1", ""),
        ("RootFS2", ""),
    ];
    protects(&qts, &table);

    let parts = DS213J.map(Mtd::anywhere);
    let table = [
        ("RedBoot", "bootloader"),
        ("vendor", "settings"),
        ("RedBoot Config", "settings"),
        ("FIS directory", "settings"),
        ("zImage", ""),
        ("rd.gz", ""),
    ];
    let dsm = FakeBox::new("3.2.40\n", &parts).hardware("Marvell Armada-370");
    assert_eq!(dsm.devices().json["board"], "synology-ds213j");
    protects(&dsm, &table);
    let dsm = FakeBox::new("3.2.40\n", &parts).proc("sys/kernel/syno_hw_version", "DS213jv10\n");
    assert_eq!(dsm.devices().json["board"], "synology-ds213j");
    protects(&dsm, &table);
}

/// Nothing says what it is, but it has the partitions of a known box.
#[test]
fn the_partitions_of_a_known_box_are_protected_without_a_sign() {
    if !is_root() {
        return;
    }
    for parts in [TS219, TS219.map(Mtd::anywhere)] {
        let nas = FakeBox::new(if parts[0].offset.is_some() { NEW } else { OLD }, &parts).hardware("Some ARM");
        let devices = nas.devices();
        assert_eq!(devices.json["board"], "generic");
        assert!(
            devices.json["remark"].as_str().unwrap().contains("--board qnap-ts219"),
            "{}",
            devices.json
        );
        assert_eq!(devices.place("mtd2").0, Some(2 * M), "the profile places them");
        protects(
            &nas,
            &[("U-Boot", "bootloader"), ("NAS Config", "settings"), ("Kernel", "")],
        );
        let named = nas
            .run(&["devices", "--format", "json", "--board", "qnap-ts219"])
            .exits(0)
            .json();
        assert_eq!(named["board"], "qnap-ts219");
    }
}

#[test]
fn signs_that_contradict_each_other_are_refused_by_name() {
    if !is_root() {
        return;
    }
    let odd = FakeBox::new(NEW, &TS219).hardware("Synology DS213j");
    let image = tempfile::NamedTempFile::new().unwrap();
    let run = odd
        .run(&["plan", "--part", "Kernel", image.path().to_str().unwrap()])
        .exits(69);
    for word in ["\"Synology DS213j\"", "those of qnap-ts219", "--board ID"] {
        assert!(run.err.contains(word), "{run:?}");
    }
    assert_eq!(
        odd.run(&["devices", "--format", "json", "--board", "generic"])
            .exits(0)
            .json()["board"],
        "generic"
    );
    // A kernel that says two things.
    let odd = FakeBox::new(NEW, &DS213J)
        .hardware("Synology DS213j")
        .proc("sys/kernel/syno_hw_version", "DS111\n");
    let run = odd.run(&["devices"]).exits(69);
    assert!(
        run.err.contains("DS111") && run.err.contains("Synology DS213j"),
        "{run:?}"
    );
}

/// A device tree that is two boards is neither, whichever stands first and whatever the partitions are.
#[test]
fn a_device_tree_that_names_two_boards_is_refused_by_both() {
    if !is_root() {
        return;
    }
    for words in [
        ["qnap,ts219", "synology,ds213j"],
        ["synology,ds213j", "qnap,ts219"],
        ["glinet,gl-ar150", "qnap,ts219"],
    ] {
        let tree = words.join("\0") + "\0";
        let run = FakeBox::new(NEW, &TS219)
            .proc("device-tree/compatible", &tree)
            .run(&["devices"])
            .exits(69);
        for word in words {
            assert!(run.err.contains(word), "{word}: {run:?}");
        }
    }
    // Words that name one board, in whatever order, and such that name none.
    let run = FakeBox::new(NEW, &TS219)
        .proc("device-tree/compatible", "qnap,ts219p\0qnap,ts219\0marvell,kirkwood\0")
        .run(&["devices", "--format", "json"])
        .exits(0);
    assert_eq!(run.json()["board"], "qnap-ts219");
}

/// A box that nobody described is protected by the names of its partitions.
#[test]
fn names_protect_where_nothing_else_does() {
    if !is_root() {
        return;
    }
    let ralink = [
        mtd(0, "ALL", 8 * M, 0),
        mtd(1, "Bootloader", 192 * K, 0),
        mtd(2, "Config", 64 * K, 192 * K),
        mtd(3, "Factory", 64 * K, 256 * K),
        mtd(4, "Kernel", 2 * M, 320 * K),
        mtd(5, "RootFS", 4 * M, 2368 * K),
    ];
    let router = FakeBox::new(NEW, &ralink);
    let table = [
        ("ALL", "bootloader"),
        ("Bootloader", "bootloader"),
        ("Config", "settings"),
        ("Factory", "settings"),
        ("Kernel", ""),
        ("RootFS", ""),
    ];
    protects(&router, &table);
    let plan = router.plan("Factory", &[]);
    assert!(
        plan.says("settings")
            .contains("mtd3 \"Factory\" is called like one that holds settings"),
        "{}",
        plan.json
    );
    assert!(router.plan("Factory", &["--force=settings"]).refused().is_empty());
    assert!(router.devices().text.contains("settings: kept unless forced"));

    let qualcomm = [
        mtd(0, "0:SBL1", 256 * K, 0),
        mtd(1, "0:MIBIB", 128 * K, 256 * K),
        mtd(2, "0:APPSBLENV", 64 * K, 384 * K),
        mtd(3, "0:APPSBL", 512 * K, 448 * K),
        mtd(4, "0:ART", 64 * K, 960 * K),
        mtd(5, "rootfs", 6 * M, M),
    ];
    let table = [
        ("0:SBL1", "bootloader"),
        ("0:MIBIB", "bootloader"),
        ("0:APPSBLENV", "settings"),
        ("0:APPSBL", "bootloader"),
        ("0:ART", "settings"),
        ("rootfs", ""),
    ];
    protects(&FakeBox::new(NEW, &qualcomm), &table);
    // And what a known box has besides, or a UBI.
    let nas = FakeBox::new(
        NEW,
        &crate::shapes::with(mtd(9, "u-boot-env2", 64 * K, 0).on("platform/spi1.0"), &TS219),
    );
    protects(
        &nas.hardware("QNAP TS-119/TS-219"),
        &[("u-boot-env2", "settings"), ("Kernel", "")],
    );
    let router = FakeBox::new(NEW, &[mtd(0, "boot", 256 * K, 0), mtd(1, "ubi", 4 * M, 256 * K)]).ubi(1, "uboot-env2");
    protects(&router, &[("ubi0:uboot-env2", "settings"), ("boot", "bootloader")]);
}

/// Where a kernel does not say where partitions lie, one may lie in the other; what would help is said.
#[test]
fn what_may_contain_a_boot_loader_by_name_is_asked_about() {
    if !is_root() {
        return;
    }
    let parts = [
        mtd(0, "u-boot", 192 * K, 0).anywhere(),
        mtd(1, "everything", 4032 * K, 0).anywhere(),
        mtd(2, "inner", M, 0).anywhere(),
    ];
    let old = FakeBox::new(OLD, &parts);
    let plan = old.plan("everything", &[]);
    assert!(plan.refused().contains(&"bootloader"), "{}", plan.json);
    assert!(plan.json.to_string().contains("devices --profile"), "{}", plan.json);
    // Side by side they fill a chip, so none lies in another.
    let parts = [
        mtd(0, "u-boot", 192 * K, 0).anywhere(),
        mtd(1, "everything", 3904 * K, 0).anywhere(),
    ];
    protects(
        &FakeBox::new(OLD, &parts),
        &[("u-boot", "bootloader"), ("everything", "")],
    );
}
