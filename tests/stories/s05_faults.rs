//! Flash that fails, and power that goes: the verdict is never one that the flash contradicts.

use crate::s04_engine::{nor, run, write_of};
use crate::simbox::bytes;
use flasher::error::{Exit, Harm};
use flasher::image::store::Store;
use mtd_rs::Fault;

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
        assert!(verified.tally.erased + verified.tally.unchanged == write.erase_blocks);
    }
    // 8 erases, and a program for each 16 KiB of the blocks.
    assert!(cuts >= 8 + 8 * 4, "{cuts}");
}
