//! The state of a simulated chip, and what can be done to it past its rules.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::bad_list::{BAD_MARK, TORN_MARK, append_bad, oob_bytes};
use super::bitmap::Bitmap;
use super::fault::{Fault, Faults};
use super::store::{CHUNK, Store, for_chunks};
use super::timing::Timing;
use crate::geometry::Geometry;
use crate::kind::MTD_POWERUP_LOCK;

/// What has been done to a simulated chip. Operations that a rule refused are not counted, failed ones are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls that read.
    pub reads: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Erase blocks erased.
    pub erases: u64,
    /// Calls that programmed.
    pub programs: u64,
    /// Bytes programmed, those of failed calls included.
    pub bytes_programmed: u64,
}

/// One chip. Offsets are bytes from its start.
pub(super) struct Chip {
    pub(super) geometry: Geometry,
    pub(super) data: Store,
    /// NAND in files only; in memory the bitmaps are enough.
    pub(super) oob: Option<Store>,
    pub(super) bad_list: Option<PathBuf>,
    /// A bit an erase block.
    pub(super) bad: Bitmap,
    /// A bit an erase block; `None` where the chip has no locks.
    pub(super) locked: Option<Bitmap>,
    /// A bit a page of NAND: not blank any more.
    pub(super) programmed: Bitmap,
    /// A bit a page of NAND: its ECC does not fit its data.
    pub(super) torn: Bitmap,
    pub(super) wear: Vec<u32>,
    pub(super) faults: Faults,
    pub(super) power: bool,
    pub(super) counters: Counters,
    pub(super) timing: Timing,
    pub(super) elapsed_ns: u64,
}

impl Chip {
    /// A chip over `data`, whose pages are taken for blank.
    pub(super) fn new(geometry: &Geometry, data: Store) -> Chip {
        let blocks = geometry.block_count();
        let mut chip = Chip {
            geometry: geometry.clone(),
            data,
            oob: None,
            bad_list: None,
            bad: Bitmap::new(blocks),
            locked: (geometry.flags & MTD_POWERUP_LOCK != 0).then(|| Bitmap::new(blocks)),
            programmed: Bitmap::default(),
            torn: Bitmap::default(),
            wear: vec![0; blocks],
            faults: Faults::default(),
            power: true,
            counters: Counters::default(),
            timing: Timing::of(geometry),
            elapsed_ns: 0,
        };
        chip.programmed = Bitmap::new(chip.page_count());
        chip.torn = Bitmap::new(chip.page_count());
        chip.restore_power();
        chip
    }

    pub(super) fn in_memory(geometry: &Geometry) -> Chip {
        // A chip larger than the address space cannot be asked for on a machine that could hold it.
        let size = usize::try_from(geometry.size).unwrap_or(usize::MAX);
        Chip::new(geometry, Store::Memory(vec![0xff; size]))
    }

    pub(super) fn is_nand(&self) -> bool {
        self.geometry.kind.is_nand()
    }

    fn page_size(&self) -> u64 {
        u64::from(self.geometry.write_size.max(1))
    }

    /// How many pages there are to keep book of: none but on NAND.
    pub(super) fn page_count(&self) -> usize {
        if self.is_nand() {
            (self.geometry.size / self.page_size()) as usize
        } else {
            0
        }
    }

    pub(super) fn page_range(&self, page: usize) -> Range<u64> {
        let start = page as u64 * self.page_size();
        start..start + self.page_size()
    }

    /// The pages that share bytes with the range. Empty but on NAND.
    pub(super) fn pages_in(&self, range: &Range<u64>) -> Range<usize> {
        if !self.is_nand() || range.is_empty() {
            return 0..0;
        }
        let size = self.page_size();
        (range.start / size) as usize..range.end.div_ceil(size) as usize
    }

    /// The numbers of the erase blocks that share bytes with the range.
    pub(super) fn block_indices(&self, range: &Range<u64>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let first = self.geometry.block_index(range.start).unwrap_or(0);
        let last = self.geometry.block_index(range.end - 1).unwrap_or(first);
        first..last + 1
    }

    pub(super) fn inject(&mut self, fault: Fault) {
        self.faults.add(fault);
    }

    pub(super) fn erases_of(&self, block: u64) -> u32 {
        let index = self.geometry.block_index(block);
        index.and_then(|index| self.wear.get(index)).copied().unwrap_or(0)
    }

    pub(super) fn restore_power(&mut self) {
        self.power = true;
        let blocks = self.wear.len();
        if let Some(locked) = &mut self.locked {
            locked.set_all(0..blocks, true);
        }
    }

    /// Marks the block that holds the byte at `offset` as bad, in the files too.
    pub(super) fn set_bad(&mut self, offset: u64) -> io::Result<()> {
        let (Some(index), Some(block)) = (self.geometry.block_index(offset), self.geometry.block_at(offset)) else {
            return Ok(());
        };
        if !self.is_nand() || self.bad.get(index) {
            return Ok(());
        }
        self.bad.set(index, true);
        let first_page = self.pages_in(&block).start;
        self.write_mark(first_page, BAD_MARK, true)?;
        match &self.bad_list {
            Some(path) => append_bad(path, block.start),
            None => Ok(()),
        }
    }

    pub(super) fn contents(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let end = range.end.min(self.geometry.size);
        let length = end.saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.data.read(range.start.min(end), &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn load(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = offset..offset + data.len() as u64;
        if range.end > self.geometry.size {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.data.write(offset, data)?;
        for page in self.pages_in(&range) {
            let blank = self.is_blank(self.page_range(page))?;
            self.programmed.set(page, !blank);
            self.set_torn(page, false)?;
        }
        Ok(())
    }

    /// Whether the range holds nothing but 0xFF.
    pub(super) fn is_blank(&self, range: Range<u64>) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        let mut blank = true;
        for_chunks(range, |offset, length| {
            self.data.read(offset, &mut chunk[..length])?;
            blank &= chunk[..length] == [0xff; CHUNK][..length];
            Ok::<_, io::Error>(())
        })?;
        Ok(blank)
    }

    /// Notes whether the ECC of the page fits its data. Marks that are right already are left alone, because
    /// most pages never change theirs and each would cost a write.
    pub(super) fn set_torn(&mut self, page: usize, torn: bool) -> io::Result<()> {
        if self.torn.get(page) != torn {
            self.torn.set(page, torn);
            self.write_mark(page, TORN_MARK, torn)?;
        }
        Ok(())
    }

    pub(super) fn read_mark(&self, page: usize, mark: u64) -> io::Result<bool> {
        let mut byte = [0xff];
        if let Some(oob) = &self.oob {
            oob.read(self.oob_offset(page) + mark, &mut byte)?;
        }
        Ok(byte[0] == 0)
    }

    fn write_mark(&mut self, page: usize, mark: u64, set: bool) -> io::Result<()> {
        let offset = self.oob_offset(page) + mark;
        match &mut self.oob {
            Some(oob) => oob.write(offset, &[if set { 0 } else { 0xff }]),
            None => Ok(()),
        }
    }

    fn oob_offset(&self, page: usize) -> u64 {
        let pages = (self.page_count() as u64).max(1);
        page as u64 * (oob_bytes(&self.geometry) / pages)
    }
}
