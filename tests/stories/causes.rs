//! Why the flash fails decides what is said and done: what was refused left it as it was, what the chip could not do may be
//! marked bad, and anything else says nothing of the block.

use crate::engine::{nor, run_with, target, write_of};
use crate::simbox::bytes;
use flasher::base::error::{Failure, Harm};
use flasher::bytes::store::Store;
use flasher::flash::{self, Policy};
use mtd_rs::{EccStats, Error, Fault, Flash, Geometry, Operation, Result, SimChip, SimFlash};
use std::io;
use std::ops::Range;

const BLOCK: u64 = 64 << 10;
const PAGE: u64 = 2048;
const MARK_BAD: Policy = Policy {
    keep_old: 0,
    mark_bad: true,
};

/// Flash whose erases fail with these errors, the last of them for ever, from this block on; the first leaves garbage.
struct Erratic {
    flash: SimFlash,
    from: u64,
    errors: Vec<i32>,
}

impl Flash for Erratic {
    fn label(&self) -> &str {
        self.flash.label()
    }
    fn geometry(&self) -> &Geometry {
        self.flash.geometry()
    }
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.flash.read(offset, buf)
    }
    fn erase(&mut self, block: u64) -> Result<()> {
        if block < self.from || self.errors.is_empty() {
            return self.flash.erase(block);
        }
        let error = io::Error::from_raw_os_error(self.errors[0]);
        if self.errors.len() > 1 {
            self.errors.remove(0);
        }
        Err(Error::io(Operation::Erase, "mtd0", Some(block), error))
    }
    fn program(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.flash.program(offset, data)
    }
    fn is_bad(&mut self, block: u64) -> Result<bool> {
        self.flash.is_bad(block)
    }
    fn mark_bad(&mut self, block: u64) -> Result<()> {
        self.flash.mark_bad(block)
    }
    fn is_locked(&mut self, range: Range<u64>) -> Result<Option<bool>> {
        self.flash.is_locked(range)
    }
    fn unlock(&mut self, range: Range<u64>) -> Result<()> {
        self.flash.unlock(range)
    }
    fn lock(&mut self, range: Range<u64>) -> Result<()> {
        self.flash.lock(range)
    }
    fn ecc_stats(&mut self) -> Result<Option<EccStats>> {
        self.flash.ecc_stats()
    }
}

fn nand(blocks: u64) -> SimChip {
    SimChip::nand(blocks * BLOCK, BLOCK as u32, PAGE as u32, 64)
        .build()
        .unwrap()
}

fn bad_blocks(chip: &SimChip, blocks: u64) -> Vec<u64> {
    let mut flash = chip.whole("nand");
    (0..blocks)
        .filter(|block| flash.is_bad(block * BLOCK).unwrap())
        .collect()
}

/// Writes eight blocks on a chip whose erases fail like that.
fn erratic(chip: &SimChip, blocks: u64, from: u64, errors: &[i32], policy: Policy) -> Failure {
    let flash = Erratic {
        flash: chip.whole("mtd0"),
        from,
        errors: errors.to_vec(),
    };
    let write = write_of(8 * BLOCK, blocks * BLOCK, false);
    let image = Store::Memory(bytes(8 * BLOCK as usize, 2));
    let written = flash::write(vec![target(&write, Box::new(flash))], &image, policy, &mut |_| ());
    written.err().unwrap().failure
}

/// The first try may have erased a half of the block.
#[test]
fn an_erase_that_failed_once_and_is_refused_then_is_not_called_untouched() {
    for (errors, harm) in [
        (&[libc::EBUSY][..], Harm::Untouched),
        (&[libc::EIO, libc::EBUSY], Harm::Partly),
        (&[libc::EBUSY, libc::EIO], Harm::Partly),
    ] {
        let chip = nor(8 * BLOCK);
        chip.load(0, &bytes(8 * BLOCK as usize, 1));
        let failure = erratic(&chip, 8, 0, errors, Policy::default());
        assert_eq!(failure.harm, harm, "{errors:?}: {failure}");
    }
}

/// A mark cannot be taken back. What the kernel refuses, and what another try answers otherwise, is not the block's fault.
#[test]
fn a_block_is_marked_bad_for_what_the_chip_says_alone() {
    for errors in [
        &[libc::EROFS][..],
        &[libc::EBUSY],
        &[libc::ENOMEM],
        &[libc::ENODEV],
        &[libc::EIO, libc::ENODEV],
    ] {
        let chip = nand(12);
        erratic(&chip, 12, 2 * BLOCK, errors, MARK_BAD);
        assert!(bad_blocks(&chip, 12).is_empty(), "{errors:?}");
    }
}

#[test]
fn an_image_that_cannot_be_read_marks_no_block_bad() {
    let chip = nand(12);
    let image = tempfile::tempdir().unwrap();
    let path = image.path().join("image");
    std::fs::write(&path, bytes(8 * BLOCK as usize, 2)).unwrap();
    let store = Store::file(std::fs::File::open(&path).unwrap()).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(2 * BLOCK).unwrap();
    let write = write_of(8 * BLOCK, 12 * BLOCK, false);
    let stopped = run_with(MARK_BAD, &chip, &write, &store, &mut |_| ()).unwrap_err();
    assert!(stopped.failure.what.contains("the image"), "{}", stopped.failure.what);
    assert!(bad_blocks(&chip, 12).is_empty());
}

/// A chip that is write-protected, or whose controller is broken, fails everywhere.
#[test]
fn when_one_block_after_the_other_fails_the_chip_keeps_its_blocks() {
    let chip = nand(20);
    let failure = erratic(&chip, 20, 2 * BLOCK, &[libc::EIO], MARK_BAD);
    assert!(failure.what.contains("in a row"), "{}", failure.what);
    assert_eq!(bad_blocks(&chip, 20), [2, 3, 4, 5]);
}

#[test]
fn a_block_is_not_marked_bad_where_no_other_can_take_its_content() {
    let chip = nand(8);
    let failure = erratic(&chip, 8, 7 * BLOCK, &[libc::EIO], MARK_BAD);
    assert!(failure.what.contains("no good block is left"), "{}", failure.what);
    assert!(bad_blocks(&chip, 8).is_empty());
}

/// UBI programs the pages behind its header later, and a page of NAND takes no second program.
#[test]
fn pages_that_were_blank_in_the_old_content_are_not_programmed_when_it_is_put_back() {
    for (head, blank) in [
        (&b"UBI#"[..], true),
        (&[0x85, 0x19], true),
        (&[], true),
        (b"kernel", false),
    ] {
        let chip = nand(8);
        let mut page = vec![0xff; PAGE as usize];
        page[..head.len()].copy_from_slice(head);
        if !head.is_empty() {
            chip.whole("nand").program(0, &page).unwrap();
        }
        let old = chip.contents(0..8 * BLOCK);
        chip.inject(Fault::ProgramFails {
            offset: 5 * BLOCK,
            times: u32::MAX,
        });
        let policy = Policy {
            keep_old: 1 << 30,
            mark_bad: false,
        };
        let image = Store::Memory(bytes(8 * BLOCK as usize, 3));
        let stopped = run_with(
            policy,
            &chip,
            &write_of(8 * BLOCK, 8 * BLOCK, false),
            &image,
            &mut |_| (),
        )
        .unwrap_err();
        assert_eq!(stopped.failure.harm, Harm::Untouched, "{}", stopped.failure);
        assert!(chip.contents(0..8 * BLOCK) == old);
        let later = chip.whole("nand").program(PAGE, &vec![0; PAGE as usize]);
        assert_eq!(later.is_ok(), blank, "{head:?}: {later:?}");
    }
}

/// Behind the image the block keeps what is there. A bit that flips on the way from the chip would become content.
#[test]
fn what_stands_behind_the_image_is_not_programmed_as_one_read_gave_it() {
    for times in [1, 2] {
        let chip = nor(8 * BLOCK);
        let mut expected = bytes(8 * BLOCK as usize, 1);
        chip.load(0, &expected);
        let new = bytes(1000, 2);
        expected[..new.len()].copy_from_slice(&new);
        chip.inject(Fault::FlipOnRead {
            offset: 5000,
            bit: 3,
            times,
        });
        let write = write_of(new.len() as u64, 8 * BLOCK, false);
        let _ = run_with(Policy::default(), &chip, &write, &Store::Memory(new), &mut |_| ()).unwrap();
        assert!(chip.contents(0..8 * BLOCK) == expected, "{times}");
    }
}

/// Erase regions that the kernel tells with a gap, or bad blocks that came since, must not make a short write a whole one.
#[test]
fn a_write_that_the_blocks_do_not_take_as_a_whole_is_not_begun() {
    let chip = nor(8 * BLOCK);
    let old = bytes(8 * BLOCK as usize, 1);
    chip.load(0, &old);
    let image = Store::Memory(bytes(9 * BLOCK as usize, 2));
    let write = write_of(9 * BLOCK, 9 * BLOCK, false);
    let stopped = run_with(Policy::default(), &chip, &write, &image, &mut |_| ()).unwrap_err();
    assert_eq!(stopped.failure.harm, Harm::Untouched);
    assert!(stopped.failure.what.contains("no room"), "{}", stopped.failure.what);
    assert!(chip.contents(0..8 * BLOCK) == old);
}
