//! Reading, programming and erasing a simulated chip: the rules, and what faults leave behind.
//!
//! Ranges have been checked against the partition before; here they lie within the chip.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;

use super::chip::Chip;
use super::store::{CHUNK, for_chunks, garbage};
use crate::error::ErrorKind;
use crate::kind::FlashKind;

/// Wrong bits per page that the ECC of the model corrects. K9F1G08 asks for one per 528 bytes.
const ECC_STRENGTH: usize = 1;

/// An operation that did not succeed: where on the chip, and why.
pub(super) struct Fail {
    pub(super) at: u64,
    pub(super) kind: ErrorKind,
    pub(super) source: Option<io::Error>,
}

impl Fail {
    pub(super) fn kind(at: u64, kind: ErrorKind) -> Fail {
        Fail { at, kind, source: None }
    }

    pub(super) fn io(at: u64, source: io::Error) -> Fail {
        Fail {
            at,
            kind: ErrorKind::Io,
            source: Some(source),
        }
    }

    /// What drivers report when a chip says that an operation failed.
    fn eio(at: u64) -> Fail {
        Fail::io(at, io::Error::from_raw_os_error(libc::EIO))
    }
}

/// What the ECC had to do during one read.
#[derive(Default)]
pub(super) struct EccWork {
    pub(super) corrected: u32,
    pub(super) failed: u32,
}

impl Chip {
    pub(super) fn check_power(&self, at: u64) -> Result<(), Fail> {
        if self.power {
            Ok(())
        } else {
            Err(Fail::kind(at, ErrorKind::PowerLost))
        }
    }

    pub(super) fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<EccWork, Fail> {
        self.check_power(at)?;
        let range = at..at + buf.len() as u64;
        let pages = self.pages_in(&range);
        self.counters.reads += 1;
        self.counters.bytes_read += buf.len() as u64;
        let setups = if self.is_nand() { pages.len() as u64 } else { 1 };
        self.elapsed_ns += self.timing.read(buf.len() as u64, setups);
        if let Some(at) = self.faults.read_fails(&range) {
            return Err(Fail::eio(at));
        }
        self.data.read(at, buf).map_err(|error| Fail::io(at, error))?;
        if !self.is_nand() {
            self.disturb_plain(at, buf);
            return Ok(EccWork::default());
        }
        let mut work = EccWork::default();
        for page in pages {
            self.disturb_page(page, at, buf, &mut work)?;
        }
        Ok(work)
    }

    /// Faults of a chip without ECC: wrong bits arrive as they are.
    fn disturb_plain(&mut self, at: u64, buf: &mut [u8]) {
        if self.faults.is_empty() {
            return;
        }
        let range = at..at + buf.len() as u64;
        if let Some(offset) = self.faults.uncorrectable(&range) {
            buf[(offset - at) as usize] ^= 0xff;
        }
        for (offset, mask, stuck) in self.faults.wrong_bits(&range) {
            let byte = &mut buf[(offset - at) as usize];
            *byte = if stuck { *byte & !mask } else { *byte ^ mask };
        }
    }

    /// Faults of one page of NAND. The chip reads and checks the whole page, whatever part of it is wanted.
    fn disturb_page(&mut self, page: usize, at: u64, buf: &mut [u8], work: &mut EccWork) -> Result<(), Fail> {
        let torn = self.torn.get(page);
        if self.faults.is_empty() && !torn {
            return Ok(());
        }
        let range = self.page_range(page);
        let wanted = range.start.max(at)..range.end.min(at + buf.len() as u64);
        let destroyed = self.faults.uncorrectable(&range).is_some();
        let mut wrong = self.faults.wrong_bits(&range);
        let mut stored = [0];
        // A bit that is stuck at 0 is only wrong where a 1 should be.
        let mut failure = None;
        wrong.retain(|&(offset, mask, stuck)| {
            if !stuck {
                return true;
            }
            if let Err(error) = self.data.read(offset, &mut stored) {
                failure = Some(Fail::io(offset, error));
            }
            stored[0] & mask != 0
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !torn && !destroyed && wrong.len() <= ECC_STRENGTH {
            work.corrected += wrong.len() as u32;
            return Ok(());
        }
        work.failed += 1;
        for (offset, mask, _) in wrong {
            if wanted.contains(&offset) {
                buf[(offset - at) as usize] ^= mask;
            }
        }
        if destroyed {
            for offset in wanted {
                // Never the right byte, so that who trusts the data is always found out.
                buf[(offset - at) as usize] ^= garbage(offset) | 1;
            }
        }
        Ok(())
    }

    pub(super) fn program(&mut self, at: u64, data: &[u8]) -> Result<(), Fail> {
        self.check_power(at)?;
        if data.is_empty() {
            return Ok(());
        }
        let range = at..at + data.len() as u64;
        self.check_locks(&range)?;
        if self.is_nand() {
            self.check_pages(&range)?;
        } else if !self.can_overwrite() {
            self.check_unit(&range)?;
            self.check_bits(at, data)?;
        }
        if self.faults.is_busy(at) {
            return Err(Fail::io(at, std::io::Error::from_raw_os_error(libc::EBUSY)));
        }
        // Everything is as it must be: from here on the chip is at work.
        self.counters.programs += 1;
        self.counters.bytes_programmed += data.len() as u64;
        self.elapsed_ns += self.timing.program(at, data.len() as u64);
        if self.faults.power_fails() {
            self.power = false;
            let end = data.len() / 2;
            self.program_partly(at, data, end)?;
            return Err(Fail::kind(at + end as u64, ErrorKind::PowerLost));
        }
        if let Some(broken) = self.faults.program_fails(&range) {
            self.program_partly(at, data, (broken - at) as usize)?;
            return Err(Fail::eio(broken));
        }
        self.data.write(at, data).map_err(|error| Fail::io(at, error))?;
        let pages = self.pages_in(&range);
        self.programmed.set_all(pages, true);
        Ok(())
    }

    /// `dataflash_write` (drivers/mtd/devices/mtd_dataflash.c) reads, changes and rewrites pages with the
    /// erase that is built in; RAM has no rules at all.
    fn can_overwrite(&self) -> bool {
        !self.geometry.needs_erase() || self.geometry.kind == FlashKind::Dataflash
    }

    fn check_locks(&self, range: &Range<u64>) -> Result<(), Fail> {
        match &self.locked {
            Some(locked) if locked.any(self.block_indices(range)) => Err(Fail::kind(range.start, ErrorKind::Locked)),
            _ => Ok(()),
        }
    }

    fn check_unit(&self, range: &Range<u64>) -> Result<(), Fail> {
        let unit = u64::from(self.geometry.write_size.max(1));
        if !range.start.is_multiple_of(unit) || !range.end.is_multiple_of(unit) {
            return Err(Fail::kind(range.start, ErrorKind::Unaligned));
        }
        Ok(())
    }

    fn check_pages(&self, range: &Range<u64>) -> Result<(), Fail> {
        self.check_unit(range)?;
        for page in self.pages_in(range) {
            let at = self.page_range(page).start;
            let Some(block) = self.geometry.block_at(at) else {
                return Err(Fail::kind(at, ErrorKind::OutOfRange));
            };
            if self.bad.any(self.block_indices(&block)) {
                return Err(Fail::kind(at, ErrorKind::BadBlock));
            }
            if self.programmed.get(page) {
                return Err(Fail::kind(at, ErrorKind::PageProgrammedTwice));
            }
            if self.programmed.any(page + 1..self.pages_in(&block).end) {
                return Err(Fail::kind(at, ErrorKind::PageOutOfOrder));
            }
        }
        Ok(())
    }

    fn check_bits(&self, at: u64, data: &[u8]) -> Result<(), Fail> {
        let mut chunk = [0; CHUNK];
        for_chunks(at..at + data.len() as u64, |offset, length| {
            let old = &mut chunk[..length];
            self.data.read(offset, old).map_err(|error| Fail::io(offset, error))?;
            let new = &data[(offset - at) as usize..][..length];
            match old.iter().zip(new).position(|(old, new)| old & new != *new) {
                Some(index) => Err(Fail::kind(offset + index as u64, ErrorKind::SetsBit)),
                None => Ok(()),
            }
        })
    }

    /// Leaves what a programming that broke at byte `end` of `data` leaves.
    fn program_partly(&mut self, at: u64, data: &[u8], end: usize) -> Result<(), Fail> {
        let fail = |error| Fail::io(at, error);
        if !self.is_nand() {
            self.data.write(at, &data[..end]).map_err(fail)?;
            let Some(&new) = data.get(end) else {
                return Ok(());
            };
            // Of the bits that should become 0, those in the upper half of the byte did not.
            let mut byte = [0];
            let place = at + end as u64;
            self.data.read(place, &mut byte).map_err(fail)?;
            byte[0] = byte[0] & 0xf0 | new & 0x0f;
            return self.data.write(place, &byte).map_err(fail);
        }
        let page = self.pages_in(&(at + end as u64..at + end as u64 + 1)).start;
        let torn = self.page_range(page);
        let before = (torn.start - at) as usize;
        let half = before + (torn.end - torn.start) as usize / 2;
        self.data.write(at, &data[..half]).map_err(fail)?;
        let first = self.pages_in(&(at..at + 1)).start;
        self.programmed.set_all(first..page + 1, true);
        self.set_torn(page, true).map_err(fail)
    }

    /// Erases the erase block that begins at `start`.
    pub(super) fn erase(&mut self, start: u64) -> Result<(), Fail> {
        self.check_power(start)?;
        let (Some(block), Some(index)) = (self.geometry.block_at(start), self.geometry.block_index(start)) else {
            return Err(Fail::kind(start, ErrorKind::OutOfRange));
        };
        if block.start != start {
            return Err(Fail::kind(start, ErrorKind::Unaligned));
        }
        self.check_locks(&block)?;
        if self.bad.get(index) {
            return Err(Fail::kind(start, ErrorKind::BadBlock));
        }
        if self.faults.is_busy(start) {
            return Err(Fail::io(start, std::io::Error::from_raw_os_error(libc::EBUSY)));
        }
        self.counters.erases += 1;
        self.wear[index] += 1;
        self.elapsed_ns += self.timing.erase(block.end - block.start);
        let failure = if self.faults.power_fails() {
            self.power = false;
            Fail::kind(start, ErrorKind::PowerLost)
        } else if self.faults.erase_fails(start) {
            Fail::eio(start)
        } else {
            return self.finish_erase(block, false).map_err(|error| Fail::io(start, error));
        };
        self.finish_erase(block, true).map_err(|error| Fail::io(start, error))?;
        Err(failure)
    }

    /// Leaves the block blank, or as garbage that must be erased again.
    fn finish_erase(&mut self, block: Range<u64>, broken: bool) -> io::Result<()> {
        let pages = self.pages_in(&block);
        if broken {
            self.data.fill_garbage(block)?;
        } else {
            self.data.fill(block, 0xff)?;
        }
        self.programmed.set_all(pages.clone(), broken);
        for page in pages {
            self.set_torn(page, broken)?;
        }
        Ok(())
    }
}
