//! Which box it is, and which of its partitions: what is one of two, or looks like another, is kept or asked about.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, M, NEW, OLD, TS219, WHOLE, with};
use crate::simbox::is_root;

/// The profile places what an old kernel does not, where names and sizes are those of the box.
#[test]
fn a_known_box_is_placed_by_its_profile() {
    if !is_root() {
        return;
    }
    let parts = TS219.map(|part| part.anywhere());
    let nas = FakeBox::new(OLD, &parts).hardware("QNAP TS-119/TS-219");
    let devices = nas.devices();
    for part in TS219 {
        let id = format!("mtd{}", part.index);
        assert_eq!(devices.place(&id), (part.offset, None, vec![], vec![]), "{}", part.name);
    }
    assert!(nas.plan("Kernel", &[]).refused().is_empty());
}

/// The signs are those of a box whose boot loader is known, and its partitions are others: what is protected there is protected.
#[test]
fn what_may_be_a_known_box_keeps_its_boot_loader() {
    if !is_root() {
        return;
    }
    let mut parts = TS219.to_vec();
    parts[1].size = 3 * M;
    let nas = FakeBox::new(NEW, &parts).hardware("QNAP TS-119/TS-219");
    let devices = nas.devices();
    assert_eq!(devices.json["board"], "generic");
    assert!(
        devices.json["remark"].as_str().unwrap().contains("treated as generic"),
        "{}",
        devices.json
    );
    assert_eq!(devices.of("mtd1")["keep"], "bootloader");
    assert!(nas.plan("U-Boot", &[]).refused().contains(&"bootloader"));
    assert!(nas.plan("Kernel", &[]).refused().is_empty());
    // Where not even the boot loader has a partition it lies where it lies on those boxes.
    let nas = FakeBox::new(NEW, &[WHOLE]).hardware("QNAP TS-119/TS-219");
    let plan = nas.plan("spi0.0", &[]);
    assert!(plan.refused().contains(&"bootloader"), "{}", plan.json);
    assert!(
        plan.says("bootloader").contains("may contain the place of \"U-Boot\""),
        "{}",
        plan.json
    );
}

#[test]
fn an_ambiguous_name_is_asked_about() {
    if !is_root() {
        return;
    }
    let twins = FakeBox::new(
        NEW,
        &[
            mtd(0, "kernel", 256 * K, 0),
            mtd(2, "data", M, M),
            mtd(3, "mtd0", M, 2 * M),
            mtd(5, "data", M, 3 * M),
        ],
    );
    let plan = twins.plan("data", &[]);
    assert_eq!(plan.refused(), ["partition"]);
    assert_eq!(
        plan.says("partition"),
        "several partitions are named \"data\": say /dev/mtd2 or /dev/mtd5"
    );
    let plan = twins.plan("mtd0", &[]);
    assert_eq!(
        plan.says("partition"),
        "several partitions are named \"mtd0\": say /dev/mtd0 or /dev/mtd3"
    );
    for (part, name) in [("mtd5", "data"), ("/dev/mtd0", "kernel"), ("mtd:mtd0", "mtd0")] {
        let plan = twins.plan(part, &[]);
        assert!(plan.refused().is_empty(), "{part}: {}", plan.json);
        assert_eq!(plan.json["writes"][0]["partition"], name);
    }
    assert_eq!(twins.devices().place("mtd3"), (Some(2 * M), None, vec![], vec![]));
}

/// Which of two partitions with the boot loader's name has the boot loader is not decided by its size alone.
#[test]
fn both_partitions_that_are_named_as_the_boot_loader_are_kept() {
    if !is_root() {
        return;
    }
    let twin = mtd(9, "U-Boot", M, 0).erase_size(0x40000).on("platform/soc/spi1.0");
    let nas = FakeBox::new(NEW, &with(twin, &TS219)).hardware("QNAP TS-119/TS-219");
    let devices = nas.devices();
    assert_eq!(devices.json["board"], "qnap-ts219");
    for part in ["mtd1", "mtd9"] {
        assert_eq!(devices.of(part)["keep"], "bootloader");
        assert!(nas.plan(part, &[]).refused().contains(&"bootloader"));
    }
}

/// Many vendors call their boot loader `boot`, as others call a kernel: it is one where nothing else is, and where it may begin
/// the flash.
#[test]
fn what_is_called_boot_is_a_boot_loader_where_nothing_else_is() {
    if !is_root() {
        return;
    }
    // Gemini, Ubiquiti's Octeons, an iConnect, and a kernel beside U-Boot.
    let [from_0, behind] = [("BOOT", 128 * K, 0), ("boot", 256 * M, 9 * M)];
    let octeon = [
        mtd(0, "boot0", 3 * M, 0),
        mtd(1, "boot1", 3 * M, 3 * M),
        mtd(2, "data", M, 6 * M),
    ];
    let beside = [mtd(0, "u-boot", 256 * K, 0), mtd(1, "boot", 3 * M, M)];
    let one = |(name, size, offset)| vec![mtd(0, name, size, offset), mtd(1, "data", M, 300 * M)];
    for (parts, kept) in [
        (one(from_0), vec!["mtd0"]),
        (one(behind), vec![]),
        (octeon.to_vec(), vec!["mtd0", "mtd1"]),
        (beside.to_vec(), vec!["mtd0"]),
        // A kernel that does not say where they lie: the other one may share bytes with it.
        (
            one(from_0).into_iter().map(|part| part.anywhere()).collect(),
            vec!["mtd0", "mtd1"],
        ),
    ] {
        let devices = FakeBox::new(NEW, &parts).devices();
        let all = ["mtd0", "mtd1", "mtd2"];
        let found: Vec<_> = all[..parts.len()]
            .iter()
            .filter(|id| devices.of(id)["keep"] == "bootloader")
            .collect();
        assert_eq!(found, kept.iter().collect::<Vec<_>>(), "{}", devices.json);
    }
}

/// A place for kept files that is one of two is none.
#[test]
fn kept_files_go_to_no_ambiguous_partition() {
    if !is_root() {
        return;
    }
    let twins = [
        mtd(0, "kernel", 256 * K, 0),
        mtd(1, "data", M, M),
        mtd(2, "data", M, 2 * M),
    ];
    let router = FakeBox::new(NEW, &twins).proc("filesystems", "nodev\ttmpfs\n\tjffs2\n");
    let plan = router.plan("kernel", &["--keep", "/etc/passwd", "--keep-to", "jffs2:data"]);
    assert_eq!(plan.refused(), ["keep"]);
    assert!(
        plan.says("keep").contains("several partitions are named \"data\""),
        "{}",
        plan.json
    );
}
