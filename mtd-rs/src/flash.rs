//! What every flash can do, real or simulated.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;

use crate::error::{Error, Operation, Result};
use crate::geometry::Geometry;

/// Counters of the ECC of a device since it was attached (`struct mtd_ecc_stats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EccStats {
    /// Bits that were wrong and have been corrected.
    pub corrected: u32,
    /// Reads of ECC steps in which more bits were wrong than could be corrected.
    pub failed: u32,
    /// Bad blocks of the device.
    pub bad_blocks: u32,
    /// Blocks kept for the table of bad blocks.
    pub bbt_blocks: u32,
}

/// A flash device: a partition or a whole chip.
///
/// Offsets are bytes from the start of the device. Every method fails with
/// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) for bytes behind its end, and with what the system
/// or the chip reports.
pub trait Flash {
    /// What to call the device in messages: `mtd1 "Kernel"`.
    fn label(&self) -> &str;

    /// The shape of the device.
    fn geometry(&self) -> &Geometry;

    /// Fills the whole of `buf` with the bytes from `offset` on.
    ///
    /// **Success does not mean that the bytes are right.** `mtdchar_read` in `drivers/mtd/mtdchar.c` returns
    /// the data and no error when the ECC could not correct it (`-EBADMSG` is swallowed there, because tools
    /// that dump flash want the bytes anyhow), and this trait keeps that behaviour. Who needs to know compares
    /// [`ecc_stats`](Self::ecc_stats) before and after.
    ///
    /// # Errors
    /// When fewer bytes could be read. The content of `buf` is then unspecified.
    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// Erases exactly the erase block that begins at `block`; all its bits become 1.
    ///
    /// # Errors
    /// [`Unaligned`](crate::ErrorKind::Unaligned) when no erase block begins there. After a failure of the
    /// chip the content of the block is unspecified.
    fn erase(&mut self, block: u64) -> Result<()>;

    /// Programs `data` from `offset` on. Bits can only be cleared; on NAND the data is whole pages, in
    /// ascending order within a block, each page once between erases, or the first sub-pages of one page where chip
    /// and driver have these.
    ///
    /// # Errors
    /// [`Unaligned`](crate::ErrorKind::Unaligned) or `EINVAL` for a part of a page that cannot be programmed alone;
    /// nothing has been done then. After a failure of the chip any part of `data` may have been programmed.
    fn program(&mut self, offset: u64, data: &[u8]) -> Result<()>;

    /// Bytes of content, where the device knows them because it takes content only as a whole; see
    /// [`replace`](Self::replace). `None` elsewhere.
    fn holds(&self) -> Option<u64> {
        None
    }

    /// Empties a device that takes content only as a whole, and begins to fill it: [`program`](Self::program) is to
    /// follow for exactly `bytes` bytes, ascending from 0. Until the last of them is there, over a power cut too, the
    /// device has no content and cannot be read.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where blocks are written one by one.
    fn replace(&mut self, bytes: u64) -> Result<()> {
        let _ = bytes;
        let error = io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        Err(Error::io(Operation::Program, self.label(), None, error))
    }

    /// Whether the erase block that begins at `block` is marked bad. `false` where there are no bad blocks.
    ///
    /// # Errors
    /// [`Unaligned`](crate::ErrorKind::Unaligned) when no erase block begins there.
    fn is_bad(&mut self, block: u64) -> Result<bool>;

    /// Marks the erase block that begins at `block` as bad, for good.
    ///
    /// # Errors
    /// [`Unaligned`](crate::ErrorKind::Unaligned) when no erase block begins there; `EOPNOTSUPP` where blocks
    /// cannot be marked, as on NOR.
    fn mark_bad(&mut self, block: u64) -> Result<()>;

    /// Whether anything in `range` is locked; `None` where the driver cannot tell.
    ///
    /// # Errors
    /// [`OutOfRange`](crate::ErrorKind::OutOfRange) also where the range lies beyond 4 GiB on a device whose locks are
    /// asked for in 32 bits.
    fn is_locked(&mut self, range: Range<u64>) -> Result<Option<bool>>;

    /// Unlocks `range`. Does nothing and succeeds where the chip has no locks.
    ///
    /// # Errors
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly) for a device that may not be written.
    fn unlock(&mut self, range: Range<u64>) -> Result<()>;

    /// Locks `range`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the chip has no locks, so that nobody believes in a lock that is not there.
    fn lock(&mut self, range: Range<u64>) -> Result<()>;

    /// The ECC counters; `None` where there is no ECC.
    ///
    /// # Errors
    /// When the system refuses to tell.
    fn ecc_stats(&mut self) -> Result<Option<EccStats>>;
}
