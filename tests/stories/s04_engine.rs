//! The engine on a simulated chip: least work, order, honesty. Counted in operations, not in seconds.

use crate::simbox::bytes;
use flasher::error::Harm;
use flasher::flash::{self, Progress, Stopped, Target, Verified};
use flasher::image::store::Store;
use flasher::plan::Write;
use mtd_rs::{Flash, SimChip};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const BLOCK: u64 = 64 * KIB;

/// A write of the whole image to the start of a partition.
pub fn write_of(length: u64, size: u64, boot: bool) -> Write {
    Write {
        partition: "test".into(),
        mtd: 0,
        offset: 0,
        length,
        erase_blocks: length.div_ceil(BLOCK),
        unchanged: None,
        source: 0,
        boot,
        bad: Vec::new(),
        size,
        erase_size: BLOCK as u32,
    }
}

pub fn nor(size: u64) -> SimChip {
    SimChip::nor(size, BLOCK as u32).build().unwrap()
}

/// Writes and verifies, as the program does.
pub fn run(chip: &SimChip, write: &Write, image: &Store, seen: &mut dyn FnMut(Progress)) -> Result<Verified, Stopped> {
    let flash: Box<dyn Flash> = Box::new(chip.whole("mtd0 \"test\""));
    let mut seen = seen;
    flash::write(vec![Target { write, flash }], image, &mut seen)?.verify(image, &mut seen)
}

#[test]
fn a_16_mib_update_with_30_percent_changed_erases_exactly_the_changed_blocks() {
    let chip = nor(16 * MIB);
    let old = bytes(16 * MIB as usize, 1);
    chip.load(0, &old);
    let mut new = old.clone();
    let changed: Vec<u64> = (0..256).filter(|block| block % 10 < 3).collect();
    for block in &changed {
        // One byte, at a place that wanders through the block.
        new[(block * BLOCK + block * 251 % BLOCK) as usize] ^= 0x5a;
    }
    let write = write_of(16 * MIB, 16 * MIB, false);
    let verified = run(&chip, &write, &Store::Memory(new.clone()), &mut |_| ()).unwrap();

    assert_eq!(verified.tally.erased, changed.len() as u64);
    assert_eq!(verified.tally.unchanged, 256 - changed.len() as u64);
    assert_eq!(chip.counters().erases, changed.len() as u64);
    for block in 0..256 {
        let expected = u32::from(changed.contains(&block));
        assert_eq!(chip.erases_of(block * BLOCK), expected, "block {block}");
    }
    assert_eq!(chip.contents(0..16 * MIB), new);
}

#[test]
fn the_rest_of_the_last_block_keeps_its_content() {
    let chip = nor(MIB);
    let old = bytes(MIB as usize, 2);
    chip.load(0, &old);
    let new = bytes(100_001, 3);
    let write = write_of(new.len() as u64, MIB, false);
    let _ = run(&chip, &write, &Store::Memory(new.clone()), &mut |_| ()).unwrap();
    let after = chip.contents(0..MIB);
    assert_eq!(after[..new.len()], new[..]);
    assert_eq!(after[new.len()..], old[new.len()..]);
}

#[test]
fn the_block_that_makes_the_box_bootable_is_blank_until_everything_else_is_right() {
    let chip = nor(MIB);
    chip.load(0, &bytes(MIB as usize, 4));
    let new = bytes(MIB as usize, 5);
    let write = write_of(MIB, MIB, true);
    let mut first_block = Vec::new();
    let _ = run(&chip, &write, &Store::Memory(new.clone()), &mut |progress| {
        if progress.phase == flash::Phase::Write {
            first_block.push(chip.contents(0..BLOCK).iter().all(|byte| *byte == 0xff));
        }
    })
    .unwrap();
    let (last, before) = first_block.split_last().unwrap();
    assert_eq!(before.len(), 15);
    assert!(before.iter().all(|blank| *blank), "{first_block:?}");
    assert!(!last);
    assert_eq!(chip.contents(0..MIB), new);
}

#[test]
fn a_bootable_block_that_stays_as_it_is_is_not_erased() {
    let chip = nor(MIB);
    let mut new = bytes(MIB as usize, 6);
    chip.load(0, &new);
    new[500_000] ^= 1;
    let verified = run(&chip, &write_of(MIB, MIB, true), &Store::Memory(new), &mut |_| ()).unwrap();
    assert_eq!((verified.tally.erased, chip.erases_of(0)), (1, 0));
}

#[test]
fn a_bit_that_flips_after_its_block_was_read_back_is_found_by_the_last_verification() {
    let chip = nor(MIB);
    let new = bytes(MIB as usize, 7);
    let write = write_of(MIB, MIB, false);
    let stopped = run(&chip, &write, &Store::Memory(new.clone()), &mut |progress| {
        if progress.phase == flash::Phase::Write && progress.done == progress.total {
            chip.load(300_000, &[new[300_000] ^ 4]);
        }
    })
    .unwrap_err();
    assert_eq!(stopped.failure.harm, Harm::Partly);
    assert!(stopped.failure.what.contains("0x40000"), "{}", stopped.failure.what);
}

#[test]
fn progress_counts_every_byte_once_in_each_phase() {
    let chip = nor(MIB);
    let length = MIB - 777;
    let mut last = [0, 0];
    let _ = run(
        &chip,
        &write_of(length, MIB, true),
        &Store::Memory(bytes(length as usize, 8)),
        &mut |progress| {
            let done = &mut last[usize::from(progress.phase == flash::Phase::Verify)];
            assert!(progress.done > *done && progress.done <= progress.total);
            *done = progress.done;
        },
    )
    .unwrap();
    assert_eq!(last, [length, length]);
}
