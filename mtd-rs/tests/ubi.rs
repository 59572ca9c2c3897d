//! Finding UBI devices. The fixture is `/sys/class/ubi` of kernel 6.1 with UBI on a nandsim of 64 MiB.
#![allow(clippy::unwrap_used)]

mod common;

use common::TempDir;
use mtd_rs::ubi::{self, UbiVolume, VolumeInfo, VolumeKind};
use mtd_rs::{Access, ErrorKind, SystemPaths};

fn paths(root: &TempDir) -> SystemPaths {
    SystemPaths::under(root.path())
}

fn attributes(root: &TempDir, device: &str, list: &[(&str, &str)]) {
    for (name, text) in list {
        root.write(&format!("sys/class/ubi/{device}/{name}"), &format!("{text}\n"));
    }
}

fn attached(root: &TempDir) {
    root.write("sys/class/ubi/version", "1\n");
    attributes(
        root,
        "ubi0",
        &[
            ("dev", "252:0"),
            ("mtd_num", "6"),
            ("eraseblock_size", "15872"),
            ("min_io_size", "512"),
            ("total_eraseblocks", "4096"),
            ("avail_eraseblocks", "3934"),
            ("bad_peb_count", "0"),
            ("reserved_for_bad", "80"),
            ("max_ec", "2"),
        ],
    );
    for (volume, dev, name, kind, bytes, marker) in [
        ("ubi0_0", "252:1", "kernel", "static", "1000", "0"),
        ("ubi0_10", "252:11", "a b", "dynamic", "158720", "1"),
        ("ubi0_2", "252:3", "rootfs", "dynamic", "158720", "0"),
    ] {
        attributes(
            root,
            volume,
            &[
                ("dev", dev),
                ("name", name),
                ("type", kind),
                ("data_bytes", bytes),
                ("reserved_ebs", "10"),
                ("usable_eb_size", "15872"),
                ("upd_marker", marker),
                ("corrupted", "0"),
            ],
        );
    }
}

#[test]
fn devices_and_volumes_are_read_from_sysfs_in_the_order_of_numbers() {
    let root = TempDir::new();
    attached(&root);
    let found = ubi::list(&paths(&root)).unwrap();
    assert_eq!(found.len(), 1);
    let device = &found[0];
    assert_eq!((device.index, device.mtd, device.leb_size), (0, Some(6), 15872));
    assert_eq!((device.total_eraseblocks, device.avail_eraseblocks), (4096, 3934));
    assert_eq!(
        (device.bad_peb_count, device.reserved_for_bad, device.max_ec),
        (0, 80, 2)
    );
    let names: Vec<_> = device.volumes.iter().map(|volume| volume.label()).collect();
    assert_eq!(names, ["ubi0_0 \"kernel\"", "ubi0_2 \"rootfs\"", "ubi0_10 \"a b\""]);
    let [kernel, rootfs, other] = &device.volumes[..] else {
        panic!("three")
    };
    assert_eq!((kernel.kind, kernel.data_bytes), (VolumeKind::Static, 1000));
    assert_eq!(
        (rootfs.kind, rootfs.device, rootfs.min_io_size),
        (VolumeKind::Dynamic, (252, 3), 512)
    );
    assert_eq!(rootfs.capacity(), 158_720);
    assert!(other.upd_marker && !rootfs.upd_marker && !other.corrupted);
}

#[test]
fn a_kernel_without_ubi_has_an_empty_list() {
    let root = TempDir::new();
    assert!(ubi::list(&paths(&root)).unwrap().is_empty());
    root.write("sys/class/ubi/version", "1\n");
    assert!(ubi::list(&paths(&root)).unwrap().is_empty());
}

#[test]
fn attributes_that_make_no_sense_are_an_error_not_a_guess() {
    for (file, text) in [("ubi0/max_ec", "many"), ("ubi0_2/type", "other"), ("ubi0_2/dev", "252")] {
        let root = TempDir::new();
        attached(&root);
        root.write(&format!("sys/class/ubi/{file}"), text);
        let error = ubi::list(&paths(&root)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{file}");
        assert!(error.device().ends_with(file), "{error}");
    }
}

#[test]
fn what_lacks_an_attribute_does_not_vanish() {
    for file in ["ubi0/eraseblock_size", "ubi0_2/name", "ubi0_2/type", "ubi0_2/dev"] {
        let root = TempDir::new();
        attached(&root);
        std::fs::remove_file(root.path().join("sys/class/ubi").join(file)).unwrap();
        let error = ubi::list(&paths(&root)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{file}");
        assert!(error.device().ends_with(file), "{error}");
    }
}

#[test]
fn a_volume_of_more_erase_blocks_than_any_flash_has_is_listed_and_not_written() {
    let root = TempDir::new();
    attached(&root);
    root.write("sys/class/ubi/ubi0_2/reserved_ebs", "4294967295\n");
    let volumes = ubi::list(&paths(&root)).unwrap().remove(0).volumes;
    let writable = |volume: &VolumeInfo| UbiVolume::geometry_of(volume).is_writable();
    assert_eq!(volumes.iter().map(writable).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(volumes[1].capacity(), u64::from(u32::MAX) * 15872);
}

#[test]
fn a_volume_without_its_own_node_is_not_opened() {
    let root = TempDir::new();
    attached(&root);
    let volumes = ubi::list(&paths(&root)).unwrap().remove(0).volumes;
    let open = |index: usize| {
        UbiVolume::open(&paths(&root), &volumes[index], Access::ReadWrite)
            .err()
            .unwrap()
            .kind()
    };
    // Static ones and those whose update was broken off too: they are opened to be replaced as a whole.
    for (index, volume) in volumes.iter().enumerate() {
        let (major, minor) = volume.device;
        assert_eq!(open(index), ErrorKind::NoDeviceNode { major, minor });
    }
    root.write("dev/ubi0_2", "a file where the node should be");
    assert_eq!(open(1), ErrorKind::WrongDevice("device number"));
}
