//! A real flash device, through its character device `/dev/mtdN`.
//!
//! Never through `/dev/mtdblockN`: that driver keeps one erase block in a write-back cache and flushes it
//! when the device is closed (`drivers/mtd/mtdblock.c`), so that errors come too late, pages are programmed
//! out of order, and bad blocks are not known at all.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::discover::{self, MtdInfo, list};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::flash::{EccStats, Flash};
use crate::geometry::Geometry;
use crate::ioctl::{self, EraseInfoUser, EraseInfoUser64};
use crate::kind::FlashKind;
use crate::node::{Access, index_of, node, open_mtd, open_without_node, reported_geometry};
use crate::paths::SystemPaths;
use crate::transfer::{self, Stopped};

/// An open MTD character device.
#[derive(Debug)]
pub struct MtdDevice {
    file: File,
    info: MtdInfo,
    label: String,
    access: Access,
    /// Failures that the kernel counted for blank pages.
    blank: u32,
}

impl MtdDevice {
    /// Opens the device that `info` describes and makes sure that it still is the same one.
    ///
    /// MTD numbers are given out in the order of probing. Between listing and opening a driver may have been
    /// reloaded, and a node in `/dev` may be stale; therefore device number, name, kind, size (modulo 2^32,
    /// `MEMGETINFO` knows no more), erase size and erase regions must all be those that were listed.
    ///
    /// # Errors
    /// [`NoDeviceNode`](ErrorKind::NoDeviceNode) when `/dev` lacks the node and none can be made for a moment,
    /// [`NotMtd`](ErrorKind::NotMtd) and [`WrongDevice`](ErrorKind::WrongDevice) when the file is something
    /// else, `EACCES` when a read-only device is opened for writing.
    pub fn open(paths: &SystemPaths, info: &MtdInfo, access: Access) -> Result<MtdDevice> {
        let label = info.label();
        let path = node(paths, info.index);
        let file = match open_mtd(&path, access, &label) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                let (major, minor) = discover::device_number(paths, info.index);
                // Of another system's paths there is no device to be opened.
                (paths.dev == SystemPaths::default().dev)
                    .then(|| open_without_node(major, minor, access).ok())
                    .flatten()
                    .ok_or_else(|| {
                        Error::new(Operation::Open, &label, None, ErrorKind::NoDeviceNode { major, minor })
                    })?
            }
            file => file?,
        };
        let index = index_of(&file, &label)?;
        if index != info.index {
            return Err(wrong(&label, "device number"));
        }
        if discover::current_name(paths, info.index).is_some_and(|name| name != info.name) {
            return Err(wrong(&label, "name"));
        }
        let geometry = checked_geometry(&file, &label, &info.geometry)?;
        let info = MtdInfo {
            geometry,
            ..info.clone()
        };
        Ok(MtdDevice {
            file,
            info,
            label,
            access,
            blank: 0,
        })
    }

    /// Opens the MTD character device at `path`, whatever its name, after looking it up in [`list`].
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`NotMtd`](ErrorKind::NotMtd) for anything but a character device of MTD,
    /// `/dev/mtdblockN` included.
    pub fn open_path(paths: &SystemPaths, path: &Path, access: Access) -> Result<MtdDevice> {
        let label = path.display().to_string();
        let file = open_mtd(path, access, &label)?;
        let index = index_of(&file, &label)?;
        let info = list(paths)?
            .into_iter()
            .find(|info| info.index == index)
            .ok_or_else(|| wrong(&label, "device number"))?;
        let geometry = checked_geometry(&file, &label, &info.geometry)?;
        Ok(MtdDevice {
            file,
            label: info.label(),
            info: MtdInfo { geometry, ..info },
            access,
            blank: 0,
        })
    }

    /// What was found out about the device.
    pub fn info(&self) -> &MtdInfo {
        &self.info
    }

    /// What the device was opened for.
    pub fn access(&self) -> Access {
        self.access
    }

    fn fail(&self, operation: Operation, offset: u64, kind: ErrorKind) -> Error {
        Error::new(operation, &self.label, Some(offset), kind)
    }

    fn system(&self, operation: Operation, offset: u64) -> impl FnOnce(io::Error) -> Error + '_ {
        move |error| Error::io(operation, &self.label, Some(offset), error)
    }

    fn stopped(&self, operation: Operation, stopped: Stopped) -> Error {
        match stopped.source {
            Some(source) => Error::io(operation, &self.label, Some(stopped.offset), source),
            None => self.fail(operation, stopped.offset, stopped.kind),
        }
    }

    /// The kernel clips reads and writes at the end of the device without a word; we refuse them.
    fn check_range(&self, operation: Operation, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.info.geometry.size => Ok(()),
            _ => Err(self.fail(operation, offset, ErrorKind::OutOfRange)),
        }
    }

    /// The kernel's count of reads that ECC could not correct; none for flash without, and where it cannot be asked.
    fn failures(&self) -> Option<u32> {
        let nand = self.info.geometry.kind.is_nand();
        let stats = nand.then(|| ioctl::eccgetstats(&self.file).ok()).flatten();
        stats.map(|stats| stats.failed)
    }

    /// Whether the driver says of each block in the range that it is not locked. Of a longer range some say so where only part of it is
    /// (`stm_is_locked_sr` in drivers/mtd/spi-nor/swp.c).
    fn is_unlocked(&self, range: &Range<u64>) -> bool {
        let blocks = self.info.geometry.blocks();
        let mut blocks = blocks.filter(|block| block.start < range.end && range.start < block.end);
        blocks
            .all(|block| narrow(&block).is_some_and(|block| matches!(ioctl::memislocked(&self.file, block), Ok(false))))
    }

    fn check_writable(&self, operation: Operation, offset: u64) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(self.fail(operation, offset, ErrorKind::ReadOnly)),
        }
    }

    fn block(&self, operation: Operation, block: u64) -> Result<Range<u64>> {
        let geometry = &self.info.geometry;
        let found = geometry
            .block_at(block)
            .ok_or_else(|| self.fail(operation, block, ErrorKind::OutOfRange))?;
        if found.start != block {
            return Err(self.fail(operation, block, ErrorKind::Unaligned));
        }
        Ok(found)
    }

    /// The lock ioctls have no 64-bit form.
    fn lock_range(&self, operation: Operation, range: &Range<u64>) -> Result<EraseInfoUser> {
        let length = range.end.checked_sub(range.start).unwrap_or(u64::MAX);
        self.check_range(operation, range.start, length)?;
        narrow(range).ok_or_else(|| self.fail(operation, range.start, ErrorKind::OutOfRange))
    }
}

/// The character device, for [`ioctl`](crate::ioctl) and for what else this crate does not wrap.
impl AsFd for MtdDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Flash for MtdDevice {
    fn label(&self) -> &str {
        &self.label
    }

    fn geometry(&self) -> &Geometry {
        &self.info.geometry
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.check_range(Operation::Read, offset, buf.len() as u64)?;
        let file = &self.file;
        let before = self.failures();
        transfer::read_full(offset, buf, |part, at| file.read_at(part, at))
            .map_err(|stopped| self.stopped(Operation::Read, stopped))?;
        if let (Some(before), Some(after)) = (before, self.failures())
            && before != after
        {
            let page = self.info.geometry.write_size as usize;
            let explained = transfer::only_blank(offset, buf, page, |part, at| {
                let before = self.failures();
                file.read_exact_at(part, at)?;
                Ok(before.is_some() && self.failures() == before)
            });
            if explained {
                self.blank = self.blank.wrapping_add(after.wrapping_sub(before));
            }
        }
        Ok(())
    }

    fn erase(&mut self, block: u64) -> Result<()> {
        self.check_writable(Operation::Erase, block)?;
        let range = self.block(Operation::Erase, block)?;
        let wide = EraseInfoUser64 {
            start: range.start,
            length: range.end - range.start,
        };
        let file = &self.file;
        transfer::erase_either(
            || ioctl::memerase64(file, wide),
            narrow(&range).map(|range| move || ioctl::memerase(file, range)),
        )
        .map_err(self.system(Operation::Erase, block))
    }

    fn program(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.check_writable(Operation::Program, offset)?;
        self.check_range(Operation::Program, offset, data.len() as u64)?;
        let write_size = self.info.geometry.write_size.max(1);
        if self.info.geometry.kind.is_nand() {
            let unit = u64::from(write_size);
            // A page has up to four sub-pages (`nand_scan_tail` in drivers/mtd/nand/raw/nand_base.c); the kernel answers
            // `EINVAL` where it has fewer.
            let part = data.len() < write_size as usize && (data.len() as u64).is_multiple_of((unit / 4).max(1));
            if !offset.is_multiple_of(unit) || !(part || (data.len() as u64).is_multiple_of(unit)) {
                return Err(self.fail(Operation::Program, offset, ErrorKind::Unaligned));
            }
        }
        transfer::write_full(offset, data, write_size as usize, |part, at| {
            self.file.write_at(part, at)
        })
        .map_err(|stopped| self.stopped(Operation::Program, stopped))
    }

    fn is_bad(&mut self, block: u64) -> Result<bool> {
        self.block(Operation::CheckBad, block)?;
        match ioctl::memgetbadblock(&self.file, block) {
            // Newer kernels answer 0 where there are no bad blocks, old ones do not answer.
            Err(error) if unsupported(&error) => Ok(false),
            result => result.map_err(self.system(Operation::CheckBad, block)),
        }
    }

    fn mark_bad(&mut self, block: u64) -> Result<()> {
        self.check_writable(Operation::MarkBad, block)?;
        self.block(Operation::MarkBad, block)?;
        ioctl::memsetbadblock(&self.file, block).map_err(self.system(Operation::MarkBad, block))
    }

    fn is_locked(&mut self, range: Range<u64>) -> Result<Option<bool>> {
        let narrow = self.lock_range(Operation::CheckLock, &range)?;
        match ioctl::memislocked(&self.file, narrow) {
            Ok(locked) => Ok(Some(locked)),
            Err(error) if unsupported(&error) => Ok(None),
            Err(error) => Err(self.system(Operation::CheckLock, range.start)(error)),
        }
    }

    fn unlock(&mut self, range: Range<u64>) -> Result<()> {
        self.check_writable(Operation::Unlock, range.start)?;
        let narrow = self.lock_range(Operation::Unlock, &range)?;
        match ioctl::memunlock(&self.file, narrow) {
            Err(error) if unsupported(&error) => Ok(()),
            // So say drivers that cannot unlock this range by itself, also where nothing of it is locked.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && self.is_unlocked(&range) => Ok(()),
            result => result.map_err(self.system(Operation::Unlock, range.start)),
        }
    }

    fn lock(&mut self, range: Range<u64>) -> Result<()> {
        self.check_writable(Operation::Lock, range.start)?;
        let narrow = self.lock_range(Operation::Lock, &range)?;
        ioctl::memlock(&self.file, narrow).map_err(self.system(Operation::Lock, range.start))
    }

    fn ecc_stats(&mut self) -> Result<Option<EccStats>> {
        // The kernel answers with zeros for every device; only NAND has counters that move.
        if !self.info.geometry.kind.is_nand() {
            return Ok(None);
        }
        match ioctl::eccgetstats(&self.file) {
            Ok(stats) => Ok(Some(EccStats {
                failed: stats.failed.wrapping_sub(self.blank),
                ..stats
            })),
            Err(error) if unsupported(&error) => Ok(None),
            Err(error) => Err(Error::io(Operation::EccStats, &self.label, None, error)),
        }
    }
}

/// `ENOTSUPP` of `include/linux/errno.h`. It should not leave the kernel, but `nand_unlock` (drivers/mtd/nand/raw/nand_base.c, from
/// 4.19 on) answers it for every chip without locks.
const ENOTSUPP: i32 = 524;

/// Whether the kernel or the driver does not have the call at all.
fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOTTY | ENOTSUPP))
}

fn wrong(label: &str, what: &'static str) -> Error {
    Error::new(Operation::Open, label, None, ErrorKind::WrongDevice(what))
}

/// The range for the ioctls that count in 32 bits; `None` where it does not fit.
fn narrow(range: &Range<u64>) -> Option<EraseInfoUser> {
    let start = u32::try_from(range.start).ok()?;
    let length = u32::try_from(range.end.checked_sub(range.start)?).ok()?;
    Some(EraseInfoUser { start, length })
}

/// What the open device reports, if that is what was listed.
fn checked_geometry(file: &File, label: &str, listed: &Geometry) -> Result<Geometry> {
    let found =
        reported_geometry(file, Some(listed.size)).map_err(|error| Error::io(Operation::Open, label, None, error))?;
    match difference(listed, &found) {
        Some(what) => Err(wrong(label, what)),
        None => Ok(found),
    }
}

/// What tells the device that was found from the one that was listed.
fn difference(listed: &Geometry, found: &Geometry) -> Option<&'static str> {
    if found.size != listed.size {
        return Some("size");
    }
    if found.erase_size != listed.erase_size {
        return Some("erase size");
    }
    // /proc/mtd alone does not tell the kind, and then neither the write size.
    if listed.kind == FlashKind::Unknown {
        return None;
    }
    if found.kind != listed.kind {
        return Some("type");
    }
    if found.write_size != listed.write_size {
        return Some("write size");
    }
    (found.regions != listed.regions).then_some("erase regions")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geometry::EraseRegion;

    #[test]
    fn a_nand_without_locks_is_no_failure() {
        for number in [libc::EOPNOTSUPP, libc::ENOTTY, 524] {
            assert!(unsupported(&io::Error::from_raw_os_error(number)));
        }
        assert!(!unsupported(&io::Error::from_raw_os_error(libc::EIO)));
    }

    #[test]
    fn any_difference_from_the_listed_geometry_is_found() {
        let listed = Geometry::nand(0x800_0000, 0x2_0000, 2048, 64);
        assert_eq!(difference(&listed, &listed), None);
        let with = |change: fn(&mut Geometry)| {
            let mut found = listed.clone();
            change(&mut found);
            difference(&listed, &found)
        };
        assert_eq!(with(|found| found.size /= 2), Some("size"));
        assert_eq!(with(|found| found.erase_size /= 2), Some("erase size"));
        assert_eq!(with(|found| found.kind = FlashKind::Nor), Some("type"));
        assert_eq!(with(|found| found.write_size = 512), Some("write size"));
        assert_eq!(
            with(|found| found.regions.push(EraseRegion {
                offset: 0,
                erase_size: 1,
                blocks: 1
            })),
            Some("erase regions")
        );
    }

    #[test]
    fn a_kind_that_was_not_known_when_listing_does_not_count_as_different() {
        let found = Geometry::nand(0x800_0000, 0x2_0000, 2048, 64);
        let listed = Geometry {
            kind: FlashKind::Unknown,
            write_size: 1,
            oob_size: 0,
            ..found.clone()
        };
        assert_eq!(difference(&listed, &found), None);
    }

    #[test]
    fn ranges_that_need_64_bits_have_no_narrow_form() {
        assert_eq!(
            narrow(&(0x2_0000..0x4_0000)),
            Some(EraseInfoUser {
                start: 0x2_0000,
                length: 0x2_0000
            })
        );
        assert_eq!(narrow(&(1 << 32..(1 << 32) + 0x2_0000)), None);
        assert_eq!(narrow(&(0..1 << 32)), None);
    }
}
