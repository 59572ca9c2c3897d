//! The rules and faults of simulated NOR, RAM and DataFlash.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use mtd_rs::{
    EraseRegion, ErrorKind, Fault, Flash, FlashKind, Geometry, MTD_BIT_WRITEABLE, MTD_NO_ERASE, MTD_WRITEABLE,
    Operation, SimChip, SimFlash, Timing,
};

const BLOCK: u64 = 0x1000;

fn chip() -> SimChip {
    SimChip::nor(0x8000, BLOCK as u32).build().unwrap()
}

fn read(flash: &mut SimFlash, offset: u64, length: usize) -> Vec<u8> {
    let mut buf = vec![0; length];
    flash.read(offset, &mut buf).unwrap();
    buf
}

#[test]
fn a_new_chip_is_blank() {
    assert!(chip().contents(0..0x8000).iter().all(|byte| *byte == 0xff));
}

#[test]
fn bits_can_be_cleared_twice_but_never_set() {
    let chip = chip();
    let mut flash = chip.whole("nor");
    flash.program(0x10, &[0xf0, 0xff]).unwrap();
    flash.program(0x10, &[0x30]).unwrap();
    let error = flash.program(0xf, &[0x00, 0x31]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::SetsBit, Some(0x10)));
    assert_eq!(
        chip.contents(0xf..0x12),
        [0xff, 0x30, 0xff],
        "a refused program changes nothing"
    );
    flash.erase(0).unwrap();
    flash.program(0x10, &[0x31]).unwrap();
    assert_eq!(read(&mut flash, 0x10, 1), [0x31]);
}

#[test]
fn an_erase_clears_its_block_and_no_other_byte() {
    let chip = chip();
    chip.load(0, &[0; 0x8000]);
    chip.whole("nor").erase(BLOCK).unwrap();
    let bytes = chip.contents(0..0x8000);
    for (offset, byte) in bytes.iter().enumerate() {
        let inside = (BLOCK..2 * BLOCK).contains(&(offset as u64));
        assert_eq!(*byte, if inside { 0xff } else { 0 }, "at {offset:#x}");
    }
}

#[test]
fn an_erase_must_begin_where_a_block_begins() {
    let chip = chip();
    chip.load(0, &[0; 0x8000]);
    let error = chip.whole("nor").erase(BLOCK + 1).unwrap_err();
    assert_eq!(
        (error.operation(), error.kind()),
        (Operation::Erase, ErrorKind::Unaligned)
    );
    assert!(chip.contents(0..0x8000).iter().all(|byte| *byte == 0));
}

#[test]
fn nothing_reaches_behind_the_end_of_a_partition() {
    let chip = chip();
    let mut flash = chip.partition("part", BLOCK..3 * BLOCK, true);
    let end = 2 * BLOCK;
    assert_eq!(flash.geometry().size, end);
    assert_eq!(
        flash.read(end - 1, &mut [0; 2]).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    assert_eq!(
        flash.program(end - 1, &[0; 2]).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    assert_eq!(flash.erase(end).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(
        flash.read(u64::MAX, &mut [0; 2]).unwrap_err().kind(),
        ErrorKind::OutOfRange
    );
    assert!(chip.contents(0..0x8000).iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_partition_counts_from_its_own_start() {
    let chip = chip();
    let mut flash = chip.partition("part", BLOCK..3 * BLOCK, true);
    flash.program(BLOCK + 2, b"x").unwrap();
    assert_eq!(chip.contents(2 * BLOCK + 2..2 * BLOCK + 3), b"x");
    let error = flash.program(BLOCK + 2, b"\xff").unwrap_err();
    assert_eq!(error.offset(), Some(BLOCK + 2));
}

#[test]
fn a_partition_is_cut_at_the_end_of_the_chip() {
    let flash = chip().partition("part", 0x7000..0x9_0000, true);
    assert_eq!(flash.geometry().size, 0x1000);
}

#[test]
fn a_read_only_partition_refuses_every_change() {
    let chip = chip();
    let mut flash = chip.partition("ro", 0..0x8000, false);
    assert_eq!(flash.geometry().flags & MTD_WRITEABLE, 0);
    assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(flash.program(0, &[0]).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(flash.mark_bad(0).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(flash.unlock(0..BLOCK).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(read(&mut flash, 0, 1), [0xff]);
}

#[test]
fn a_partition_off_the_block_edges_cannot_erase_its_neighbours() {
    let chip = chip();
    chip.load(0, &[0; 0x8000]);
    for range in [0x800..0x3000, 0x1000..0x2800] {
        let mut flash = chip.partition("crooked", range, true);
        assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(flash.erase(0x1000).unwrap_err().kind(), ErrorKind::ReadOnly);
    }
    assert!(chip.contents(0..0x8000).iter().all(|byte| *byte == 0));
}

#[test]
fn regions_are_cut_to_the_partition_and_erased_in_their_own_size() {
    let regions = vec![
        EraseRegion {
            offset: 0,
            erase_size: 0x400,
            blocks: 4,
        },
        EraseRegion {
            offset: 0x1000,
            erase_size: 0x1000,
            blocks: 7,
        },
    ];
    let chip = SimChip::nor(0x8000, 0x1000).regions(regions).build().unwrap();
    chip.load(0, &[0; 0x8000]);
    let mut flash = chip.partition("both", 0x800..0x3000, true);
    assert_eq!(
        flash.geometry().regions,
        [
            EraseRegion {
                offset: 0,
                erase_size: 0x400,
                blocks: 2
            },
            EraseRegion {
                offset: 0x800,
                erase_size: 0x1000,
                blocks: 2
            },
        ]
    );
    flash.erase(0x400).unwrap();
    flash.erase(0x800).unwrap();
    assert_eq!(chip.contents(0xbff..0xc01), [0, 0xff]);
    assert_eq!(chip.contents(0x1fff..0x2001), [0xff, 0]);

    let small = chip.partition("small", 0..0x1000, true);
    assert!(small.geometry().regions.is_empty());
    assert_eq!(small.geometry().erase_size, 0x400);
}

#[test]
fn nor_has_no_bad_blocks_and_no_ecc() {
    let mut flash = chip().whole("nor");
    assert!(!flash.is_bad(0).unwrap());
    assert_eq!(flash.mark_bad(0).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    assert_eq!(flash.ecc_stats().unwrap(), None);
}

#[test]
fn a_failed_erase_leaves_garbage_and_may_be_tried_again() {
    let chip = chip();
    let mut flash = chip.whole("nor");
    chip.load(BLOCK, &[0; BLOCK as usize]);
    chip.inject(Fault::EraseFails { block: BLOCK, times: 2 });
    flash.erase(0).unwrap();
    for _ in 0..2 {
        assert_eq!(flash.erase(BLOCK).unwrap_err().raw_os_error(), Some(libc::EIO));
    }
    let bytes = chip.contents(BLOCK..2 * BLOCK);
    assert!(bytes.iter().any(|byte| *byte != 0xff) && bytes.iter().any(|byte| *byte != 0));
    flash.erase(BLOCK).unwrap();
    assert!(chip.contents(BLOCK..2 * BLOCK).iter().all(|byte| *byte == 0xff));
    assert_eq!(chip.erases_of(BLOCK + 5), 3);
    assert_eq!(chip.erases_of(0), 1);
    assert_eq!(chip.erases_of(0x10_0000), 0);
}

#[test]
fn a_failed_program_leaves_what_it_got_done() {
    let chip = chip();
    chip.inject(Fault::ProgramFails {
        offset: 0x104,
        times: 1,
    });
    let error = chip.whole("nor").program(0x100, &[0x00; 8]).unwrap_err();
    assert_eq!((error.raw_os_error(), error.offset()), (Some(libc::EIO), Some(0x104)));
    assert_eq!(chip.contents(0x100..0x108), [0, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff]);
    chip.whole("nor").program(0x100, &[0x00; 8]).unwrap();
}

#[test]
fn a_flipped_bit_shows_as_often_as_asked() {
    let chip = chip();
    let mut flash = chip.whole("nor");
    chip.inject(Fault::FlipOnRead {
        offset: 0x20,
        bit: 3,
        times: 1,
    });
    assert_eq!(
        read(&mut flash, 0, 0x20),
        [0xff; 0x20],
        "reads that miss the byte do not use it up"
    );
    assert_eq!(read(&mut flash, 0x1f, 3), [0xff, 0xf7, 0xff]);
    assert_eq!(read(&mut flash, 0x1f, 3), [0xff; 3]);
    chip.inject(Fault::FlipOnRead {
        offset: 0x20,
        bit: 0,
        times: u32::MAX,
    });
    for _ in 0..5 {
        assert_eq!(read(&mut flash, 0x20, 1), [0xfe]);
    }
    assert_eq!(chip.contents(0x20..0x21), [0xff]);
}

#[test]
fn a_stuck_bit_stays_0_after_every_erase() {
    let chip = chip();
    let mut flash = chip.whole("nor");
    chip.inject(Fault::StuckBit { offset: 7, bit: 7 });
    for _ in 0..2 {
        flash.erase(0).unwrap();
        assert_eq!(read(&mut flash, 7, 1), [0x7f]);
    }
    flash.program(7, &[0xff]).unwrap();
    flash.program(7, &[0x81]).unwrap();
    assert_eq!(read(&mut flash, 7, 1), [0x01]);
}

#[test]
fn a_failing_read_tells_its_offset() {
    let chip = chip();
    let mut flash = chip.partition("part", BLOCK..2 * BLOCK, true);
    chip.inject(Fault::ReadFails {
        offset: BLOCK + 9,
        times: 1,
    });
    let error = flash.read(0, &mut [0; 16]).unwrap_err();
    assert_eq!((error.raw_os_error(), error.offset()), (Some(libc::EIO), Some(9)));
    flash.read(0, &mut [0; 16]).unwrap();
}

#[test]
fn destroyed_data_of_a_chip_without_ecc_is_read_without_an_error() {
    let chip = chip();
    chip.inject(Fault::Uncorrectable { offset: 2, times: 1 });
    assert_eq!(read(&mut chip.whole("nor"), 0, 4), [0xff, 0xff, 0, 0xff]);
}

#[test]
fn a_power_cut_during_an_erase_leaves_garbage_that_is_always_the_same() {
    let garbage = |_| {
        let chip = chip();
        chip.load(0, &[0; 0x8000]);
        let mut flash = chip.whole("nor");
        chip.inject(Fault::PowerCutAfter { operations: 1 });
        flash.erase(0).unwrap();
        assert!(chip.power());
        assert_eq!(flash.erase(BLOCK).unwrap_err().kind(), ErrorKind::PowerLost);
        assert!(!chip.power());
        assert_eq!(chip.contents(2 * BLOCK..2 * BLOCK + 1), [0]);
        chip.contents(BLOCK..2 * BLOCK)
    };
    let runs: Vec<_> = (0..2).map(garbage).collect();
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].iter().any(|byte| *byte != 0) && runs[0].iter().any(|byte| *byte != 0xff));
}

#[test]
fn a_power_cut_during_a_program_leaves_the_first_half() {
    let chip = chip();
    chip.inject(Fault::PowerCutAfter { operations: 0 });
    let mut flash = chip.whole("nor");
    assert_eq!(flash.program(0, &[0; 8]).unwrap_err().kind(), ErrorKind::PowerLost);
    assert!(!chip.power());
    assert_eq!(chip.contents(0..8), [0, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff]);
}

#[test]
fn without_power_nothing_works_until_it_is_back() {
    let chip = chip();
    let mut flash = chip.whole("nor");
    chip.inject(Fault::PowerCutAfter { operations: 0 });
    flash.erase(0).unwrap_err();
    let lost = ErrorKind::PowerLost;
    assert_eq!(flash.read(0, &mut [0]).unwrap_err().kind(), lost);
    assert_eq!(flash.erase(0).unwrap_err().kind(), lost);
    assert_eq!(flash.program(0, &[0]).unwrap_err().kind(), lost);
    assert_eq!(flash.is_bad(0).unwrap_err().kind(), lost);
    assert_eq!(flash.is_locked(0..BLOCK).unwrap_err().kind(), lost);
    assert_eq!(flash.unlock(0..BLOCK).unwrap_err().kind(), lost);
    assert_eq!(flash.ecc_stats().unwrap_err().kind(), lost);
    chip.restore_power();
    flash.erase(0).unwrap();
}

#[test]
fn operations_that_a_rule_refuses_do_not_bring_the_power_cut_nearer() {
    let chip = chip();
    let mut flash = chip.whole("nor");
    chip.load(0, &[0]);
    chip.inject(Fault::PowerCutAfter { operations: 1 });
    flash.program(0, &[1]).unwrap_err();
    flash.erase(1).unwrap_err();
    flash.erase(0).unwrap();
    assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::PowerLost);
}

#[test]
fn a_chip_that_locks_itself_must_be_unlocked_after_every_power_up() {
    let chip = SimChip::nor(0x8000, 0x1000).locked_at_power_up().build().unwrap();
    let mut flash = chip.partition("part", BLOCK..4 * BLOCK, true);
    assert_eq!(flash.is_locked(0..BLOCK).unwrap(), Some(true));
    assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(flash.program(0, &[0]).unwrap_err().kind(), ErrorKind::Locked);
    flash.unlock(0..BLOCK).unwrap();
    assert_eq!(flash.is_locked(0..BLOCK).unwrap(), Some(false));
    assert_eq!(flash.is_locked(0..2 * BLOCK).unwrap(), Some(true));
    flash.erase(0).unwrap();
    assert_eq!(flash.erase(BLOCK).unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(flash.unlock(0..1).unwrap_err().kind(), ErrorKind::Unaligned);
    flash.lock(0..BLOCK).unwrap();
    assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::Locked);
    flash.unlock(0..BLOCK).unwrap();
    chip.restore_power();
    assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::Locked);
}

#[test]
fn unlocking_a_chip_without_locks_succeeds_and_locking_it_does_not() {
    let mut flash = chip().whole("nor");
    assert_eq!(flash.is_locked(0..BLOCK).unwrap(), None);
    flash.unlock(0..BLOCK).unwrap();
    assert_eq!(flash.lock(0..BLOCK).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
}

#[test]
fn ram_and_dataflash_can_be_overwritten() {
    let ram = Geometry {
        kind: FlashKind::Ram,
        flags: MTD_WRITEABLE | MTD_BIT_WRITEABLE | MTD_NO_ERASE,
        ..Geometry::nor(0x1000, 0x1000)
    };
    for chip in [SimChip::in_memory(&ram), SimChip::dataflash(16, 1056).build().unwrap()] {
        let mut flash = chip.whole("soft");
        flash.program(3, &[0]).unwrap();
        flash.program(3, &[0xa5]).unwrap();
        assert_eq!(read(&mut flash, 3, 1), [0xa5]);
    }
}

#[test]
fn dataflash_is_erased_in_pages_of_1056_bytes() {
    let chip = SimChip::dataflash(16, 1056).build().unwrap();
    chip.load(0, &[0; 16 * 1056]);
    let mut flash = chip.partition("part", 2 * 1056..4 * 1056, true);
    assert_eq!(flash.erase(1024).unwrap_err().kind(), ErrorKind::Unaligned);
    flash.erase(1056).unwrap();
    assert_eq!(chip.contents(3 * 1056 - 1..3 * 1056 + 1), [0, 0xff]);
    assert_eq!(chip.contents(4 * 1056 - 1..4 * 1056 + 1), [0xff, 0]);
}

#[test]
fn counters_and_clock_follow_the_data_sheet() {
    let chip = SimChip::nor(0x8_0000, 0x4_0000).timing(Timing::MX25L).build().unwrap();
    let mut flash = chip.whole("nor");
    flash.erase(0).unwrap();
    // The driver makes an erase block of 256 KiB of four erases of 64 KiB.
    assert_eq!(chip.elapsed(), Duration::from_millis(2800));
    chip.reset_counters();
    flash.program(0x80, &[0; 0x100]).unwrap();
    assert_eq!(
        chip.elapsed(),
        Duration::from_micros(2800),
        "the bytes lie in two pages"
    );
    read(&mut flash, 0, 0x1000);
    flash.erase(1).unwrap_err();
    let counters = chip.counters();
    assert_eq!(
        (counters.erases, counters.programs, counters.bytes_programmed),
        (0, 1, 0x100)
    );
    assert_eq!((counters.reads, counters.bytes_read), (1, 0x1000));
    assert_eq!(chip.erases_of(0), 1, "wear is not a counter");
    chip.set_timing(Timing::NONE);
    chip.reset_counters();
    flash.erase(0).unwrap();
    assert_eq!(chip.elapsed(), Duration::ZERO);
}

#[test]
fn test_access_is_not_counted() {
    let chip = chip();
    chip.load(0, &[1, 2, 3]);
    assert_eq!(chip.contents(0x7fff..0x9000), [0xff]);
    assert_eq!(chip.counters(), mtd_rs::Counters::default());
    assert_eq!(chip.elapsed(), Duration::ZERO);
}

#[test]
fn a_clone_is_the_same_chip() {
    let chip = chip();
    let other = chip.clone();
    chip.whole("nor").program(0, &[0]).unwrap();
    assert_eq!(other.contents(0..1), [0]);
}
