//! The rules and faults of simulated NAND.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use mtd_rs::{EccStats, ErrorKind, Fault, Flash, SimChip, SimFlash};

const PAGE: u64 = 512;
const BLOCK: u64 = 8 * PAGE;

fn chip() -> SimChip {
    SimChip::nand(8 * BLOCK, BLOCK as u32, PAGE as u32, 16).build().unwrap()
}

fn page(byte: u8) -> Vec<u8> {
    vec![byte; PAGE as usize]
}

fn read_page(flash: &mut SimFlash, offset: u64) -> Vec<u8> {
    let mut buf = page(0);
    flash.read(offset, &mut buf).unwrap();
    buf
}

fn stats(flash: &mut SimFlash) -> (u32, u32) {
    let stats = flash.ecc_stats().unwrap().unwrap();
    (stats.corrected, stats.failed)
}

#[test]
fn only_whole_pages_can_be_programmed() {
    let mut flash = chip().whole("nand");
    for (offset, length) in [(1, PAGE), (0, 1), (0, PAGE + 1), (PAGE / 2, PAGE)] {
        let error = flash.program(offset, &vec![0; length as usize]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unaligned);
    }
    flash.program(PAGE, &vec![0; 2 * PAGE as usize]).unwrap();
}

#[test]
fn a_page_is_programmed_once_between_erases() {
    let mut flash = chip().whole("nand");
    flash.program(0, &page(0x0f)).unwrap();
    let error = flash.program(0, &page(0x00)).unwrap_err();
    assert_eq!(
        (error.kind(), error.offset()),
        (ErrorKind::PageProgrammedTwice, Some(0))
    );
    assert_eq!(read_page(&mut flash, 0), page(0x0f));
    flash.erase(0).unwrap();
    flash.program(0, &page(0xf0)).unwrap();
}

#[test]
fn a_page_of_ff_is_programmed_too() {
    let mut flash = chip().whole("nand");
    flash.program(0, &page(0xff)).unwrap();
    assert_eq!(
        flash.program(0, &page(0)).unwrap_err().kind(),
        ErrorKind::PageProgrammedTwice
    );
}

#[test]
fn pages_of_a_block_are_programmed_in_ascending_order() {
    let mut flash = chip().whole("nand");
    flash.program(3 * PAGE, &page(1)).unwrap();
    let error = flash.program(PAGE, &vec![2; 2 * PAGE as usize]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::PageOutOfOrder, Some(PAGE)));
    flash.program(4 * PAGE, &page(2)).unwrap();
    // The order counts within each block only.
    flash.program(BLOCK, &page(3)).unwrap();
    flash.program(2 * BLOCK - PAGE, &page(4)).unwrap();
}

#[test]
fn a_refused_program_changes_no_page() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    flash.program(2 * PAGE, &page(0)).unwrap();
    flash.program(PAGE, &vec![0; 2 * PAGE as usize]).unwrap_err();
    assert!(chip.contents(PAGE..2 * PAGE).iter().all(|byte| *byte == 0xff));
    assert_eq!(chip.counters().programs, 1);
}

#[test]
fn a_bad_block_can_be_read_but_not_changed() {
    let chip = chip();
    chip.load(BLOCK, &page(7));
    chip.make_bad(BLOCK);
    let mut flash = chip.partition("part", BLOCK..4 * BLOCK, true);
    assert!(flash.is_bad(0).unwrap());
    assert!(!flash.is_bad(BLOCK).unwrap());
    assert_eq!(flash.is_bad(1).unwrap_err().kind(), ErrorKind::Unaligned);
    assert_eq!(flash.erase(0).unwrap_err().kind(), ErrorKind::BadBlock);
    assert_eq!(flash.program(PAGE, &page(0)).unwrap_err().kind(), ErrorKind::BadBlock);
    assert_eq!(read_page(&mut flash, 0), page(7));
}

#[test]
fn a_program_that_runs_into_a_bad_block_changes_nothing() {
    let chip = chip();
    chip.make_bad(BLOCK);
    let mut flash = chip.whole("nand");
    let error = flash.program(BLOCK - PAGE, &vec![0; 2 * PAGE as usize]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::BadBlock, Some(BLOCK)));
    assert!(chip.contents(0..2 * BLOCK).iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_block_marked_bad_stays_bad_and_is_counted_in_its_partition_only() {
    let chip = chip();
    chip.whole("nand").mark_bad(3 * BLOCK).unwrap();
    assert!(chip.whole("nand").is_bad(3 * BLOCK).unwrap());
    let mut with = chip.partition("with", 2 * BLOCK..4 * BLOCK, true);
    let mut without = chip.partition("without", 0..2 * BLOCK, true);
    assert_eq!(
        with.ecc_stats().unwrap(),
        Some(EccStats {
            bad_blocks: 1,
            ..EccStats::default()
        })
    );
    assert_eq!(without.ecc_stats().unwrap(), Some(EccStats::default()));
}

#[test]
fn one_wrong_bit_is_corrected_and_counted() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    flash.program(0, &page(0x5a)).unwrap();
    chip.inject(Fault::FlipOnRead {
        offset: 9,
        bit: 1,
        times: 1,
    });
    assert_eq!(read_page(&mut flash, 0), page(0x5a));
    assert_eq!(stats(&mut flash), (1, 0));
    read_page(&mut flash, 0);
    assert_eq!(stats(&mut flash), (1, 0));
}

#[test]
fn two_wrong_bits_in_a_page_are_read_without_an_error_but_counted() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    chip.inject(Fault::FlipOnRead {
        offset: 9,
        bit: 1,
        times: 1,
    });
    chip.inject(Fault::FlipOnRead {
        offset: 10,
        bit: 0,
        times: 1,
    });
    let bytes = read_page(&mut flash, 0);
    assert_eq!((bytes[9], bytes[10], bytes[11]), (0xfd, 0xfe, 0xff));
    assert_eq!(stats(&mut flash), (0, 1));
}

#[test]
fn a_stuck_bit_is_corrected_where_it_matters() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    chip.inject(Fault::StuckBit { offset: 0, bit: 0 });
    flash.program(0, &page(0xfe)).unwrap();
    read_page(&mut flash, 0);
    assert_eq!(stats(&mut flash), (0, 0), "a 0 may be stuck at 0");
    flash.erase(0).unwrap();
    assert_eq!(read_page(&mut flash, 0), page(0xff));
    assert_eq!(stats(&mut flash), (1, 0));
    chip.inject(Fault::StuckBit { offset: 1, bit: 0 });
    assert_eq!(read_page(&mut flash, 0)[..3], [0xfe, 0xfe, 0xff]);
    assert_eq!(stats(&mut flash), (1, 1));
}

#[test]
fn an_uncorrectable_page_reads_as_garbage_with_success() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    flash.program(0, &page(0x5a)).unwrap();
    chip.inject(Fault::Uncorrectable { offset: 100, times: 1 });
    let bytes = read_page(&mut flash, 0);
    assert!(bytes.iter().all(|byte| *byte != 0x5a));
    assert_eq!(stats(&mut flash), (0, 1));
    assert_eq!(read_page(&mut flash, 0), page(0x5a));
}

#[test]
fn a_failed_program_spoils_its_page_until_the_erase() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    chip.inject(Fault::ProgramFails {
        offset: PAGE + 5,
        times: 1,
    });
    let error = flash.program(0, &vec![0; 3 * PAGE as usize]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    assert_eq!(read_page(&mut flash, 0), page(0));
    assert_eq!(stats(&mut flash), (0, 0));
    let torn = read_page(&mut flash, PAGE);
    assert_eq!((torn[0], torn[PAGE as usize - 1]), (0, 0xff));
    assert_eq!(stats(&mut flash), (0, 1));
    assert_eq!(
        flash.program(PAGE, &page(0)).unwrap_err().kind(),
        ErrorKind::PageProgrammedTwice
    );
    flash.program(2 * PAGE, &page(0)).unwrap();
    flash.erase(0).unwrap();
    read_page(&mut flash, PAGE);
    assert_eq!(stats(&mut flash), (0, 1));
    flash.program(PAGE, &page(0)).unwrap();
}

#[test]
fn a_half_erased_block_must_be_erased_again() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    chip.inject(Fault::PowerCutAfter { operations: 0 });
    flash.erase(0).unwrap_err();
    chip.restore_power();
    assert_eq!(
        flash.program(0, &page(0)).unwrap_err().kind(),
        ErrorKind::PageProgrammedTwice
    );
    let mut buf = vec![0; BLOCK as usize];
    flash.read(0, &mut buf).unwrap();
    assert_eq!(stats(&mut flash), (0, 8), "no page of it has valid ECC");
    flash.erase(0).unwrap();
    flash.program(0, &page(0)).unwrap();
}

#[test]
fn a_power_cut_during_a_program_tears_the_page_in_the_middle() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    chip.inject(Fault::PowerCutAfter { operations: 0 });
    flash.program(0, &vec![0; 4 * PAGE as usize]).unwrap_err();
    chip.restore_power();
    for (number, failed) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        read_page(&mut flash, number * PAGE);
        assert_eq!(stats(&mut flash), (0, failed), "after page {number}");
    }
    assert!(chip.contents(3 * PAGE..4 * PAGE).iter().all(|byte| *byte == 0xff));
}

#[test]
fn loaded_pages_count_as_programmed_unless_they_are_blank() {
    let chip = chip();
    let mut flash = chip.whole("nand");
    chip.load(PAGE + 3, &[0]);
    assert_eq!(
        flash.program(PAGE, &page(0)).unwrap_err().kind(),
        ErrorKind::PageProgrammedTwice
    );
    chip.load(PAGE + 3, &[0xff]);
    flash.program(PAGE, &page(0)).unwrap();
}

#[test]
fn locks_do_not_exist_on_nand() {
    let mut flash = chip().whole("nand");
    assert_eq!(flash.is_locked(0..BLOCK).unwrap(), None);
    flash.unlock(0..BLOCK).unwrap();
}

#[test]
fn the_clock_counts_pages() {
    let chip = SimChip::nand(4 << 17, 1 << 17, 2048, 64).build().unwrap();
    let mut flash = chip.whole("nand");
    flash.erase(0).unwrap();
    assert_eq!(chip.elapsed(), Duration::from_micros(1500));
    chip.reset_counters();
    flash.program(0, &[0; 3 * 2048]).unwrap();
    assert_eq!(chip.elapsed(), Duration::from_micros(600));
    chip.reset_counters();
    flash.read(0, &mut [0; 2 * 2048]).unwrap();
    // Two pages to fetch and 4096 bytes at 25 ns.
    assert_eq!(chip.elapsed(), Duration::from_nanos(2 * 25_000 + 4096 * 25));
}
