//! The node of an MTD character device, and what it says of the device.
#![forbid(unsafe_code)]

use nix::sys::stat::{Mode, SFlag, mknod};
use std::fs::{File, Metadata, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::geometry::{EraseRegion, Geometry};
use crate::ioctl;
use crate::kind::{FlashKind, MTD_CHAR_MAJOR};
use crate::paths::SystemPaths;

/// What a device is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading, and asking about blocks.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// `/dev/mtdN`, or `/dev/mtd/N` as devfs had it and some old boxes still do.
pub(crate) fn node(paths: &SystemPaths, index: u32) -> PathBuf {
    let path = paths.dev.join(format!("mtd{index}"));
    if !path.exists() {
        let old = paths.dev.join("mtd").join(index.to_string());
        if old.exists() {
            return old;
        }
    }
    path
}

pub(crate) fn open_node(path: &Path, access: Access) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .open(path)
}

/// Opens the node of an MTD. What it is is looked at first: opening alone starts a watchdog, and waits at a pipe.
pub(crate) fn open_mtd(path: &Path, access: Access, label: &str) -> Result<File> {
    let fail = |error| Error::io(Operation::Open, label, None, error);
    number_of(&path.metadata().map_err(fail)?, label)?;
    open_node(path, access).map_err(fail)
}

/// Where a node can be made for a moment, best first.
const FOR_A_MOMENT: [&str; 3] = ["/dev", "/run", "/tmp"];

/// Opens a character device that has no node, as on a box whose `/dev` is a directory of its read-only root: one is made for
/// root alone and removed at once. The error is that of the last place: a name that is taken, or a file system without devices.
pub(crate) fn open_without_node(major: u32, minor: u32, access: Access) -> io::Result<File> {
    let name = format!(".mtd-{major}-{minor}-{}", std::process::id());
    let device = libc::makedev(major, minor);
    let mut last = io::ErrorKind::NotFound.into();
    for dir in FOR_A_MOMENT {
        let path = Path::new(dir).join(&name);
        let made = mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, device);
        let opened = made.map_err(io::Error::from).and_then(|()| {
            let opened = open_node(&path, access);
            remove_file(&path).and(opened)
        });
        match opened {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The MTD number of an open character device.
pub(crate) fn index_of(file: &File, label: &str) -> Result<u32> {
    let about = file
        .metadata()
        .map_err(|error| Error::io(Operation::Open, label, None, error))?;
    number_of(&about, label)
}

fn number_of(about: &Metadata, label: &str) -> Result<u32> {
    let number = about.rdev();
    if !about.file_type().is_char_device() || libc::major(number) != MTD_CHAR_MAJOR {
        return Err(Error::new(Operation::Open, label, None, ErrorKind::NotMtd));
    }
    Ok(libc::minor(number) / 2)
}

/// The geometry that the open device reports, for a device of `size` bytes.
///
/// `MEMGETINFO` gives the size modulo 2^32 only; `size` is what `/proc/mtd` or sysfs say.
pub(crate) fn reported_geometry(file: &File, size: Option<u64>) -> io::Result<Geometry> {
    let info = ioctl::memgetinfo(file)?;
    let count = ioctl::memgetregioncount(file)?;
    let mut regions = Vec::new();
    // One region is no more than the uniform chip that it is.
    if count > 1 {
        for index in 0..count {
            let region = ioctl::memgetregioninfo(file, index)?;
            regions.push(EraseRegion {
                offset: u64::from(region.offset),
                erase_size: region.erasesize,
                blocks: region.numblocks,
            });
        }
    }
    Ok(Geometry {
        kind: FlashKind::from_abi(info.kind),
        size: size
            .filter(|size| *size as u32 == info.size)
            .unwrap_or(u64::from(info.size)),
        erase_size: info.erasesize,
        write_size: info.writesize,
        oob_size: info.oobsize,
        flags: info.flags,
        regions,
    })
}
