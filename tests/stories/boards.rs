//! The built-in boards of QNAP and Synology: names, sizes, physical order; and a profile of the user's own. The numbers
//! are written down here once more, from Linux's device trees and board files.

use crate::simbox::{SimBox, bytes, flasher};

/// Partition, mtd number, offset on the chip, size.
type Row = (&'static str, u64, u64, u64);

const TS109: [Row; 6] = [
    ("U-Boot", 0, 0x780000, 0x80000),
    ("Kernel", 1, 0, 0x200000),
    ("RootFS1", 2, 0x200000, 0x400000),
    ("RootFS2", 3, 0x600000, 0x100000),
    ("U-Boot Config", 4, 0x760000, 0x20000),
    ("NAS Config", 5, 0x700000, 0x60000),
];
const TS219: [Row; 6] = [
    ("U-Boot", 0, 0, 0x80000),
    ("Kernel", 1, 0x200000, 0x200000),
    ("RootFS1", 2, 0x400000, 0x900000),
    ("RootFS2", 3, 0xd00000, 0x300000),
    ("U-Boot Config", 4, 0x80000, 0x40000),
    ("NAS Config", 5, 0xc0000, 0x140000),
];
const DS213J: [Row; 6] = [
    ("RedBoot", 0, 0, 0xc0000),
    ("zImage", 1, 0xc0000, 0x2d0000),
    ("rd.gz", 2, 0x390000, 0x440000),
    ("vendor", 3, 0x7d0000, 0x10000),
    ("RedBoot Config", 4, 0x7e0000, 0x10000),
    ("FIS Directory", 5, 0x7f0000, 0x10000),
];

#[test]
fn partitions_are_where_the_real_boxes_have_them() {
    for (board, rows) in [
        ("qnap-ts109", TS109),
        ("qnap-ts219", TS219),
        ("synology-ds213j", DS213J),
    ] {
        let sim = SimBox::new(board);
        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        assert_eq!(devices["board"], board);
        let chip = bytes(sim.flash().len(), 1);
        sim.fill(&chip);
        let dir = sim.dir.path().join("backup");
        sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
        for (index, (name, mtd, offset, size)) in rows.into_iter().enumerate() {
            let partition = &devices["partitions"][index];
            assert_eq!(
                (&partition["name"], &partition["mtd"]),
                (&name.into(), &mtd.into()),
                "{board}"
            );
            assert_eq!(partition["size"], size, "{board} {name}");
            let copy = std::fs::read(dir.join(format!("mtd{mtd}.{name}.bin"))).unwrap();
            assert!(
                copy == chip[offset as usize..(offset + size) as usize],
                "{board} {name}"
            );
        }
    }
}

#[test]
fn every_board_makes_a_box_that_can_be_written() {
    for (board, part) in [
        ("qnap-ts109", "RootFS1"),
        ("qnap-ts219", "RootFS1"),
        ("qnap-ts219-resized", "RootFS1"),
        ("synology-ds213j", "rd.gz"),
        ("tplink-wdr3600", "rootfs"),
        ("thincan", "root"),
        ("generic", "rootfs"),
    ] {
        let sim = SimBox::of_anything(board);
        let path = sim.file("image", &bytes(700_000, 2));
        sim.apply(&["--part", part, &path]).exits(0);
        sim.run("verify", &["--part", part, &path]).exits(0);
    }
}

#[test]
fn a_profile_of_the_users_own() {
    let base = SimBox::changed("generic", |profile| {
        profile["id"] = "my-router".into();
        profile["partitions"][3]["name"] = "system".into();
    });
    let profile = base.path().join("board.json");
    let dir = base.dir.path().join("mine");
    flasher(&["sim", "create", profile.to_str().unwrap(), dir.to_str().unwrap()]).exits(0);
    let devices = flasher(&["devices", "--format", "json", "--sim", dir.to_str().unwrap()])
        .exits(0)
        .json();
    assert_eq!(
        (&devices["board"], &devices["partitions"][3]["name"]),
        (&"my-router".into(), &"system".into())
    );
    std::fs::write(&profile, "{\"id\": \"broken\"}").unwrap();
    flasher(&["sim", "create", profile.to_str().unwrap(), "/nonexistent/x"]).exits(64);
}
