//! A backup is complete, checked, and goes back where it came from.

use crate::simbox::{SimBox, bytes, tool};
use std::fs;

const MIB: usize = 1 << 20;

#[test]
fn a_backup_holds_every_partition_and_its_sums_are_those_of_sha256sum() {
    let sim = SimBox::new("qnap-ts219");
    let chip = bytes(16 * MIB, 1);
    sim.fill(&chip);
    let dir = sim.dir.path().join("backup");
    sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
    let copy = |name: &str| fs::read(dir.join(name)).unwrap();
    assert_eq!(copy("mtd0.U-Boot.bin"), chip[..0x80000]);
    assert_eq!(copy("mtd4.U-Boot Config.bin"), chip[0x80000..0xc0000]);
    assert_eq!(copy("mtd5.NAS Config.bin"), chip[0xc0000..2 * MIB]);
    assert_eq!(copy("mtd1.Kernel.bin"), chip[2 * MIB..4 * MIB]);
    assert_eq!(copy("mtd2.RootFS1.bin"), chip[4 * MIB..13 * MIB]);
    assert_eq!(copy("mtd3.RootFS2.bin"), chip[13 * MIB..]);
    tool(
        "sh",
        &[
            "-c",
            &format!("cd '{}' && sha256sum --strict -c SHA256SUMS", dir.display()),
        ],
    );
}

#[test]
fn restore_brings_a_box_back_except_what_is_kept() {
    let sim = SimBox::new("qnap-ts219");
    let good = bytes(16 * MIB, 2);
    sim.fill(&good);
    let dir = sim.dir.path().join("backup");
    let dir = dir.to_str().unwrap();
    sim.run("backup", &[dir]).exits(0);
    let spoilt = bytes(16 * MIB, 3);
    sim.fill(&spoilt);
    sim.run("restore", &["-y", dir]).exits(0);
    let after = sim.flash();
    assert_eq!(after[2 * MIB..], good[2 * MIB..]);
    assert_eq!(
        after[..2 * MIB],
        spoilt[..2 * MIB],
        "boot loader and settings are left alone"
    );

    sim.run("restore", &["-y", "--part", "NAS Config", "--force", "settings", dir])
        .exits(0);
    let after = sim.flash();
    assert_eq!(after[0xc0000..], good[0xc0000..]);
    assert_eq!(after[..0xc0000], spoilt[..0xc0000]);
}

#[test]
fn windows_onto_the_same_bytes_are_restored_once() {
    let sim = SimBox::new("tplink-wdr3600");
    let good = bytes(8 * MIB, 4);
    sim.fill(&good);
    let dir = sim.dir.path().join("backup");
    let dir = dir.to_str().unwrap();
    sim.run("backup", &[dir]).exits(0);
    sim.fill(&bytes(8 * MIB, 5));
    sim.run("restore", &["-y", dir]).exits(0);
    assert_eq!(sim.flash()[0x20000..0x7f0000], good[0x20000..0x7f0000]);
}

#[test]
fn a_backup_that_is_not_what_its_sums_say_is_refused() {
    let sim = SimBox::new("generic");
    let dir = sim.dir.path().join("backup");
    let path = dir.to_str().unwrap();
    sim.run("backup", &[path]).exits(0);
    let before = sim.flash();
    fs::write(dir.join("mtd2.kernel.bin"), bytes(3 * MIB, 6)).unwrap();
    sim.run("restore", &["-y", path]).exits(65);
    fs::remove_file(dir.join("mtd2.kernel.bin")).unwrap();
    sim.run("restore", &["-y", path]).exits(66);
    fs::remove_file(dir.join("SHA256SUMS")).unwrap();
    sim.run("restore", &["-y", path]).exits(66);
    sim.run("restore", &["-y", "--part", "rootfs", path]).exits(66);
    assert!(sim.flash() == before);
}

#[test]
fn a_backup_of_another_box_is_refused() {
    let sim = SimBox::new("generic");
    let dir = sim.dir.path().join("backup");
    sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
    let other = SimBox::new("qnap-ts109");
    let before = other.flash();
    other.run("restore", &["-y", dir.to_str().unwrap()]).exits(78);
    assert!(other.flash() == before);
}

#[test]
fn apply_can_make_the_backup_first() {
    let sim = SimBox::new("generic");
    let old = bytes(16 * MIB, 7);
    sim.fill(&old);
    let dir = sim.dir.path().join("backup");
    let image = sim.file("image", &bytes(MIB, 8));
    sim.apply(&["--part", "kernel", "--backup", dir.to_str().unwrap(), &image])
        .exits(0);
    assert_eq!(fs::read(dir.join("mtd2.kernel.bin")).unwrap(), old[0x50000..0x350000]);
}

#[test]
fn a_backup_that_cannot_be_written_stops_the_update() {
    let sim = SimBox::new("generic");
    let before = sim.flash();
    let image = sim.file("image", &bytes(MIB, 9));
    sim.apply(&["--part", "kernel", "--backup", "/dev/null/backup", &image])
        .exits(71);
    assert!(sim.flash() == before);
}
