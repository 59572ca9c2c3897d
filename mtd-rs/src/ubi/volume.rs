//! A volume as a [`Flash`]: its erase blocks are UBI's logical ones (LEB).
//!
//! UBI never shows a LEB half written: `UBI_IOCEBCH` writes the new content to another erase block and switches over
//! when all of it is there, so that after a power cut the LEB has the old content or the new one. To get that through
//! a trait that erases first and programs then, an erase is *put off*: followed at once by the program of the same
//! block it becomes one atomic change; anything else carries it out first.
//!
//! A static volume has none of this. `UBI_IOCVOLUP` marks it as being updated and empties it; so many bytes as were
//! announced are then written one after the other, and when the last is there UBI checks their CRC and takes the mark
//! away (`drivers/mtd/ubi/upd.c`). The same gives content to a volume whose last update was broken off.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::node::{Node, Volume};
use super::sysfs::{VolumeInfo, VolumeKind, list};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::flash::{EccStats, Flash};
use crate::geometry::Geometry;
use crate::kind::{FlashKind, MTD_WRITEABLE};
use crate::node::Access;
use crate::paths::SystemPaths;
use crate::transfer;

/// An open volume.
///
/// * Its geometry has one erase block for each LEB, no bad blocks, and pages of the device's `min_io_size`.
/// * [`erase`](Flash::erase) is put off until it is known what follows; see the head of the module's source. Dropping
///   the volume carries it out.
/// * [`program`](Flash::program) takes whole erase blocks only and replaces what was there. Blank pages at the end of a
///   block are not programmed, so that UBIFS can use them; a block that is all blank is left without an erase block.
/// * Where ECC cannot correct what is read, zeros come back and [`ecc_stats`](Flash::ecc_stats) counts a failure, as
///   MTD devices have it.
/// * One that UBI changes [only as a whole](VolumeInfo::only_as_a_whole) takes [`replace`](Flash::replace) and nothing
///   else.
pub struct UbiVolume {
    volume: Box<dyn Volume>,
    label: String,
    geometry: Geometry,
    access: Access,
    /// The block whose erase was put off.
    pending: Option<u64>,
    /// Reads that ECC could not correct.
    failed: u32,
    /// Bytes of content, of a volume that is replaced as a whole.
    holds: Option<u64>,
    /// Whether what it holds ends before the volume does.
    is_static: bool,
    /// Where the kernel may be asked no more, as far as that is known: the end of a static volume's content.
    end: u64,
    /// Bytes of an update: those that are written, and all of them.
    update: Option<(u64, u64)>,
}

impl UbiVolume {
    /// Opens the volume that `info` describes and makes sure that it still is the same one.
    ///
    /// # Errors
    /// [`NoDeviceNode`](ErrorKind::NoDeviceNode) when `/dev` lacks the node, [`WrongDevice`](ErrorKind::WrongDevice) when
    /// the volume is another one now; `EBUSY` when it is to be written and something else writes it.
    pub fn open(paths: &SystemPaths, info: &VolumeInfo, access: Access) -> Result<UbiVolume> {
        let label = info.label();
        let kind = |kind| Error::new(Operation::Open, &label, None, kind);
        let system = |error| Error::io(Operation::Open, &label, None, error);
        let path = paths.dev.join(format!("ubi{}_{}", info.ubi, info.id));
        let node = Node::open(path, info.device, access).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let (major, minor) = info.device;
                kind(ErrorKind::NoDeviceNode { major, minor })
            }
            io::ErrorKind::InvalidInput => kind(ErrorKind::WrongDevice("device number")),
            _ => system(error),
        })?;
        // While it is open it cannot go away, so from here on it stays what is found now.
        let now = list(paths)?
            .into_iter()
            .flat_map(|device| device.volumes)
            .find(|volume| (volume.ubi, volume.id) == (info.ubi, info.id))
            .filter(|now| is_same(now, info, access))
            .ok_or_else(|| kind(ErrorKind::WrongDevice("name or size")))?;
        let taken = if access == Access::ReadOnly { &now } else { info };
        Ok(UbiVolume::over(Box::new(node), taken, access))
    }

    fn over(volume: Box<dyn Volume>, info: &VolumeInfo, access: Access) -> UbiVolume {
        UbiVolume {
            volume,
            label: info.label(),
            geometry: UbiVolume::geometry_of(info),
            access,
            pending: None,
            failed: 0,
            holds: info
                .only_as_a_whole()
                .then_some(match info.upd_marker || info.corrupted {
                    true => 0,
                    false => info.data_bytes,
                }),
            is_static: info.kind == VolumeKind::Static,
            end: match info.kind {
                VolumeKind::Static => info.data_bytes,
                _ => u64::MAX,
            },
            update: None,
        }
    }

    /// The shape that the volume has as a [`Flash`].
    pub fn geometry_of(info: &VolumeInfo) -> Geometry {
        Geometry {
            kind: FlashKind::UbiVolume,
            size: info.capacity(),
            erase_size: info.usable_eb_size,
            write_size: info.min_io_size,
            oob_size: 0,
            flags: MTD_WRITEABLE,
            regions: Vec::new(),
        }
    }

    fn fail(&self, operation: Operation, offset: u64, kind: ErrorKind) -> Error {
        Error::new(operation, &self.label, Some(offset), kind)
    }

    fn system(&self, operation: Operation, offset: u64, error: io::Error) -> Error {
        Error::io(operation, &self.label, Some(offset), error)
    }

    /// The number of the LEB that begins at `block`.
    fn leb(&self, operation: Operation, block: u64) -> Result<u32> {
        let found = self
            .geometry
            .block_at(block)
            .ok_or_else(|| self.fail(operation, block, ErrorKind::OutOfRange))?;
        let number = found.start / u64::from(self.geometry.erase_size).max(1);
        match (found.start == block, u32::try_from(number)) {
            (true, Ok(number)) => Ok(number),
            _ => Err(self.fail(operation, block, ErrorKind::Unaligned)),
        }
    }

    fn check_writable(&self, operation: Operation, offset: u64) -> Result<()> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(self.fail(operation, offset, ErrorKind::ReadOnly)),
        }
    }

    /// Carries out an erase that was put off.
    fn settle(&mut self) -> Result<()> {
        let Some(block) = self.pending.take() else {
            return Ok(());
        };
        let lnum = self.leb(Operation::Erase, block)?;
        self.volume
            .erase(lnum)
            .map_err(|error| self.system(Operation::Erase, block, error))
    }

    /// The next bytes of an update, which must be those that come next.
    fn append(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let Some((done, bytes)) = self.update else {
            return Err(self.unsupported(Operation::Program, offset));
        };
        let now = done + data.len() as u64;
        if offset != done || now > bytes {
            return Err(self.fail(Operation::Program, offset, ErrorKind::OutOfRange));
        }
        // After a failure nothing more is taken: UBI has given the update up.
        self.update = None;
        self.volume
            .append(data)
            .map_err(|error| self.system(Operation::Program, offset, error))?;
        match now == bytes {
            true => {
                self.holds = Some(bytes);
                if self.is_static {
                    self.end = bytes;
                }
            }
            false => self.update = Some((now, bytes)),
        }
        Ok(())
    }

    fn unsupported(&self, operation: Operation, offset: u64) -> Error {
        self.system(operation, offset, io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
}

/// Whether a volume that is found now is the one that was listed. One that is only read may have been given other content
/// meanwhile, by ourselves for one; one that is to be written must be as it was when that was planned. That a static volume
/// is damaged UBI finds when it is opened for the first time.
fn is_same(now: &VolumeInfo, listed: &VolumeInfo, access: Access) -> bool {
    let content =
        access == Access::ReadOnly || (now.data_bytes == listed.data_bytes && now.upd_marker == listed.upd_marker);
    content
        && now.name == listed.name
        && now.kind == listed.kind
        && now.reserved_ebs == listed.reserved_ebs
        && now.usable_eb_size == listed.usable_eb_size
        && now.min_io_size == listed.min_io_size
        && now.device == listed.device
}

/// What of a block has to be programmed: all but the blank pages at its end (`ubi_calc_data_len` in
/// drivers/mtd/ubi/misc.c). A page that was programmed, with 0xFF too, could not be programmed again.
fn without_blank_end(data: &[u8], page: u32) -> &[u8] {
    let used = data.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1);
    &data[..used.next_multiple_of(page.max(1) as usize).min(data.len())]
}

/// The character device of the volume, for [`ioctl`](super::ioctl) and for what else this crate does not wrap. An erase
/// that was put off has not been carried out yet. After a change that failed, the descriptor is not the volume's until
/// the next operation has opened it anew; ioctls answer `ENOTTY` meanwhile.
impl AsFd for UbiVolume {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.volume.as_fd()
    }
}

impl fmt::Debug for UbiVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UbiVolume")
            .field("label", &self.label)
            .field("geometry", &self.geometry)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl Flash for UbiVolume {
    fn label(&self) -> &str {
        &self.label
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.settle()?;
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.geometry.size => {}
            _ => return Err(self.fail(Operation::Read, offset, ErrorKind::OutOfRange)),
        }
        let (volume, failed) = (&mut self.volume, &mut self.failed);
        let end = self.end;
        let read = transfer::read_full(offset, buf, |part, at| {
            // At the end the kernel answers that nothing is left. Beyond it, it must not be asked: `vol_cdev_read` looks for the end
            // itself only, and `ubi_eba_read_leb` takes what follows for a bug of its own and ends the process.
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let there = left.min(part.len());
            match volume.read(at.min(end), &mut part[..there]) {
                Err(error) if error.raw_os_error() == Some(libc::EBADMSG) => {
                    part[..there].fill(0);
                    *failed = failed.saturating_add(1);
                    Ok(there)
                }
                result => result,
            }
        });
        read.map_err(|stopped| match stopped.source {
            Some(source) => self.system(Operation::Read, stopped.offset, source),
            None => self.fail(Operation::Read, stopped.offset, stopped.kind),
        })
    }

    fn erase(&mut self, block: u64) -> Result<()> {
        self.check_writable(Operation::Erase, block)?;
        self.leb(Operation::Erase, block)?;
        if self.holds.is_some() {
            return Err(self.unsupported(Operation::Erase, block));
        }
        if self.pending != Some(block) {
            self.settle()?;
        }
        self.pending = Some(block);
        Ok(())
    }

    fn program(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.check_writable(Operation::Program, offset)?;
        if self.holds.is_some() {
            return self.append(offset, data);
        }
        let lnum = self.leb(Operation::Program, offset)?;
        if data.len() != self.geometry.erase_size as usize {
            return Err(self.fail(Operation::Program, offset, ErrorKind::Unaligned));
        }
        match self.pending == Some(offset) {
            true => self.pending = None,
            false => self.settle()?,
        }
        let programmed = match without_blank_end(data, self.geometry.write_size) {
            [] => self.volume.erase(lnum),
            data => self.volume.change(lnum, data),
        };
        programmed.map_err(|error| self.system(Operation::Program, offset, error))
    }

    fn holds(&self) -> Option<u64> {
        self.holds
    }

    fn replace(&mut self, bytes: u64) -> Result<()> {
        self.check_writable(Operation::Program, 0)?;
        if self.holds.is_none() {
            return Err(self.unsupported(Operation::Program, 0));
        }
        if bytes > self.geometry.size {
            return Err(self.fail(Operation::Program, bytes, ErrorKind::OutOfRange));
        }
        self.holds = Some(0);
        // Until the update is complete the kernel lets nobody read.
        self.end = u64::MAX;
        self.volume
            .begin(bytes)
            .map_err(|error| self.system(Operation::Program, 0, error))?;
        self.update = Some((0, bytes));
        Ok(())
    }

    fn is_bad(&mut self, block: u64) -> Result<bool> {
        self.leb(Operation::CheckBad, block)?;
        Ok(false)
    }

    fn mark_bad(&mut self, block: u64) -> Result<()> {
        Err(self.unsupported(Operation::MarkBad, block))
    }

    fn is_locked(&mut self, _range: Range<u64>) -> Result<Option<bool>> {
        Ok(None)
    }

    fn unlock(&mut self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn lock(&mut self, range: Range<u64>) -> Result<()> {
        Err(self.unsupported(Operation::Lock, range.start))
    }

    fn ecc_stats(&mut self) -> Result<Option<EccStats>> {
        Ok(Some(EccStats {
            failed: self.failed,
            ..EccStats::default()
        }))
    }
}

impl Drop for UbiVolume {
    fn drop(&mut self) {
        // Nobody is left to be told; who must know reads the block, which carries it out too.
        let _ = self.settle();
    }
}

#[cfg(test)]
#[path = "volume_tests.rs"]
mod tests;
