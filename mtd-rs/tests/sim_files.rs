//! Simulated chips that live in files.
#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::TempDir;
use mtd_rs::{ErrorKind, Fault, Flash, Geometry, Operation, SimChip};

const PAGE: u64 = 512;
const BLOCK: u64 = 8 * PAGE;

fn nand() -> Geometry {
    Geometry::nand(4 * BLOCK, BLOCK as u32, PAGE as u32, 16)
}

#[test]
fn a_new_file_is_a_blank_chip_of_the_right_size() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    fs::write(&path, "old").unwrap();
    SimChip::create_file(&path, &Geometry::nor(0x3000, 0x1000)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0xff; 0x3000]);
    assert!(!root.path().join("flash.bin.oob").exists(), "nor has no OOB");
}

#[test]
fn what_succeeded_is_in_the_file_at_once() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    let chip = SimChip::create_file(&path, &Geometry::nor(0x3000, 0x1000)).unwrap();
    let mut flash = chip.partition("part", 0x1000..0x3000, true);
    flash.program(0x10, b"here").unwrap();
    assert_eq!(fs::read(&path).unwrap()[0x1010..0x1014], *b"here");
    flash.erase(0).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [0xff; 0x3000]);
}

#[test]
fn bytes_put_into_the_file_by_hand_are_on_the_chip() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    SimChip::create_file(&path, &nand()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[(BLOCK + PAGE) as usize] = 0x42;
    fs::write(&path, bytes).unwrap();

    let mut flash = SimChip::open_file(&path, &nand()).unwrap().whole("nand");
    let mut buf = [0; 2];
    flash.read(BLOCK + PAGE, &mut buf).unwrap();
    assert_eq!(buf, [0x42, 0xff]);
    assert_eq!(flash.ecc_stats().unwrap().unwrap().failed, 0);
    let page = [0; PAGE as usize];
    let error = flash.program(BLOCK + PAGE, &page).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PageProgrammedTwice);
    assert_eq!(
        flash.program(BLOCK, &page).unwrap_err().kind(),
        ErrorKind::PageOutOfOrder
    );
    flash.program(BLOCK + 2 * PAGE, &page).unwrap();
}

#[test]
fn bad_blocks_are_a_list_of_hexadecimal_offsets() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    let chip = SimChip::create_file(&path, &nand()).unwrap();
    chip.make_bad(2 * BLOCK);
    chip.whole("nand").mark_bad(0).unwrap();
    chip.whole("nand").mark_bad(0).unwrap();
    let list = fs::read_to_string(root.path().join("flash.bin.bad")).unwrap();
    assert_eq!(list, "0x00002000\n0x00000000\n");
    let oob = fs::read(root.path().join("flash.bin.oob")).unwrap();
    assert_eq!(oob.len(), 4 * 8 * 16);
    assert_eq!((oob[0], oob[8 * 16], oob[2 * 8 * 16]), (0, 0xff, 0));

    drop(chip);
    let mut flash = SimChip::open_file(&path, &nand()).unwrap().whole("nand");
    let bad: Vec<_> = (0..4).map(|block| flash.is_bad(block * BLOCK).unwrap()).collect();
    assert_eq!(bad, [true, false, true, false]);
}

#[test]
fn a_list_of_bad_blocks_may_be_written_by_hand() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    SimChip::create_file(&path, &nand()).unwrap();
    root.write("flash.bin.bad", "1000\n\n 0x2000\n");
    let mut flash = SimChip::open_file(&path, &nand()).unwrap().whole("nand");
    assert!(flash.is_bad(BLOCK).unwrap() && flash.is_bad(2 * BLOCK).unwrap());
    for wrong in ["somewhere\n", "0x4000\n"] {
        root.write("flash.bin.bad", wrong);
        let error = SimChip::open_file(&path, &nand()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{wrong}");
    }
}

#[test]
fn a_torn_page_is_still_torn_after_opening_the_file_again() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    let chip = SimChip::create_file(&path, &nand()).unwrap();
    chip.inject(Fault::PowerCutAfter { operations: 0 });
    chip.whole("nand").program(0, &[0xff; PAGE as usize]).unwrap_err();
    drop(chip);

    let mut flash = SimChip::open_file(&path, &nand()).unwrap().whole("nand");
    flash.read(0, &mut [0; PAGE as usize]).unwrap();
    assert_eq!(flash.ecc_stats().unwrap().unwrap().failed, 1);
    let error = flash.program(0, &[0; PAGE as usize]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PageProgrammedTwice);
    flash.erase(0).unwrap();
    drop(flash);
    let mut flash = SimChip::open_file(&path, &nand()).unwrap().whole("nand");
    flash.program(0, &[0; PAGE as usize]).unwrap();
}

#[test]
fn a_file_of_the_wrong_size_is_not_opened() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    fs::write(&path, [0; 100]).unwrap();
    let error = SimChip::open_file(&path, &Geometry::nor(0x1000, 0x1000)).err().unwrap();
    assert_eq!(error.operation(), Operation::Open);
    assert_eq!(
        error.kind(),
        ErrorKind::WrongSize {
            expected: 0x1000,
            found: 100
        }
    );
    assert!(error.device().ends_with("flash.bin"));
    let missing = root.path().join("none.bin");
    let error = SimChip::open_file(&missing, &Geometry::nor(0x1000, 0x1000))
        .err()
        .unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
}

#[test]
fn a_builder_opens_the_file_that_is_there() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    let build = || SimChip::nor(0x2000, 0x1000).backed_by(&path).build().unwrap();
    build().whole("nor").program(0, b"kept").unwrap();
    assert_eq!(build().contents(0..4), b"kept");
}

#[test]
fn a_chip_without_its_side_files_has_no_bad_blocks() {
    let root = TempDir::new();
    let path = root.path().join("flash.bin");
    fs::write(&path, vec![0xff; 4 * BLOCK as usize]).unwrap();
    let mut flash = SimChip::open_file(&path, &nand()).unwrap().whole("nand");
    assert_eq!(flash.ecc_stats().unwrap().unwrap().bad_blocks, 0);
    flash.program(0, &[0; PAGE as usize]).unwrap();
}
