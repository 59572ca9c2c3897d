//! A `ubinize` image goes onto a NAND partition that nothing holds; UBI attaches it, and what is in it is right. A second
//! one keeps count of how often each block has been erased, behind its end too, where the header alone is programmed: into a
//! part of a page, whose rest UBI itself programs later.

use super::*;
use crate::lab::nand;

on!(tell: armel = Armel);

/// An erase block far behind the end of either image.
const BEHIND: usize = 100;

/// The firmware in UBI: a kernel in a volume of its own, and files.
fn firmware(letter: char) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let kernel = format!("\x02kernel {letter} ").repeat(30_000).into_bytes();
    let file = format!("what firmware {letter} is made of\n")
        .repeat(20_000)
        .into_bytes();
    let ubifs = nand::ubifs(&[("etc/firmware", &file)]);
    let image = nand::ubinize(&[("kernel", "dynamic", &kernel, 8), ("rootfs", "dynamic", &ubifs, 40)]);
    (image, kernel, file)
}

fn tell(kind: Kind) {
    let (a, b) = (firmware('A'), firmware('B'));
    let product = tools::read(&tools::flasher(kind));
    let mut files = Vec::new();
    for (letter, (image, kernel, file)) in [('a', &a), ('b', &b)] {
        files.push((format!("{letter}.ubi"), image.clone()));
        files.push((format!("{letter}.kernel"), kernel.clone()));
        files.push((format!("{letter}.file"), file.clone()));
    }
    let mut machine = nand::boot("ubi-image", kind, product, files, "badblocks=3,17");
    let mtd = nand::first_mtd(kind);
    let mut counters = Vec::new();
    let mut before = None;
    for letter in ['a', 'b'] {
        machine.must(&format!(
            "/tmp/flasher apply -y --no-reboot --part mtd{mtd} /mnt/data/{letter}.ubi"
        ));
        counters.push(erase_counter(&mut machine, mtd, 0));
        let behind = erase_counter(&mut machine, mtd, BEHIND);
        match before {
            // No counter was there, and UBI gives such a block its own.
            None => assert_eq!(behind, 0xffff, "blank"),
            Some(before) => assert_eq!(behind, before + 1, "the erase counter of a block behind the image"),
        }
        machine.must(&format!("ubiattach -m {mtd} /dev/ubi_ctrl"));
        let devices = machine.must("/tmp/flasher devices");
        for line in [
            "ubi0_0 \"ubi0:kernel\"",
            "ubi0_1 \"ubi0:rootfs\"",
            &format!("ubi0 attached to mtd{mtd}"),
        ] {
            assert!(devices.contains(line), "{devices}");
        }
        machine.must("mkdir -p /tmp/m && mount -t ubifs -o ro ubi0:rootfs /tmp/m");
        machine.must(&format!("cmp /tmp/m/etc/firmware /mnt/data/{letter}.file"));
        let kernel = if letter == 'a' { &a.1 } else { &b.1 };
        machine.must(&format!(
            "dd if=/dev/ubi0_0 bs={} count=1 2>/dev/null | cmp - /mnt/data/{letter}.kernel",
            kernel.len()
        ));
        machine.must("umount /tmp/m");
        held_by_ubi(&mut machine, mtd);
        machine.must("ubidetach -d 0 /dev/ubi_ctrl");
        let now = erase_counter(&mut machine, mtd, BEHIND);
        assert!(before.is_none_or(|before| now > before), "UBI goes on with the counter");
        before = Some(now);
    }
    assert_eq!(machine.must("cat /etc/firmware").trim(), format!("A 1.0-{kind}"));
    // It was erased once more, and UBI knows.
    assert_eq!(counters[1], counters[0] + 1, "the erase counter of the first block");
}

/// While UBI has the partition nothing is written in place, and the way out is told.
fn held_by_ubi(machine: &mut Machine, mtd: usize) {
    let (status, said) = machine.run(&format!(
        "/tmp/flasher apply -y --in-place --no-reboot --part mtd{mtd} /mnt/data/a.ubi 2>&1"
    ));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains(&format!("ubi0 attached to mtd{mtd}")), "{said}");
    assert!(said.contains("ubidetach -d 0"), "{said}");
}

/// The low half of the number in the header of an erase block (`struct ubi_ec_hdr`, drivers/mtd/ubi/ubi-media.h), which
/// is big-endian; the box's `od` prints words of its own order, in octal.
fn erase_counter(machine: &mut Machine, mtd: usize, block: usize) -> u16 {
    let skip = block * nand::BLOCK / 8 + 1;
    let dump = machine.must(&format!(
        "dd if=/dev/mtd{mtd} bs=8 skip={skip} count=1 2>/dev/null | od"
    ));
    let word = dump.lines().next().and_then(|line| line.split_whitespace().last());
    let word = word
        .and_then(|word| u16::from_str_radix(word, 8).ok())
        .expect("words in octal");
    if machine.kind.is_big_endian() {
        word
    } else {
        word.swap_bytes()
    }
}
