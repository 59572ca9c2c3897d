//! Flash that fails, and power that goes: the verdict is never one that the flash contradicts.

use crate::engine::{nor, run, run_with, write_of};
use crate::simbox::bytes;
use flasher::base::code::Code;
use flasher::base::error::{Exit, Harm};
use flasher::bytes::store::Store;
use flasher::flash::Policy;
use mtd_rs::{Fault, Flash, SimChip};

const BLOCK: u64 = 64 << 10;
const SIZE: u64 = 8 * BLOCK;

#[test]
fn what_fails_once_is_tried_again_and_counted() {
    for fault in [
        Fault::EraseFails {
            block: 3 * BLOCK,
            times: 1,
        },
        Fault::ProgramFails {
            offset: 3 * BLOCK + 100,
            times: 1,
        },
        Fault::EraseFails { block: 0, times: 2 },
    ] {
        let chip = nor(SIZE);
        chip.load(0, &bytes(SIZE as usize, 1));
        chip.inject(fault);
        let new = bytes(SIZE as usize, 2);
        let verified = run(
            &chip,
            &write_of(SIZE, SIZE, true),
            &Store::Memory(new.clone()),
            &mut |_| (),
        )
        .unwrap();
        assert!(verified.tally.retried > 0, "{fault:?}");
        assert_eq!(chip.contents(0..SIZE), new, "{fault:?}");
    }
}

#[test]
fn what_fails_for_good_names_the_place_and_is_partly_written() {
    for (fault, place) in [
        (
            Fault::EraseFails {
                block: 3 * BLOCK,
                times: u32::MAX,
            },
            "0x30000",
        ),
        (
            Fault::ProgramFails {
                offset: 5 * BLOCK,
                times: u32::MAX,
            },
            "0x50000",
        ),
        (
            Fault::FlipOnRead {
                offset: 2 * BLOCK + 7,
                bit: 3,
                times: u32::MAX,
            },
            "0x20007",
        ),
    ] {
        let chip = nor(SIZE);
        chip.load(0, &bytes(SIZE as usize, 3));
        chip.inject(fault);
        let image = Store::Memory(bytes(SIZE as usize, 4));
        let stopped = run(&chip, &write_of(SIZE, SIZE, false), &image, &mut |_| ()).unwrap_err();
        let failure = stopped.failure;
        assert_eq!((failure.harm, failure.exit), (Harm::Partly, Exit::Flash), "{fault:?}");
        assert!(
            failure.what.contains(place) && failure.what.contains("mtd0"),
            "{}",
            failure.what
        );
    }
}

#[test]
fn flash_that_cannot_be_read_before_anything_was_erased_is_untouched() {
    let chip = nor(SIZE);
    let old = bytes(SIZE as usize, 5);
    chip.load(0, &old);
    chip.inject(Fault::ReadFails {
        offset: 0,
        times: u32::MAX,
    });
    let image = Store::Memory(bytes(SIZE as usize, 6));
    let stopped = run(&chip, &write_of(SIZE, SIZE, true), &image, &mut |_| ()).unwrap_err();
    assert_eq!(
        (stopped.failure.harm, stopped.failure.exit),
        (Harm::Untouched, Exit::System)
    );
    assert_eq!(chip.contents(0..SIZE), old);
}

/// Law 9, at every single operation of an update.
#[test]
fn a_power_cut_at_any_operation_leaves_no_valid_boot_block_on_a_broken_image_and_a_second_run_completes() {
    let old = bytes(SIZE as usize, 7);
    let new = bytes(SIZE as usize - 1000, 8);
    let write = write_of(new.len() as u64, SIZE, true);
    let image = Store::Memory(new.clone());
    let mut cuts = 0;
    for operations in 0.. {
        let chip = nor(SIZE);
        chip.load(0, &old);
        chip.inject(Fault::PowerCutAfter { operations });
        let Err(stopped) = run(&chip, &write, &image, &mut |_| ()) else {
            break;
        };
        cuts += 1;
        let left = chip.contents(0..SIZE);
        let first_block_is_new = left[..BLOCK as usize] == new[..BLOCK as usize];
        let first_block_is_old = left[..BLOCK as usize] == old[..BLOCK as usize];
        let rest_is_new = left[BLOCK as usize..new.len()] == new[BLOCK as usize..];
        assert!(
            !first_block_is_new || rest_is_new,
            "a boot loader would start a mixture after {operations}"
        );
        if first_block_is_old {
            assert!(
                left == old,
                "the old system would start on a mixture after {operations}"
            );
        }
        if stopped.failure.harm == Harm::Untouched {
            assert!(left == old, "said to be untouched after {operations}");
        }
        chip.restore_power();
        let verified = run(&chip, &write, &image, &mut |_| ()).unwrap();
        assert_eq!(chip.contents(0..new.len() as u64), new, "after {operations}");
        assert!(verified.tally.erased + verified.tally.unchanged <= write.erase_blocks);
    }
    // 8 erases, and a program for each 16 KiB of the blocks.
    assert!(cuts >= 8 + 8 * 4, "{cuts}");
}

const ROLL_BACK: Policy = Policy {
    keep_old: 1 << 30,
    mark_bad: false,
};

#[test]
fn the_old_content_comes_back_when_a_bit_is_stuck_that_only_the_new_one_needs() {
    for boot in [false, true] {
        let chip = nor(SIZE);
        let old = vec![0x0f; SIZE as usize];
        chip.load(0, &old);
        // The old content has a zero there.
        chip.inject(Fault::StuckBit {
            offset: 5 * BLOCK + 99,
            bit: 7,
        });
        let image = Store::Memory(vec![0xf0; SIZE as usize]);
        let stopped = run_with(ROLL_BACK, &chip, &write_of(SIZE, SIZE, boot), &image, &mut |_| ()).unwrap_err();
        let failure = stopped.failure;
        assert_eq!(
            (failure.harm, failure.code, failure.exit),
            (Harm::Untouched, Code::RolledBack, Exit::Flash)
        );
        assert!(
            failure.what.contains("0x50063"),
            "the stuck place is named: {}",
            failure.what
        );
        assert!(chip.contents(0..SIZE) == old);
    }
}

#[test]
fn what_cannot_be_put_back_is_partly_written() {
    let chip = nor(SIZE);
    chip.load(0, &vec![0xff; SIZE as usize - 1]);
    chip.load(5 * BLOCK, &bytes(BLOCK as usize, 9));
    // Nothing that stands there can be right again.
    chip.inject(Fault::EraseFails {
        block: 5 * BLOCK,
        times: u32::MAX,
    });
    let image = Store::Memory(bytes(SIZE as usize, 10));
    let stopped = run_with(ROLL_BACK, &chip, &write_of(SIZE, SIZE, false), &image, &mut |_| ()).unwrap_err();
    assert_eq!(stopped.failure.harm, Harm::Partly);
    assert!(
        stopped.failure.what.contains("could not be put back"),
        "{}",
        stopped.failure.what
    );
}

#[test]
fn without_room_for_all_of_the_old_content_nothing_of_it_is_kept() {
    let chip = nor(SIZE);
    chip.load(0, &bytes(SIZE as usize, 11));
    chip.inject(Fault::ProgramFails {
        offset: 7 * BLOCK,
        times: u32::MAX,
    });
    let image = Store::Memory(bytes(SIZE as usize, 12));
    let policy = Policy {
        keep_old: 3 * BLOCK,
        mark_bad: false,
    };
    let stopped = run_with(policy, &chip, &write_of(SIZE, SIZE, false), &image, &mut |_| ()).unwrap_err();
    assert_eq!(
        (stopped.failure.harm, stopped.failure.code),
        (Harm::Partly, Code::Flash)
    );
}

const PAGE: u64 = 2048;

fn nand(blocks: u64) -> SimChip {
    SimChip::nand(blocks * BLOCK, BLOCK as u32, PAGE as u32, 64)
        .build()
        .unwrap()
}

#[test]
fn a_nand_block_that_fails_is_marked_bad_only_when_asked_and_its_content_moves_on() {
    for mark_bad in [false, true] {
        let chip = nand(10);
        chip.inject(Fault::ProgramFails {
            offset: 3 * BLOCK + 5 * PAGE,
            times: u32::MAX,
        });
        let new = bytes(SIZE as usize, 13);
        let policy = Policy { keep_old: 0, mark_bad };
        let result = run_with(
            policy,
            &chip,
            &write_of(SIZE, 10 * BLOCK, false),
            &Store::Memory(new.clone()),
            &mut |_| (),
        );
        assert_eq!(result.is_ok(), mark_bad);
        assert_eq!(chip.whole("nand").is_bad(3 * BLOCK).unwrap(), mark_bad);
        if mark_bad {
            assert!(chip.contents(0..3 * BLOCK) == new[..3 * BLOCK as usize]);
            assert!(chip.contents(4 * BLOCK..9 * BLOCK) == new[3 * BLOCK as usize..]);
        }
    }
}

#[test]
fn a_nand_without_a_spare_block_left_says_so() {
    let chip = nand(8);
    chip.inject(Fault::EraseFails {
        block: 2 * BLOCK,
        times: u32::MAX,
    });
    chip.load(2 * BLOCK, &[0; 64]);
    let policy = Policy {
        keep_old: 0,
        mark_bad: true,
    };
    let image = Store::Memory(bytes(SIZE as usize, 14));
    let stopped = run_with(policy, &chip, &write_of(SIZE, SIZE, false), &image, &mut |_| ()).unwrap_err();
    assert!(
        stopped.failure.what.contains("no good block is left"),
        "{}",
        stopped.failure.what
    );
}

/// Bits that read wrong where ECC can tell are errors, although read() succeeds.
#[test]
fn uncorrectable_nand_pages_are_not_taken_for_read_ones() {
    let chip = nand(8);
    chip.inject(Fault::Uncorrectable {
        offset: 4 * BLOCK + PAGE,
        times: u32::MAX,
    });
    let image = Store::Memory(bytes(SIZE as usize, 15));
    let stopped = run(&chip, &write_of(SIZE, SIZE, false), &image, &mut |_| ()).unwrap_err();
    assert!(stopped.failure.what.contains("0x4"), "{}", stopped.failure.what);
}

/// What stands behind the image in its last block is kept, but for what nobody can read any more: a power cut leaves such
/// pages, and the next run must be able to go on.
#[test]
fn a_page_behind_the_image_that_ecc_cannot_correct_becomes_blank_and_its_neighbours_stay() {
    let chip = nand(8);
    let old = bytes(8 * BLOCK as usize, 20);
    chip.load(0, &old);
    let image = bytes(2 * BLOCK as usize + 700, 21);
    let lost = 2 * BLOCK + 5 * PAGE;
    // The tail is read once, and then this page alone.
    chip.inject(Fault::Uncorrectable { offset: lost, times: 2 });
    let write = write_of(image.len() as u64, SIZE, false);
    let _ = run(&chip, &write, &Store::Memory(image.clone()), &mut |_| ()).unwrap();
    let mut expected = old;
    expected[..image.len()].copy_from_slice(&image);
    expected[lost as usize..(lost + PAGE) as usize].fill(0xff);
    assert!(chip.contents(0..8 * BLOCK) == expected);
}

/// Somebody else has the device: what the kernel refuses before anything is done leaves the flash untouched, and is not called
/// partly written. Later it is.
#[test]
fn flash_that_is_busy_before_the_first_change_is_untouched() {
    let times = u32::MAX;
    for (boot, blank, busy, harm) in [
        (false, false, 0, Harm::Untouched),
        (true, false, 0, Harm::Untouched),
        (false, true, 0, Harm::Untouched),
        (false, false, BLOCK, Harm::Partly),
    ] {
        let chip = nor(SIZE);
        if !blank {
            chip.load(0, &bytes(SIZE as usize, 3));
        }
        let before = chip.contents(0..SIZE);
        chip.inject(Fault::Busy { block: busy, times });
        let image = Store::Memory(bytes(SIZE as usize, 4));
        // Without the old content there is nothing to put back, which would be told as untouched too.
        let policy = Policy {
            keep_old: 0,
            ..Policy::default()
        };
        let stopped = run_with(policy, &chip, &write_of(SIZE, SIZE, boot), &image, &mut |_| ()).unwrap_err();
        assert_eq!(
            stopped.failure.harm, harm,
            "{boot} {blank} {busy}: {:?}",
            stopped.failure
        );
        assert_eq!(chip.contents(0..SIZE) == before, harm == Harm::Untouched);
    }
}
