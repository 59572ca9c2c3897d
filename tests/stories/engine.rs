//! The engine on a simulated chip: least work, order, honesty. Counted in operations, not in seconds.

use crate::simbox::bytes;
use flasher::base::error::Harm;
use flasher::base::outcome::Stopped;
use flasher::base::phase::Phase;
use flasher::bytes::store::Store;
use flasher::flash::{self, Policy, Progress, Target, Verified};
use flasher::plan::{Destination, Write};
use mtd_rs::{Flash, Geometry, PartitionId, SimChip};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const BLOCK: u64 = 64 * KIB;

/// A write of the whole image to the start of a partition with erase blocks of 64 KiB.
pub fn write_of(length: u64, size: u64, boot: bool) -> Write {
    write_to(&Geometry::nor(size, BLOCK as u32), length, boot)
}

/// The same on flash of another shape.
pub fn write_to(geometry: &Geometry, length: u64, boot: bool) -> Write {
    let to = Destination {
        id: PartitionId::Mtd(0),
        name: "test".into(),
        size: geometry.size,
        erase_size: geometry.erase_size,
        bad: Vec::new(),
    };
    let mut write = Write::new(to, geometry, 0, 0..length);
    write.order.boot = boot;
    write
}

/// A target of which nothing is known to be up to date.
pub fn target(write: &Write, flash: Box<dyn Flash>) -> Target {
    Target {
        write: write.clone(),
        up_to_date: Vec::new(),
        flash,
    }
}

pub fn nor(size: u64) -> SimChip {
    SimChip::nor(size, BLOCK as u32).build().unwrap()
}

/// Writes and verifies, keeping nothing of the old content.
pub fn run(chip: &SimChip, write: &Write, image: &Store, seen: &mut dyn FnMut(Progress)) -> Result<Verified, Stopped> {
    run_with(Policy::default(), chip, write, image, seen)
}

/// Writes and verifies, as the program does.
pub fn run_with(
    policy: Policy,
    chip: &SimChip,
    write: &Write,
    image: &Store,
    seen: &mut dyn FnMut(Progress),
) -> Result<Verified, Stopped> {
    let flash: Box<dyn Flash> = Box::new(chip.whole("mtd0 \"test\""));
    let mut seen = seen;
    flash::write(vec![target(write, flash)], image, policy, &mut seen)?.verify(image, &mut seen)
}

#[test]
fn a_16_mib_update_with_30_percent_changed_erases_exactly_the_changed_blocks() {
    let chip = nor(16 * MIB);
    let mut old = bytes(16 * MIB as usize, 1);
    let changed: Vec<u64> = (0..256).filter(|block| block % 10 < 3).collect();
    // One byte, at a place that wanders through the block, and whose bits no program can set.
    let places = changed
        .iter()
        .map(|block| (block * BLOCK + block * 251 % BLOCK) as usize);
    places.clone().for_each(|at| old[at] = 0x0f);
    chip.load(0, &old);
    let mut new = old.clone();
    places.for_each(|at| new[at] = 0xf0);
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
        if progress.phase == Phase::Writing {
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
    new[500_000] = 0;
    chip.load(0, &new);
    new[500_000] = 1;
    let verified = run(&chip, &write_of(MIB, MIB, true), &Store::Memory(new), &mut |_| ()).unwrap();
    assert_eq!((verified.tally.erased, chip.erases_of(0)), (1, 0));
}

#[test]
fn a_bit_that_flips_after_its_block_was_read_back_is_found_by_the_last_verification() {
    let chip = nor(MIB);
    let new = bytes(MIB as usize, 7);
    let write = write_of(MIB, MIB, false);
    let stopped = run(&chip, &write, &Store::Memory(new.clone()), &mut |progress| {
        if progress.phase == Phase::Writing && progress.done == progress.total {
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
            let done = &mut last[usize::from(progress.phase == Phase::Verifying)];
            assert!(progress.done > *done && progress.done <= progress.total);
            *done = progress.done;
        },
    )
    .unwrap();
    assert_eq!(last, [length, length]);
}

#[test]
fn a_blank_block_and_one_that_only_loses_bits_are_programmed_without_an_erase() {
    let chip = nor(8 * BLOCK);
    let mut old = bytes(8 * BLOCK as usize, 9);
    old[..BLOCK as usize].fill(0xff);
    chip.load(0, &old);
    let mut new = old.clone();
    // Block 0 is blank, block 1 loses bits, block 2 would gain one.
    new[..BLOCK as usize].copy_from_slice(&bytes(BLOCK as usize, 10));
    let loses = (BLOCK..2 * BLOCK).find(|at| old[*at as usize] == 0xf0).unwrap() as usize;
    new[loses] = 0x10;
    let gains = (2 * BLOCK..3 * BLOCK).find(|at| old[*at as usize] == 0x10).unwrap() as usize;
    new[gains] = 0xf0;
    let verified = run(
        &chip,
        &write_of(8 * BLOCK, 8 * BLOCK, false),
        &Store::Memory(new.clone()),
        &mut |_| (),
    )
    .unwrap();
    assert_eq!((verified.tally.erased, verified.tally.unchanged), (1, 5));
    assert_eq!(chip.erases_of(2 * BLOCK), 1);
    assert_eq!(chip.contents(0..8 * BLOCK), new);
}

#[test]
fn nothing_changed_costs_one_read_for_the_comparison_and_one_for_the_verification() {
    let chip = nor(MIB);
    let image = bytes(MIB as usize, 11);
    chip.load(0, &image);
    let _ = run(&chip, &write_of(MIB, MIB, false), &Store::Memory(image), &mut |_| ()).unwrap();
    let counters = chip.counters();
    assert_eq!(
        (counters.erases, counters.programs, counters.bytes_read),
        (0, 0, 2 * MIB)
    );
}

/// What a block costs beside its erase and program: the old content is looked at as far as needed, and read back.
#[test]
fn a_full_rewrite_reads_no_more_than_it_must() {
    let chip = nor(MIB);
    chip.load(0, &bytes(MIB as usize, 12));
    let _ = run(
        &chip,
        &write_of(MIB, MIB, false),
        &Store::Memory(bytes(MIB as usize, 13)),
        &mut |_| (),
    )
    .unwrap();
    let counters = chip.counters();
    assert_eq!((counters.erases, counters.bytes_programmed), (16, MIB));
    // The first of each block shows that it differs; then the read-back, and the last verification.
    assert_eq!(counters.bytes_read, 16 * 2 * KIB + 2 * MIB);
}

/// In place, under the lock that is still held, a comparison is made once. Who wrote meanwhile all the same is found at the end.
#[test]
fn what_was_compared_is_not_compared_again_before_the_end() {
    let chip = nor(MIB);
    let mut new = bytes(MIB as usize, 12);
    chip.load(0, &new);
    new[..BLOCK as usize].fill(7);
    let store = Store::Memory(new);
    let write = write_of(MIB, MIB, false);
    let open = |_: &Write| -> flasher::base::error::Result<Box<dyn Flash>> { Ok(Box::new(chip.whole("mtd0"))) };
    let surveys = flash::survey(std::slice::from_ref(&write), &store, &mut None, open, |_| ()).unwrap();
    assert_eq!(surveys[0].up_to_date.len(), 15);
    let run = || {
        let known = Target {
            up_to_date: surveys[0].up_to_date.clone(),
            ..target(&write, Box::new(chip.whole("mtd0 \"test\"")))
        };
        flash::write(vec![known], &store, Policy::default(), &mut |_| ())?.verify(&store, &mut |_| ())
    };
    let before = chip.counters().bytes_read;
    let verified = run().unwrap();
    assert_eq!((verified.tally.erased, verified.tally.unchanged), (1, 15));
    // The beginning of the block that differs, its read-back, and everything at the end.
    assert_eq!(chip.counters().bytes_read - before, 2 * KIB + BLOCK + MIB);
    chip.load(5 * BLOCK, &[0x55; 16]);
    let stopped = run().unwrap_err();
    assert!(
        stopped.failure.what.contains("block at 0x50000"),
        "{}",
        stopped.failure.what
    );
}

/// The old content of a block is read once, for being compared and for being kept; where no ECC vouches for it, twice more.
#[test]
fn old_content_is_compared_as_it_was_kept() {
    let policy = Policy {
        keep_old: MIB,
        mark_bad: false,
    };
    let nand = SimChip::nand(MIB, BLOCK as u32, 2048, 64).build().unwrap();
    for (chip, reads) in [(nand, 3), (nor(MIB), 5)] {
        chip.load(0, &bytes(MIB as usize, 12));
        let store = Store::Memory(bytes(MIB as usize, 13));
        let write = write_of(MIB, MIB, false);
        let _ = run_with(policy, &chip, &write, &store, &mut |_| ()).unwrap();
        assert_eq!(chip.counters().bytes_read, reads * MIB);
    }
}
