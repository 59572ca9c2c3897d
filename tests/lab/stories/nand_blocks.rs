//! NAND with blocks that are bad from the factory, that wear out, and whose pages lose their bits: what flasher wrote is
//! what `nanddump` reads, and what it could not write it says.

use super::*;
use crate::lab::nand::{self, BLOCK};

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let content = b"\x02the content of twelve erase blocks and a bit \n".repeat(12 * BLOCK / 46 + 100);
    let product = tools::read(&tools::flasher(kind));
    let files = vec![("image.bin".to_owned(), content.clone())];
    // Three partitions: one with bad and weak blocks, one with a page that can be read once, one with too few good blocks.
    // The positions are those of the whole chip, in blocks and in pages of 64 a block.
    let mut machine = nand::boot(
        "nand-blocks",
        kind,
        product,
        files,
        "parts=20,16,16 badblocks=2,5,36,37,38,39,40 weakblocks=7:0 weakpages=580:0 gravepages=1346:1",
    );
    let mtd = nand::first_mtd(kind);

    // The worn block is found on the way, and its content moves on to the next good one.
    let said = machine.must(&format!(
        "/tmp/flasher apply -y --no-reboot --mark-bad --part mtd{mtd} /mnt/data/image.bin 2>&1"
    ));
    assert!(said.contains("has 2 bad blocks, which are passed over"), "{said}");
    let bad = machine.must(&format!("cat /sys/class/mtd/mtd{mtd}/bad_blocks"));
    assert_eq!(
        bad.trim(),
        "4",
        "block 7 cannot be erased, page 580 of block 9 not programmed"
    );
    // It leaves bad blocks out.
    let length = content.len();
    machine.must(&format!("nanddump -f /tmp/dump /dev/mtd{mtd}"));
    machine.must(&format!(
        "dd if=/tmp/dump bs={length} count=1 2>/dev/null | cmp - /mnt/data/image.bin && rm /tmp/dump"
    ));
    let again = machine.must(&format!(
        "/tmp/flasher apply -y --no-reboot --part mtd{mtd} /mnt/data/image.bin 2>&1"
    ));
    assert!(again.contains("nothing to do"), "{again}");

    // A page that loses more bits than ECC corrects is never called written.
    let grave = mtd + 1;
    let (status, said) = machine.run(&format!(
        "/tmp/flasher apply -y --no-reboot --part mtd{grave} /mnt/data/image.bin 2>&1"
    ));
    assert_eq!(status, 74, "{said}");
    assert!(said.contains("block at 0x20000") || said.contains("at 0x21"), "{said}");

    // Twelve blocks and a bit do not fit eleven good ones.
    let few = mtd + 2;
    let before = machine.must(&format!("sha256sum /dev/mtd{few}"));
    let (status, said) = machine.run(&format!(
        "/tmp/flasher apply -y --no-reboot --part mtd{few} /mnt/data/image.bin 2>&1"
    ));
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("refused by check size") && said.contains("too many"),
        "{said}"
    );
    assert_eq!(machine.must(&format!("sha256sum /dev/mtd{few}")), before);
}
