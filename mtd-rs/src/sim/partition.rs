//! A partition of a simulated chip: the `Flash` that callers get.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::Range;

use super::Shared;
use super::operations::Fail;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::flash::{EccStats, Flash};
use crate::geometry::{EraseRegion, Geometry};
use crate::kind::MTD_WRITEABLE;

/// A partition of a [`SimChip`](crate::SimChip), or the whole of it.
///
/// Its ECC counters count what was read through this value; clones go on counting on their own.
#[derive(Clone)]
pub struct SimFlash {
    chip: Shared,
    label: String,
    base: u64,
    geometry: Geometry,
    corrected: u32,
    failed: u32,
}

impl fmt::Debug for SimFlash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFlash")
            .field("label", &self.label)
            .field("base", &self.base)
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl SimFlash {
    pub(super) fn new(chip: Shared, label: &str, range: Range<u64>, writable: bool) -> SimFlash {
        let geometry = cut(&chip.lock().geometry, &range, writable);
        SimFlash {
            chip,
            label: label.to_owned(),
            base: range.start,
            geometry,
            corrected: 0,
            failed: 0,
        }
    }

    fn error(&self, operation: Operation, fail: Fail) -> Error {
        let offset = Some(fail.at.saturating_sub(self.base));
        match fail.source {
            Some(source) => Error::io(operation, &self.label, offset, source),
            None => Error::new(operation, &self.label, offset, fail.kind),
        }
    }

    fn refuse(&self, operation: Operation, offset: u64, kind: ErrorKind) -> Error {
        Error::new(operation, &self.label, Some(offset), kind)
    }

    fn not_supported(&self, operation: Operation, offset: u64) -> Error {
        let source = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        Error::io(operation, &self.label, Some(offset), source)
    }

    fn check_power(&self, operation: Operation, offset: u64) -> Result<()> {
        self.chip
            .lock()
            .check_power(self.base + offset)
            .map_err(|fail| self.error(operation, fail))
    }

    fn check_range(&self, operation: Operation, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.geometry.size => Ok(()),
            _ => Err(self.refuse(operation, offset, ErrorKind::OutOfRange)),
        }
    }

    fn check_writable(&self, operation: Operation, offset: u64) -> Result<()> {
        if self.geometry.is_writable() {
            Ok(())
        } else {
            Err(self.refuse(operation, offset, ErrorKind::ReadOnly))
        }
    }

    fn check_block(&self, operation: Operation, block: u64) -> Result<()> {
        match self.geometry.block_at(block) {
            None => Err(self.refuse(operation, block, ErrorKind::OutOfRange)),
            Some(found) if found.start != block => Err(self.refuse(operation, block, ErrorKind::Unaligned)),
            Some(_) => Ok(()),
        }
    }

    fn set_locked(&mut self, operation: Operation, range: Range<u64>, to: bool) -> Result<()> {
        let length = range.end.saturating_sub(range.start);
        self.check_range(operation, range.start, length)?;
        self.check_writable(operation, range.start)?;
        self.check_power(operation, range.start)?;
        if !self.geometry.is_aligned(&range) {
            return Err(self.refuse(operation, range.start, ErrorKind::Unaligned));
        }
        let mut chip = self.chip.lock();
        let blocks = chip.block_indices(&(self.base + range.start..self.base + range.end));
        match &mut chip.locked {
            Some(locked) => locked.set_all(blocks, to),
            None if to => return Err(self.not_supported(operation, range.start)),
            None => {}
        }
        Ok(())
    }
}

impl Flash for SimFlash {
    fn label(&self) -> &str {
        &self.label
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.check_range(Operation::Read, offset, buf.len() as u64)?;
        let result = self.chip.lock().read(self.base + offset, buf);
        let work = result.map_err(|fail| self.error(Operation::Read, fail))?;
        self.corrected += work.corrected;
        self.failed += work.failed;
        Ok(())
    }

    fn erase(&mut self, block: u64) -> Result<()> {
        self.check_block(Operation::Erase, block)?;
        self.check_writable(Operation::Erase, block)?;
        let result = self.chip.lock().erase(self.base + block);
        result.map_err(|fail| self.error(Operation::Erase, fail))
    }

    fn program(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.check_range(Operation::Program, offset, data.len() as u64)?;
        self.check_writable(Operation::Program, offset)?;
        let result = self.chip.lock().program(self.base + offset, data);
        result.map_err(|fail| self.error(Operation::Program, fail))
    }

    fn is_bad(&mut self, block: u64) -> Result<bool> {
        self.check_block(Operation::CheckBad, block)?;
        self.check_power(Operation::CheckBad, block)?;
        let chip = self.chip.lock();
        Ok(chip
            .geometry
            .block_index(self.base + block)
            .is_some_and(|index| chip.bad.get(index)))
    }

    fn mark_bad(&mut self, block: u64) -> Result<()> {
        self.check_block(Operation::MarkBad, block)?;
        self.check_writable(Operation::MarkBad, block)?;
        self.check_power(Operation::MarkBad, block)?;
        if !self.geometry.kind.is_nand() {
            return Err(self.not_supported(Operation::MarkBad, block));
        }
        let result = self.chip.lock().set_bad(self.base + block);
        result.map_err(|error| Error::io(Operation::MarkBad, &self.label, Some(block), error))
    }

    fn is_locked(&mut self, range: Range<u64>) -> Result<Option<bool>> {
        let length = range.end.saturating_sub(range.start);
        self.check_range(Operation::CheckLock, range.start, length)?;
        self.check_power(Operation::CheckLock, range.start)?;
        let chip = self.chip.lock();
        let blocks = chip.block_indices(&(self.base + range.start..self.base + range.end));
        Ok(chip.locked.as_ref().map(|locked| locked.any(blocks)))
    }

    fn unlock(&mut self, range: Range<u64>) -> Result<()> {
        self.set_locked(Operation::Unlock, range, false)
    }

    fn lock(&mut self, range: Range<u64>) -> Result<()> {
        self.set_locked(Operation::Lock, range, true)
    }

    fn ecc_stats(&mut self) -> Result<Option<EccStats>> {
        self.check_power(Operation::EccStats, 0)?;
        if !self.geometry.kind.is_nand() {
            return Ok(None);
        }
        let chip = self.chip.lock();
        let blocks = chip.block_indices(&(self.base..self.base + self.geometry.size));
        Ok(Some(EccStats {
            corrected: self.corrected,
            failed: self.failed,
            bad_blocks: chip.bad.count(blocks) as u32,
            bbt_blocks: 0,
        }))
    }
}

/// The geometry of the partition over `range` of a chip.
fn cut(chip: &Geometry, range: &Range<u64>, writable: bool) -> Geometry {
    let start = range.start.min(chip.size);
    let end = range.end.clamp(start, chip.size);
    let mut regions = Vec::new();
    for region in &chip.regions {
        let (from, to) = (region.range().start.max(start), region.range().end.min(end));
        if from < to {
            regions.push(EraseRegion {
                offset: from - start,
                erase_size: region.erase_size,
                // Round up: a block that is cut still is one, though the partition is read-only then.
                blocks: (to - from).div_ceil(u64::from(region.erase_size.max(1))) as u32,
            });
        }
    }
    let erase_size = regions
        .iter()
        .map(|region| region.erase_size)
        .max()
        .unwrap_or(chip.erase_size);
    if regions.len() < 2 {
        regions.clear();
    }
    let writable = writable && chip.is_writable() && chip.is_aligned(&(start..end));
    Geometry {
        kind: chip.kind,
        size: end - start,
        erase_size,
        write_size: chip.write_size,
        oob_size: chip.oob_size,
        flags: if writable {
            chip.flags
        } else {
            chip.flags & !MTD_WRITEABLE
        },
        regions,
    }
}
