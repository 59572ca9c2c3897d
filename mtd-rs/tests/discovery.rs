//! Finding the devices of a box. The fixtures have the format of the kernel's `drivers/mtd/mtdcore.c` and the
//! layouts of real boxes: the modern QNAP TS-219 of Debian, and a TS-109 with the stock
//! kernel 2.6.12 that knows nothing but `/proc/mtd`.
#![allow(clippy::unwrap_used)]

mod common;

use std::ops::Range;
use std::os::unix::fs::symlink;

use common::TempDir;
use mtd_rs::{Access, ErrorKind, FlashKind, MtdDevice, Operation, SystemPaths, list};

fn paths(root: &TempDir) -> SystemPaths {
    SystemPaths::under(root.path())
}

const TS109: &str = "dev:    size   erasesize  name\n\
    mtd0: 00080000 00020000 \"U-Boot\"\n\
    mtd1: 00200000 00020000 \"Kernel\"\n\
    mtd2: 00400000 00020000 \"RootFS1\"\n\
    mtd3: 00100000 00020000 \"RootFS2\"\n\
    mtd4: 00020000 00020000 \"U-Boot Config\"\n\
    mtd5: 00060000 00020000 \"NAS Config\"\n";

/// One device of a modern sysfs, at its place in the device tree, linked from the class.
fn sysfs_device(root: &TempDir, tree: &str, index: u32, attributes: &[(&str, &str)]) {
    let place = format!("sys/devices/{tree}/mtd{index}");
    for (name, text) in attributes {
        root.write(&format!("{place}/{name}"), &format!("{text}\n"));
    }
    std::fs::create_dir_all(root.path().join("sys/class/mtd")).unwrap();
    symlink(
        root.path().join(&place),
        root.path().join(format!("sys/class/mtd/mtd{index}")),
    )
    .unwrap();
}

/// A partition of these bytes of a chip.
fn spi_partition(root: &TempDir, tree: &str, index: u32, name: &str, bytes: Range<u32>) {
    sysfs_device(
        root,
        tree,
        index,
        &[
            ("dev", &format!("90:{}", index * 2)),
            ("name", name),
            ("type", "nor"),
            ("flags", "0xc00"),
            ("size", &bytes.len().to_string()),
            ("erasesize", "262144"),
            ("writesize", "1"),
            ("oobsize", "0"),
            ("numeraseregions", "0"),
            ("offset", &bytes.start.to_string()),
            ("ecc_strength", "0"),
            ("bad_blocks", "0"),
            ("corrected_bits", "0"),
            ("ecc_failures", "0"),
        ],
    );
}

#[test]
fn a_modern_box_is_read_from_sysfs_in_the_order_of_numbers() {
    let root = TempDir::new();
    let tree = "platform/spi0.0/mtd";
    spi_partition(&root, tree, 10, "spare", 0xfc_0000..0x100_0000);
    spi_partition(&root, tree, 2, "RootFS1", 0x40_0000..0xd0_0000);
    spi_partition(&root, tree, 0, "U-Boot", 0..0x8_0000);
    // The second minor of each device is listed by the class as well.
    root.write("sys/class/mtd/mtd0ro/dev", "90:1\n");

    let found = list(&paths(&root)).unwrap();
    let indices: Vec<_> = found.iter().map(|info| info.index).collect();
    assert_eq!(indices, [0, 2, 10]);
    let rootfs = &found[1];
    assert_eq!(rootfs.name, "RootFS1");
    assert_eq!(rootfs.geometry.kind, FlashKind::Nor);
    assert_eq!(rootfs.geometry.size, 0x90_0000);
    assert_eq!(rootfs.geometry.erase_size, 0x4_0000);
    assert_eq!(rootfs.geometry.flags, 0xc00);
    assert!(rootfs.geometry.regions.is_empty());
    assert!(rootfs.writable && rootfs.geometry.can_clear_bits());
    assert_eq!(rootfs.offset, Some(0x40_0000));
    assert_eq!(rootfs.parent, None);
    assert_eq!(rootfs.ecc_strength, Some(0));
    assert_eq!(rootfs.label(), "mtd2 \"RootFS1\"");
}

#[test]
fn a_nand_shows_its_pages_bad_blocks_and_ecc() {
    let root = TempDir::new();
    let attributes = [
        ("name", "ubi part"),
        ("type", "mlc-nand"),
        ("flags", "0x400"),
        ("size", "8589934592"),
        ("erasesize", "1048576"),
        ("writesize", "8192"),
        ("oobsize", "640"),
        ("numeraseregions", "0"),
        ("ecc_strength", "24"),
        ("bad_blocks", "3"),
        ("corrected_bits", "17"),
        ("ecc_failures", "1"),
    ];
    sysfs_device(&root, "platform/nand/mtd", 0, &attributes);
    let found = list(&paths(&root)).unwrap();
    let info = &found[0];
    assert_eq!(info.geometry.kind, FlashKind::MlcNand);
    assert_eq!(info.geometry.size, 8 << 30);
    assert_eq!((info.geometry.write_size, info.geometry.oob_size), (8192, 640));
    assert_eq!(
        (
            info.ecc_strength,
            info.bad_blocks,
            info.corrected_bits,
            info.ecc_failures
        ),
        (Some(24), Some(3), Some(17), Some(1))
    );
    assert_eq!(info.offset, None, "kernels before 4.1, and whole chips, have no offset");
    assert_eq!(info.name, "ubi part");
}

#[test]
fn a_partition_of_a_master_that_is_a_device_itself_names_its_parent() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 0, "spi0.0", 0..0x100_0000);
    spi_partition(&root, "platform/spi0.0/mtd/mtd0", 1, "Kernel", 0x20_0000..0x40_0000);
    let found = list(&paths(&root)).unwrap();
    assert_eq!(found[0].parent, None);
    assert_eq!(found[1].parent, Some(0));
}

#[test]
fn an_old_box_is_read_from_proc_mtd_alone() {
    let root = TempDir::new();
    root.write("proc/mtd", TS109);
    let found = list(&paths(&root)).unwrap();
    let names: Vec<_> = found.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(
        names,
        ["U-Boot", "Kernel", "RootFS1", "RootFS2", "U-Boot Config", "NAS Config"]
    );
    assert_eq!(found[5].geometry.size, 0x6_0000);
    assert_eq!(found[5].geometry.erase_size, 0x2_0000);
    assert_eq!(found[5].geometry.kind, FlashKind::Unknown);
    assert!(!found[5].writable, "what is not known is not writable");
    assert_eq!(found[5].bad_blocks, None);
}

#[test]
fn a_class_that_only_serves_udev_does_not_hide_proc_mtd() {
    let root = TempDir::new();
    root.write("proc/mtd", TS109);
    root.write("sys/class/mtd/mtd0/dev", "90:0\n");
    assert_eq!(list(&paths(&root)).unwrap().len(), 6);
}

/// What of sysfs cannot be used is neither left out nor guessed.
#[test]
fn a_device_without_its_size_does_not_vanish() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 0, "U-Boot", 0..0x8_0000);
    spi_partition(&root, "platform/spi0.0/mtd", 1, "Kernel", 0x8_0000..0x10_0000);
    std::fs::remove_file(root.path().join("sys/class/mtd/mtd1/size")).unwrap();
    let refused = || {
        let error = list(&paths(&root)).unwrap_err();
        (error.raw_os_error(), error.device().ends_with("mtd1/size"))
    };
    assert_eq!(refused(), (Some(libc::ENOENT), true));
    // Where no device has attributes, /proc/mtd is the list, and must have each of them.
    std::fs::remove_file(root.path().join("sys/class/mtd/mtd0/size")).unwrap();
    root.write("proc/mtd", "dev:    size   erasesize  name\nmtd0: 1000 1000 \"a\"\n");
    assert_eq!(refused(), (Some(libc::ENOENT), true));
    root.write("proc/mtd", TS109);
    assert_eq!(list(&paths(&root)).unwrap().len(), 6);
    // One that has gone since the class was read has no directory any more.
    std::fs::remove_dir_all(root.path().join("sys/devices/platform/spi0.0/mtd/mtd1")).unwrap();
    root.write("proc/mtd", "dev:    size   erasesize  name\nmtd0: 1000 1000 \"a\"\n");
    assert_eq!(list(&paths(&root)).unwrap().len(), 1);
}

#[test]
fn other_columns_in_proc_are_no_contradiction() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 2, "U-Boot", 0..0x8_0000);
    root.write(
        "proc/mtd",
        "dev: size erasesize name\nmtd2:   80000   40000  \"U-Boot\"\n",
    );
    assert_eq!(list(&paths(&root)).unwrap().len(), 1);
}

#[test]
fn proc_and_sysfs_that_contradict_each_other_are_an_error() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 10, "a \"b\"\nc ", 0x8_0000..0x10_0000);
    spi_partition(&root, "platform/spi0.0/mtd", 2, "U-Boot", 0..0x8_0000);
    let listed = |lines: &str| {
        root.write("proc/mtd", &format!("dev:    size   erasesize  name\n{lines}"));
        let told = |error: mtd_rs::Error| (error.kind(), error.device().to_owned());
        list(&paths(&root)).map(|found| found.len()).map_err(told)
    };
    let loader = "mtd2: 00080000 00040000 \"U-Boot\"\n";
    let other = "mtd10: 00080000 00040000 \"a \"b\"\nc \"\n";
    assert_eq!(listed(&format!("{loader}{other}")), Ok(2));
    for (lines, device) in [
        (other.to_owned(), "mtd2 \"U-Boot\""),
        (loader.to_owned(), "mtd10 \"a \"b\"\nc \""),
        (format!("{loader}mtd3: 00080000 00040000 \"x\"\n{other}"), "mtd3"),
        (format!("{loader}{other}mtd11: 00080000 00040000 \"x\"\n"), "mtd11"),
        (format!("{}{other}", loader.replace("0008", "0010")), "mtd2 \"U-Boot\""),
        (format!("{}{other}", loader.replace("0004", "0001")), "mtd2 \"U-Boot\""),
        (format!("{}{other}", loader.replace("U-", "")), "mtd2 \"U-Boot\""),
    ] {
        assert_eq!(
            listed(&lines),
            Err((ErrorKind::Contradictory, device.to_owned())),
            "{lines}"
        );
    }
}

/// Looking at each of these would take hours.
#[test]
fn a_device_of_more_erase_blocks_than_any_flash_has_is_listed_and_not_written() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 0, "disk", 0..0x8_0000);
    spi_partition(&root, "platform/spi0.0/mtd", 1, "Kernel", 0x8_0000..0x10_0000);
    let listed = |size: u64, erase_size: u64| {
        root.write("sys/class/mtd/mtd0/size", &format!("{size}\n"));
        root.write("sys/class/mtd/mtd0/erasesize", &format!("{erase_size}\n"));
        let found = list(&paths(&root)).unwrap();
        assert!(found[1].writable && found[0].geometry.size == size);
        (found[0].writable, found[0].geometry.block_count())
    };
    assert_eq!(listed(4096 << 22, 4096), (true, 1 << 22));
    for (size, erase_size) in [((4096 << 22) + 1, 4096), (1 << 63, 1 << 31), (u64::MAX, 1)] {
        assert_eq!(listed(size, erase_size), (false, 1));
    }
    let root = TempDir::new();
    root.write("proc/mtd", "mtd0: 8000000000000000 00001000 \"a\"\n");
    let geometry = &list(&paths(&root)).unwrap()[0].geometry;
    assert!((geometry.size, geometry.erase_size) == (1 << 63, 4096) && !geometry.is_consistent());
}

#[test]
fn a_box_without_mtd_has_an_empty_list() {
    let root = TempDir::new();
    assert!(list(&paths(&root)).unwrap().is_empty());
    root.write("proc/mtd", "dev:    size   erasesize  name\n");
    std::fs::create_dir_all(root.path().join("sys/class/mtd")).unwrap();
    assert!(list(&paths(&root)).unwrap().is_empty());
}

#[test]
fn attributes_that_make_no_sense_are_an_error_not_a_guess() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 0, "U-Boot", 0..0x8_0000);
    root.write("sys/devices/platform/spi0.0/mtd/mtd0/erasesize", "many\n");
    let error = list(&paths(&root)).unwrap_err();
    assert_eq!(
        (error.operation(), error.kind()),
        (Operation::List, ErrorKind::Malformed)
    );
    assert!(error.device().ends_with("mtd0/erasesize"), "{error}");

    let root = TempDir::new();
    root.write("proc/mtd", "mtd0: garbage\n");
    assert_eq!(list(&paths(&root)).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn a_missing_node_is_told_with_the_numbers_it_would_have() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 3, "Kernel", 0..0x8_0000);
    let paths = paths(&root);
    let info = list(&paths).unwrap().remove(0);
    let error = MtdDevice::open(&paths, &info, Access::ReadOnly).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDeviceNode { major: 90, minor: 6 });
    let text = error.to_string();
    assert!(
        text.starts_with("open mtd3 \"Kernel\": ") && text.contains("90:6"),
        "{text}"
    );
    assert!(!root.path().join("dev/mtd3").exists(), "no node is made");

    let root = TempDir::new();
    root.write("proc/mtd", TS109);
    let paths = self::paths(&root);
    let info = list(&paths).unwrap().remove(5);
    let error = MtdDevice::open(&paths, &info, Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDeviceNode { major: 90, minor: 10 });
}

#[test]
fn what_is_no_mtd_character_device_is_never_opened_as_one() {
    let root = TempDir::new();
    spi_partition(&root, "platform/spi0.0/mtd", 0, "Kernel", 0..0x8_0000);
    root.write("dev/mtd0", "a file where the node should be");
    let paths = paths(&root);
    let info = list(&paths).unwrap().remove(0);
    let error = MtdDevice::open(&paths, &info, Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotMtd);
    // A character device, but none of MTD.
    let error = MtdDevice::open_path(&paths, "/dev/null".as_ref(), Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotMtd);
}

/// A node of `/dev` may be anything. Opening it alone starts a watchdog, and a pipe never answers.
#[test]
fn what_is_not_an_mtd_is_not_opened_for_its_name() {
    let root = TempDir::new();
    root.write("proc/mtd", TS109);
    std::fs::create_dir_all(root.path().join("dev")).unwrap();
    nix::unistd::mkfifo(&root.path().join("dev/mtd0"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (done, told) = std::sync::mpsc::channel();
    let paths = paths(&root);
    std::thread::spawn(move || {
        let found = list(&paths).unwrap();
        let opened = MtdDevice::open(&paths, &found[0], Access::ReadOnly).unwrap_err();
        let by_path = MtdDevice::open_path(&paths, &paths.dev.join("mtd0"), Access::ReadOnly).unwrap_err();
        done.send((found.len(), opened.kind(), by_path.kind()))
    });
    let told = told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert_eq!(told, (6, ErrorKind::NotMtd, ErrorKind::NotMtd));
}
