//! Every shape in which kernels show flash: what `devices` says of it, and what a plan refuses for its sake.

use crate::fakebox::{FakeBox, Mtd, mtd};
use crate::simbox::{bytes, is_root, tool};
use std::fs;

pub const K: u64 = 1 << 10;
pub const M: u64 = 1 << 20;
/// A kernel that shows what an offset counts from, one that shows offsets only, and one that shows none.
pub const NEW: &str = "6.6.119\n";
const FLAT: &str = "4.9.337\n";
pub const OLD: &str = "3.18.23\n";

/// The partitions of a TS-219, in the order of its numbers.
pub const TS219: [Mtd; 6] = [
    mtd(1, "U-Boot", 512 * K, 0).erase_size(0x40000),
    mtd(2, "Kernel", 2 * M, 2 * M).erase_size(0x40000),
    mtd(3, "RootFS1", 9 * M, 4 * M).erase_size(0x40000),
    mtd(4, "RootFS2", 3 * M, 13 * M).erase_size(0x40000),
    mtd(5, "U-Boot Config", 256 * K, 512 * K).erase_size(0x40000),
    mtd(6, "NAS Config", 1280 * K, 768 * K).erase_size(0x40000),
];
pub const WHOLE: Mtd = mtd(0, "spi0.0", 16 * M, 0).anywhere().erase_size(0x40000);

pub fn with(first: Mtd, rest: &[Mtd]) -> Vec<Mtd> {
    let mut all = vec![first];
    all.extend(rest);
    all
}

/// The boot loader is one, by whatever partition it is reached.
#[test]
fn the_whole_chip_beside_its_partitions_contains_the_boot_loader() {
    if !is_root() {
        return;
    }
    for release in [FLAT, NEW] {
        let nas = FakeBox::new(release, &with(WHOLE, &TS219)).hardware("QNAP TS-119/TS-219");
        let devices = nas.devices();
        assert_eq!(devices.json["board"], "qnap-ts219", "{release}");
        let (offset, parent, overlaps, may) = devices.place("mtd0");
        assert_eq!((offset, parent), (Some(0), None));
        assert_eq!(overlaps, ["mtd1", "mtd2", "mtd3", "mtd4", "mtd5", "mtd6"]);
        assert!(may.is_empty(), "{may:?}");
        assert_eq!(devices.place("mtd3").2, ["mtd0"]);
        assert_eq!(devices.of("mtd0")["keep"], "bootloader");
        assert_eq!(devices.of("mtd0")["chip"], "spi0.0");
        assert!(devices.of("mtd2")["keep"].is_null());
        assert!(
            devices
                .text
                .contains("contains mtd1 \"U-Boot\" (bootloader): kept unless forced"),
            "{}",
            devices.text
        );

        // Up to where a write goes, and not further: 1000 bytes take the first erase block only.
        assert_eq!(nas.plan("spi0.0", &[]).refused(), ["bootloader", "bootloader-backup"]);
        let image = tempfile::NamedTempFile::new().unwrap();
        fs::write(image.path(), bytes(usize::try_from(M).unwrap(), 1)).unwrap();
        let plan = nas.plan_of(image.path(), "spi0.0", &[]);
        assert_eq!(plan.refused(), ["bootloader", "settings", "bootloader-backup"]);
        assert!(plan.says("bootloader").contains("mtd1 \"U-Boot\""), "{}", plan.json);
        let plan = nas.plan("mtd0", &["--force=settings"]);
        assert!(plan.refused().contains(&"bootloader"));
        let plan = nas.plan("mtd0", &["--force=bootloader"]);
        assert!(!plan.refused().contains(&"bootloader"), "it was forced by its name");
        assert!(nas.plan("Kernel", &[]).refused().is_empty());
        assert_eq!(nas.plan("spi0.0,Kernel", &[]).refused()[0], "size");

        // What is in use by another window is in use.
        let nas = nas.mounted("mtdblock0");
        let point = nas.mount_point();
        assert!(nas.plan("Kernel", &[]).says("holders").contains(&point));
    }
}

#[test]
fn the_whole_chip_as_the_parent_of_its_partitions() {
    if !is_root() {
        return;
    }
    let chip = mtd(0, "bmc", 32 * M, 0).anywhere();
    let bmc = FakeBox::new(
        NEW,
        &[
            chip,
            mtd(1, "u-boot", 384 * K, 0).in_parent(0),
            mtd(2, "kernel", 2 * M, 512 * K).in_parent(0),
            mtd(3, "env", 128 * K, 384 * K).in_parent(0),
            mtd(4, "rofs", 24 * M, 4 * M).in_parent(0),
        ],
    )
    .mounted("mtdblock4");
    let devices = bmc.devices();
    assert_eq!(
        devices.place("mtd2"),
        (Some(512 * K), Some("mtd0"), vec!["mtd0"], vec![])
    );
    assert_eq!(
        devices.tree(),
        [
            "chip \"spi0.0\":",
            "  mtd0 \"bmc\" 0x00000000",
            "    mtd1 \"u-boot\" 0x00000000",
            "    mtd3 \"env\" 0x00060000",
            "    mtd2 \"kernel\" 0x00080000",
            "    mtd4 \"rofs\" 0x00400000",
        ]
    );
    let point = bmc.mount_point();
    for part in ["bmc", "rofs"] {
        assert!(bmc.plan(part, &[]).says("holders").contains(&point), "{part}");
    }
    assert!(!bmc.plan("kernel", &[]).says("holders").contains(&point));
    assert!(bmc.plan("kernel", &[]).refused().is_empty());
}

/// sysfs counts each offset from the partition above.
#[test]
fn partitions_three_levels_deep() {
    if !is_root() {
        return;
    }
    let router = FakeBox::new(
        NEW,
        &[
            mtd(0, "u-boot", 192 * K, 0).read_only(),
            mtd(1, "factory", 64 * K, 192 * K).read_only(),
            mtd(2, "firmware1", 7936 * K, 256 * K),
            mtd(3, "firmware", 8128 * K, 8 * M),
            mtd(4, "kernel", 2 * M, 0).in_parent(3),
            mtd(5, "rootfs", 6080 * K, 2 * M).in_parent(3),
            mtd(6, "rootfs_data", 1984 * K, 4 * M).in_parent(5),
        ],
    )
    .mounted("mtdblock6");
    let devices = router.devices();
    assert_eq!(
        devices.place("mtd6"),
        (Some(14 * M), Some("mtd5"), vec!["mtd3", "mtd5"], vec![])
    );
    assert_eq!(devices.place("mtd3").2, ["mtd4", "mtd5", "mtd6"]);
    assert_eq!(devices.place("mtd2").2, [""; 0]);
    assert_eq!(
        devices.tree()[4..],
        [
            "  mtd3 \"firmware\" 0x00800000",
            "    mtd4 \"kernel\" 0x00800000",
            "    mtd5 \"rootfs\" 0x00a00000",
            "      mtd6 \"rootfs_data\" 0x00e00000",
        ]
    );
    let point = router.mount_point();
    for (part, held) in [
        ("firmware", true),
        ("rootfs", true),
        ("kernel", false),
        ("firmware1", false),
    ] {
        assert_eq!(router.plan(part, &[]).says("holders").contains(&point), held, "{part}");
    }
    assert_eq!(
        router.plan("u-boot", &[]).refused(),
        ["writable", "bootloader", "bootloader-backup"]
    );
    // An image that fills the first and goes on in the second.
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(image.path(), bytes(usize::try_from(6080 * K + 10).unwrap(), 1)).unwrap();
    let plan = router.plan_of(image.path(), "rootfs,rootfs_data", &[]);
    assert_eq!(plan.refused(), ["overlap"]);
    let plan = router.plan_of(image.path(), "rootfs,kernel", &[]);
    assert!(plan.refused().is_empty(), "{}", plan.json);
}

#[test]
fn two_chips_with_the_same_offsets_share_nothing() {
    if !is_root() {
        return;
    }
    let both = FakeBox::new(
        NEW,
        &[
            mtd(0, "boot", 256 * K, 0),
            mtd(1, "system", 8 * M, 256 * K),
            mtd(2, "boot2", 256 * K, 0).on("platform/soc/spi1.0"),
            mtd(3, "data", 8 * M, 256 * K).on("platform/soc/spi1.0"),
        ],
    )
    .mounted("mtdblock3");
    let devices = both.devices();
    for id in ["mtd0", "mtd1", "mtd2", "mtd3"] {
        let (_, _, overlaps, may) = devices.place(id);
        assert!(overlaps.is_empty() && may.is_empty(), "{id}: {overlaps:?} {may:?}");
        assert!(devices.of(id)["overlaps"].is_array() && devices.of(id)["may_overlap"].is_null());
    }
    assert_eq!(
        devices.tree(),
        [
            "chip \"spi0.0\":",
            "  mtd0 \"boot\" 0x00000000",
            "  mtd1 \"system\" 0x00040000",
            "chip \"spi1.0\":",
            "  mtd2 \"boot2\" 0x00000000",
            "  mtd3 \"data\" 0x00040000",
        ]
    );
    let point = both.mount_point();
    assert!(both.plan("data", &[]).says("holders").contains(&point));
    assert!(!both.plan("system", &[]).says("holders").contains(&point));
}

/// What a concatenation is made of is not shown (drivers/mtd/mtdconcat.c).
#[test]
fn a_concatenation_may_overlap_all_that_it_could_be_made_of() {
    if !is_root() {
        return;
    }
    let concat = FakeBox::new(
        NEW,
        &[
            mtd(0, "linux", 256 * K, 0),
            mtd(1, "fw-a", 4 * M, 256 * K),
            mtd(2, "fw-b", 8 * M, 0).on("platform/soc/spi1.0"),
            mtd(3, "fw-a+fw-b", 12 * M, 0).anywhere().on("platform/virtual_flash"),
        ],
    )
    .mounted("mtdblock3");
    let devices = concat.devices();
    let (offset, _, overlaps, may) = devices.place("mtd3");
    assert_eq!((offset, overlaps), (None, vec![]));
    assert!(may.contains(&"mtd1") && may.contains(&"mtd2"), "{may:?}");
    assert!(
        devices
            .text
            .lines()
            .any(|line| line.contains("mtd3") && line.contains(" ? ")),
        "{}",
        devices.text
    );
    assert!(concat.plan("fw-a", &[]).says("holders").contains(&concat.mount_point()));
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(image.path(), bytes(usize::try_from(4 * M + 10).unwrap(), 1)).unwrap();
    let plan = concat.plan_of(image.path(), "fw-a,fw-a+fw-b", &[]);
    assert_eq!(plan.refused(), ["overlap"]);
    assert!(plan.says("overlap").contains("may share bytes"), "{}", plan.json);
}

/// A kernel before 4.1, and names that OpenWrt's splitters give to partitions within partitions.
const NESTED: [Mtd; 5] = [
    mtd(0, "u-boot", 128 * K, 0).anywhere().read_only(),
    mtd(1, "kernel", 1216 * K, 0).anywhere(),
    mtd(2, "rootfs", 6784 * K, 0).anywhere(),
    mtd(3, "rootfs_data", 4736 * K, 0).anywhere(),
    mtd(4, "firmware", 8000 * K, 0).anywhere(),
];

#[test]
fn without_offsets_any_two_may_share_bytes() {
    if !is_root() {
        return;
    }
    let old = FakeBox::new(OLD, &NESTED).mounted("mtdblock3");
    let devices = old.devices();
    let (offset, parent, overlaps, may) = devices.place("mtd1");
    assert_eq!((offset, parent, overlaps), (None, None, vec![]));
    assert_eq!(may, ["mtd0", "mtd2", "mtd3", "mtd4"]);
    let order: Vec<_> = devices.tree()[1..]
        .iter()
        .map(|line| line.trim_start()[..4].to_owned())
        .collect();
    assert_eq!(order, ["mtd0", "mtd1", "mtd2", "mtd3", "mtd4"], "by their numbers");
    assert!(old.plan("kernel", &[]).says("holders").contains(&old.mount_point()));
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(image.path(), bytes(usize::try_from(1216 * K + 10).unwrap(), 1)).unwrap();
    // Either of them may contain what is called like a boot loader, too.
    assert_eq!(
        old.plan_of(image.path(), "kernel,rootfs", &[]).refused(),
        ["bootloader", "bootloader", "overlap", "bootloader-backup"]
    );
}

#[test]
fn mtdparts_says_where_partitions_lie_that_the_kernel_does_not_place() {
    if !is_root() {
        return;
    }
    let old = FakeBox::new(
        OLD,
        &[
            mtd(0, "boot", 256 * K, 0).anywhere(),
            mtd(1, "linux", 2 * M, 0).anywhere(),
            mtd(2, "all", 4 * M, 0).anywhere(),
            mtd(3, "root", 1792 * K, 0).anywhere(),
        ],
    )
    .proc(
        "cmdline",
        "console=ttyS0 mtdparts=spi0.0:256k(boot),2m(linux),4m@0(all),1792k@0x240000(root)\n",
    )
    .mounted("mtdblock3");
    let devices = old.devices();
    assert_eq!(devices.place("mtd1"), (Some(256 * K), None, vec!["mtd2"], vec![]));
    assert_eq!(devices.place("mtd3").0, Some(0x24_0000));
    let point = old.mount_point();
    assert!(old.plan("all", &[]).says("holders").contains(&point));
    assert!(!old.plan("linux", &[]).says("holders").contains(&point));
}

#[test]
fn a_kernel_with_nothing_but_proc_mtd() {
    if !is_root() {
        return;
    }
    let old = FakeBox::new(OLD, &NESTED).without_sysfs();
    let devices = old.devices();
    let (offset, _, overlaps, may) = devices.place("mtd1");
    assert_eq!((offset, overlaps), (None, vec![]));
    assert_eq!(may, ["mtd0", "mtd2", "mtd3", "mtd4"]);
    assert!(devices.of("mtd1")["chip"].is_null());
    assert!(!devices.text.contains("chip "), "{}", devices.text);
    // Whether it can be written is not known either.
    assert!(old.plan("kernel", &[]).refused().contains(&"writable"));
    let nas = FakeBox::new(OLD, &TS219.map(|part| part.anywhere()))
        .without_sysfs()
        .hardware("QNAP TS-119/TS-219");
    assert_eq!(nas.devices().place("mtd2"), (Some(2 * M), None, vec![], vec![]));
    assert!(nas.plan("U-Boot", &[]).refused().contains(&"bootloader"));
}

#[test]
fn an_ubi_in_a_nested_partition_holds_what_is_around_it() {
    if !is_root() {
        return;
    }
    let router = FakeBox::new(
        NEW,
        &[
            mtd(0, "boot", 256 * K, 0),
            mtd(1, "firmware", 8 * M, 256 * K),
            mtd(2, "kernel", 4 * M, 0).in_parent(1),
            mtd(3, "ubi", 4 * M, 4 * M).in_parent(1),
        ],
    )
    .ubi(3, "rootfs");
    let devices = router.devices();
    assert_eq!(
        devices.place("ubi0_0"),
        (None, Some("mtd3"), vec!["mtd1", "mtd3"], vec![])
    );
    assert_eq!(devices.place("mtd3").2, ["mtd1", "ubi0_0"]);
    assert_eq!(devices.of("ubi0_0")["chip"], "spi0.0");
    assert_eq!(
        devices.tree()[4..],
        ["    mtd3 \"ubi\" 0x00440000", "      ubi0_0 \"ubi0:rootfs\" ?"]
    );
    for (part, held) in [
        ("firmware", true),
        ("ubi", true),
        ("kernel", false),
        ("ubi0:rootfs", false),
    ] {
        let says = router.plan(part, &[]).says("holders");
        assert_eq!(says.contains("ubi0 attached to mtd3"), held, "{part}: {says}");
    }
}

#[test]
fn a_volume_is_chosen_of_an_archive_by_either_of_its_names() {
    if !is_root() {
        return;
    }
    let parts = [mtd(0, "kernel", M, 0), mtd(1, "ubi", 4 * M, M)];
    let router = FakeBox::new(NEW, &parts).ubi(1, "rootfs");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sysupgrade-acme")).unwrap();
    for name in ["kernel", "root"] {
        fs::write(dir.path().join("sysupgrade-acme").join(name), bytes(50_000, 8)).unwrap();
    }
    let archive = dir.path().join("archive");
    let words = ["-cf", archive.to_str().unwrap(), "-C", dir.path().to_str().unwrap()];
    let names = ["sysupgrade-acme/kernel", "sysupgrade-acme/root"];
    tool("tar", &[&words[..], &names].concat());
    for (part, id) in [("ubi0:rootfs", "ubi0_0"), ("rootfs", "ubi0_0"), ("kernel", "mtd0")] {
        let plan = router.plan_of(&archive, part, &[]);
        assert!(!plan.refused().contains(&"partition"), "{part}: {}", plan.json);
        let writable = plan.says("writable");
        assert!(writable.contains(id), "{part}: {writable}");
    }
    let ubi = router.plan_of(&archive, "ubi", &[]).says("partition");
    assert!(ubi.contains("has nothing for mtd1"), "{ubi}");
}

#[test]
fn the_block_device_of_a_volume_is_the_volume() {
    if !is_root() {
        return;
    }
    let parts = [mtd(0, "boot", 256 * K, 0), mtd(1, "ubi", 4 * M, 256 * K)];
    let router = FakeBox::new(NEW, &parts)
        .ubi(1, "rootfs")
        .sys("block/ubiblock0_0/dev", "251:0\n")
        .mounted("/dev/ubiblock0_0");
    let point = router.mount_point();
    for (part, held) in [("ubi0:rootfs", true), ("ubi", true), ("boot", false)] {
        assert_eq!(router.plan(part, &[]).says("holders").contains(&point), held, "{part}");
    }
}
