//! Chips of unusual shapes, and pages that are to stay blank.

use crate::engine::{run, write_to};
use crate::simbox::bytes;
use flasher::bytes::store::Store;
use flasher::plan::{Method, Rest, Write};
use mtd_rs::{EraseRegion, Flash, FlashKind, Geometry, SimChip};

const KIB: u64 = 1 << 10;

fn whole(chip: &SimChip, length: u64) -> Write {
    write_to(&chip.geometry(), length, false)
}

/// AT45DB011 to AT45DB642: pages of 264, 528 and 1056 bytes, each an erase block of its own, which the chip erases
/// itself when it programs it.
#[test]
fn dataflash_whose_pages_are_no_powers_of_two_is_programmed_once_a_page_and_not_erased_before() {
    for page in [264, 528, 1056] {
        let chip = SimChip::dataflash(300, page).build().unwrap();
        let size = 300 * u64::from(page);
        let mut old = bytes(size as usize, 1);
        chip.load(0, &old);
        // The end lies within a page, whose rest stays.
        let length = 200 * page as usize - 100;
        let mut new = bytes(length, 2);
        new[..50 * page as usize].copy_from_slice(&old[..50 * page as usize]);
        let blank = 60 * page as usize;
        new[blank..blank + page as usize].fill(0xff);
        let write = whole(&chip, length as u64);
        assert_eq!(write.erase_blocks, 200);
        let verified = run(&chip, &write, &Store::Memory(new.clone()), &mut |_| ()).unwrap();
        old[..length].copy_from_slice(&new);
        assert!(chip.contents(0..size) == old, "pages of {page} bytes");
        let counters = chip.counters();
        assert_eq!(
            (verified.tally.unchanged, counters.erases, counters.programs),
            (50, 0, 150)
        );
    }
}

/// S29GL and the like: eight blocks of 8 KiB where the boot loader is, then blocks of 64 KiB.
#[test]
fn a_chip_with_boot_blocks_has_each_block_erased_in_its_own_size() {
    let regions = [(0, 8 * KIB, 8), (64 * KIB, 64 * KIB, 15)];
    let regions = regions.map(|(offset, size, blocks)| EraseRegion {
        offset,
        erase_size: size as u32,
        blocks,
    });
    let chip = SimChip::nor(1024 * KIB, 64 << 10).regions(regions.to_vec());
    let chip = chip.build().unwrap();
    let mut old = bytes(1024 << 10, 3);
    let changes = [2 * 8 * KIB + 5, 7 * 8 * KIB, 128 * KIB + 77].map(|at| at as usize);
    changes.iter().for_each(|at| old[*at] = 0x0f);
    chip.load(0, &old);
    let mut new = old.clone();
    changes.iter().for_each(|at| new[*at] = 0xf0);
    let write = whole(&chip, new.len() as u64);
    assert_eq!(write.erase_blocks, 8 + 15);
    let verified = run(&chip, &write, &Store::Memory(new.clone()), &mut |_| ()).unwrap();
    assert_eq!((verified.tally.erased, verified.tally.unchanged), (3, 20));
    assert!(chip.contents(0..1024 * KIB) == new);
    for block in [2 * 8 * KIB, 7 * 8 * KIB, 128 * KIB] {
        assert_eq!(chip.erases_of(block), 1, "0x{block:x}");
    }
    assert_eq!(chip.counters().bytes_programmed, 8 * KIB + 8 * KIB + 64 * KIB);
}

/// The simulated chip refuses pages out of order and pages programmed twice.
#[test]
fn mlc_nand_is_only_ever_erased_and_programmed_from_its_first_page() {
    let geometry = Geometry {
        kind: FlashKind::MlcNand,
        ..Geometry::nand(512 * KIB, 64 << 10, 2048, 64)
    };
    let chip = SimChip::in_memory(&geometry);
    let mut image = bytes(400 << 10, 4);
    let write = whole(&chip, image.len() as u64);
    let _ = run(&chip, &write, &Store::Memory(image.clone()), &mut |_| ()).unwrap();
    // A page in the middle of a block loses a bit: NOR would be programmed without an erase.
    image[200_000] = 0;
    chip.reset_counters();
    let _ = run(&chip, &write, &Store::Memory(image.clone()), &mut |_| ()).unwrap();
    let counters = chip.counters();
    assert_eq!((counters.erases, counters.bytes_programmed), (1, 64 * KIB));
    assert!(chip.contents(0..400 * KIB) == image);
}

/// JFFS2 programs blank pages later; a boot loader may take a page that was never programmed for a damaged one.
#[test]
fn blank_pages_at_the_end_of_a_block_are_left_out_only_for_who_programs_them_later() {
    for leave_blank in [false, true] {
        let chip = SimChip::nand(128 * KIB, 16 << 10, 512, 16).build().unwrap();
        let mut image = bytes(64 << 10, 5);
        image[20_000..32 << 10].fill(0xff);
        let method = Method::Blocks {
            leave_blank,
            rest: Rest::Keep,
        };
        let write = whole(&chip, image.len() as u64).by(method, &chip.geometry());
        let _ = run(&chip, &write, &Store::Memory(image.clone()), &mut |_| ()).unwrap();
        assert!(chip.contents(0..64 * KIB) == image);
        let later = chip.whole("jffs2").program(20_480, &[0; 512]);
        assert_eq!(later.is_ok(), leave_blank);
        let programmed = chip.counters().bytes_programmed - u64::from(leave_blank) * 512;
        assert_eq!(programmed, if leave_blank { 20_480 + 32 * KIB } else { 64 * KIB });
    }
}
