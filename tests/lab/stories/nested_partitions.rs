//! Partitions inside of partitions, as OpenWrt's splitters and device trees make them: what is mounted from an inner one is held
//! in the outer one, although sysfs counts the inner one's offset from the one around it, and nothing carries the same name.

use super::*;
use crate::lab::nested_nor;
use tools::patience;

/// `firmware` has two inner partitions, the second of them one more.
const PARTS: &str = "parts=loader:0:0x30000,loader-env:0x30000:0x10000,other:0x40000:0x7c0000,\
firmware:0x800000:0x7f0000,factory:0xff0000:0x10000,fw-kernel:0:0x200000:firmware,fw-rootfs:0x200000:0:firmware,\
fw-data:0x400000:0:fw-rootfs";

/// The same for two partitions that are joined to one device.
const JOINED: &str = "parts=loader:0:0x60000,first:0x60000:0x3a0000,second:0x800000:0x400000,inner:0x100000:0x200000:second \
concat=first:second:virtual";

const APPLY_FIRMWARE: &str = "/tmp/flasher apply -y --no-rollback --force=content --part firmware /mnt/data/image.bin";

/// Mounts a squashfs on `/tmp/rom` from the first partition, and an empty JFFS2 on `/tmp/overlay` from the second.
fn mount(machine: &mut Machine, rom: u32, overlay: u32) {
    machine.must(&format!("dd if=/mnt/data/rom of=/dev/mtdblock{rom} bs=64k && sync"));
    machine.must("mkdir /tmp/rom /tmp/overlay && echo 3 >/proc/sys/vm/drop_caches");
    machine.must(&format!("mount -t squashfs -o ro /dev/mtdblock{rom} /tmp/rom"));
    machine.must(&format!("mount -t jffs2 /dev/mtdblock{overlay} /tmp/overlay"));
    machine.must("echo mine >/tmp/overlay/file && sync");
}

/// Asserts that both file systems are whole: nothing of them was written behind the kernel's back.
fn is_untouched(machine: &mut Machine) {
    machine.must("echo 3 >/proc/sys/vm/drop_caches");
    machine.must("cmp /tmp/rom/file /mnt/data/file && grep -q mine /tmp/overlay/file");
}

fn boot(story: &str, words: &str) -> Machine {
    // Several erase blocks that do not compress.
    let file: Vec<u8> = (0..300_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let rom = nested_nor::squashfs("file", &file);
    let image = b"\x02a firmware for all of it ".repeat((6 << 20) / 25);
    let files: [(&str, &[u8]); 3] = [("rom", &rom), ("file", &file), ("image.bin", &image)];
    nested_nor::boot(story, words, &files)
}

/// Mounted from inner partitions, the outer one is in use: refused in place, the mounts named, and a takeover is the route,
/// which unmounts them.
#[test]
#[ignore = "needs the lab: tests/run"]
fn what_is_mounted_inside_is_held() {
    let mut machine = boot("nested-partitions", PARTS);
    let [rom, overlay] = ["fw-rootfs", "fw-data"].map(|name| nested_nor::mtd(&mut machine, name));
    mount(&mut machine, rom, overlay);
    let mounts = [
        format!("/dev/mtdblock{rom} mounted on /tmp/rom (squashfs)"),
        format!("/dev/mtdblock{overlay} mounted on /tmp/overlay (jffs2)"),
    ];

    let (status, said) = machine.run(&format!("{APPLY_FIRMWARE} --in-place 2>&1"));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("refused by check holders"), "{said}");
    for mount in &mounts {
        assert!(said.contains(mount), "{mount}: {said}");
    }
    is_untouched(&mut machine);

    // The outer partition's own lines, up to the next partition.
    let devices = machine.must("/tmp/flasher devices");
    let line = devices.find("\"firmware\"").expect("a line of the partition");
    let users: Vec<_> = devices[line..]
        .lines()
        .skip(1)
        .take_while(|line| line.trim_start().starts_with("used by"))
        .collect();
    for mount in &mounts {
        assert!(users.iter().any(|user| user.contains(mount)), "{mount}: {devices}");
    }
    // What lies beside them is nobody's.
    let (status, said) = machine
        .run("/tmp/flasher apply -y --no-reboot --in-place --force=content --part fw-kernel /mnt/data/file 2>&1");
    assert_eq!(status, 0, "{said}");
    is_untouched(&mut machine);

    let plan = machine.must("/tmp/flasher plan --no-rollback --force=content --part firmware /mnt/data/image.bin");
    assert!(plan.contains("route: staged"), "{plan}");
    machine.send_line(APPLY_FIRMWARE);
    machine.expect("/oldroot/tmp/overlay unmounted", patience(120));
    machine.expect(words::WRITING, patience(120));
    machine.expect("written and verified", patience(120));
    machine.wait_exit(patience(120));
}

/// A device that joins two partitions (`mtd_concat`) shares their bytes, and says of itself nowhere which they are: while
/// something is mounted from inside one of them it must not be written, nor the other way round.
#[test]
#[ignore = "needs the lab: tests/run"]
fn a_joined_device_shares_the_bytes_of_both() {
    let mut machine = boot("joined-partitions", JOINED);
    let [rom, overlay] = ["inner", "loader"].map(|name| nested_nor::mtd(&mut machine, name));
    mount(&mut machine, rom, overlay);
    let (status, said) = machine
        .run("/tmp/flasher apply -y --in-place --no-rollback --force=content --part virtual /mnt/data/image.bin 2>&1");
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("/tmp/rom"), "{said}");
    is_untouched(&mut machine);
}
