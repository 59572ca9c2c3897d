//! Which MTD devices a box has.
//!
//! sysfs tells most (kernels from 2.6.31 on with `CONFIG_SYSFS`). Where it has no attributes, `/proc/mtd`
//! gives names and sizes, and the device node is asked for the rest. Where there are both, they must agree. Nothing is written here.
#![forbid(unsafe_code)]

mod proc_mtd;
pub(crate) mod sysfs;

use std::fs;
use std::io;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::geometry::Geometry;
use crate::kind::{FlashKind, MTD_CHAR_MAJOR};
use crate::node::{self, Access};
use crate::paths::SystemPaths;

pub(crate) use sysfs::index_of as mtd_number;

/// What can be found out about an MTD device without writing to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtdInfo {
    /// N of `mtdN`.
    pub index: u32,
    /// The name of the partition. Names need not be unique, and may hold spaces.
    pub name: String,
    /// The shape. Where only `/proc/mtd` could be read, the kind is [`FlashKind::Unknown`], the write size 1
    /// and the flags 0. Regions are only known where the device node could be opened.
    pub geometry: Geometry,
    /// Whether it can be written: [`Geometry::is_writable`]. `false` where that is not known.
    pub writable: bool,
    /// Where the partition begins, in bytes from the start of its parent. Kernels from 4.1 on, partitions only.
    pub offset: Option<u64>,
    /// N of the device that this is a partition of, where the kernel shows that one as a device too
    /// (`CONFIG_MTD_PARTITIONED_MASTER`, or a partition within a partition).
    pub parent: Option<u32>,
    /// How many bits per ECC step can be corrected. 0 where there is no ECC, `None` where that is not known.
    pub ecc_strength: Option<u32>,
    /// Bad blocks of the device.
    pub bad_blocks: Option<u32>,
    /// Bits corrected since the device was attached.
    pub corrected_bits: Option<u32>,
    /// Uncorrectable errors since the device was attached.
    pub ecc_failures: Option<u32>,
}

impl MtdInfo {
    /// A device of this shape, writable as its flags say, of which nothing else is known.
    pub fn new(index: u32, name: &str, geometry: Geometry) -> MtdInfo {
        MtdInfo {
            index,
            name: name.to_owned(),
            writable: geometry.is_writable(),
            geometry,
            offset: None,
            parent: None,
            ecc_strength: None,
            bad_blocks: None,
            corrected_bits: None,
            ecc_failures: None,
        }
    }

    /// What to call the device in messages: `mtd1 "Kernel"`.
    pub fn label(&self) -> String {
        format!("mtd{} \"{}\"", self.index, self.name)
    }
}

/// Lists the MTD devices of the box, sorted by their numbers.
///
/// A box without MTD, that is without `/proc/mtd` and without the sysfs class, has an empty list.
///
/// # Errors
/// When the lists of the kernel cannot be read or understood, and [`Contradictory`](ErrorKind::Contradictory) when they do not agree. A
/// device that cannot be opened is no error; what is not known of it is described at [`MtdInfo`].
pub fn list(paths: &SystemPaths) -> Result<Vec<MtdInfo>> {
    settled(|| listed(paths))
}

/// Reads once more what changed meanwhile: a device that comes or goes is half there, or in one of the lists only.
pub(crate) fn settled<T>(read: impl Fn() -> Result<T>) -> Result<T> {
    read().or_else(|error| match (error.kind(), error.raw_os_error()) {
        (ErrorKind::Contradictory, _) | (_, Some(libc::ENOENT | libc::ENODEV)) => read(),
        _ => Err(error),
    })
}

fn listed(paths: &SystemPaths) -> Result<Vec<MtdInfo>> {
    let (mut found, bare) = sysfs::list(paths)?;
    let text = proc_text(paths)?;
    let text = text.as_deref();
    let only_proc = found.is_empty();
    if only_proc {
        let lines = parsed(paths, text.unwrap_or_default())?;
        found = lines.into_iter().map(|line| complete(paths, line)).collect();
    }
    found.sort_unstable_by_key(|info| info.index);
    let both = text.filter(|_| !only_proc);
    if let Some(device) = both.and_then(|text| proc_mtd::contradicted(text, &found)) {
        return Err(Error::new(Operation::List, &device, None, ErrorKind::Contradictory));
    }
    for index in bare {
        if !found.iter().any(|info| info.index == index) {
            return Err(sysfs::without_size(paths, index));
        }
    }
    Ok(found)
}

/// The numbers and names of the MTD devices that there are now, as `/proc/mtd` lists them. Cheaper than [`list`], and enough to
/// see whether a device has come since.
///
/// # Errors
/// When the list cannot be read or understood. A kernel without MTD has an empty one.
pub fn present(paths: &SystemPaths) -> Result<Vec<(u32, String)>> {
    let lines = parsed(paths, &proc_text(paths)?.unwrap_or_default())?;
    Ok(lines.into_iter().map(|line| (line.index, line.name)).collect())
}

/// The text of `/proc/mtd`; `None` where there is none.
fn proc_text(paths: &SystemPaths) -> Result<Option<String>> {
    match fs::read(&paths.proc_mtd) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(
            Operation::List,
            &paths.proc_mtd.to_string_lossy(),
            None,
            error,
        )),
    }
}

fn parsed(paths: &SystemPaths, text: &str) -> Result<Vec<proc_mtd::Line>> {
    let label = paths.proc_mtd.to_string_lossy();
    proc_mtd::parse(text).ok_or_else(|| Error::new(Operation::List, &label, None, ErrorKind::Malformed))
}

/// Asks the device node for what `/proc/mtd` does not tell.
fn complete(paths: &SystemPaths, line: proc_mtd::Line) -> MtdInfo {
    let known = Geometry {
        kind: FlashKind::Unknown,
        write_size: 1,
        flags: 0,
        ..Geometry::nor(line.size, line.erase_size)
    };
    let geometry = asked(paths, line.index, line.size)
        .filter(|asked| asked.size == line.size && asked.erase_size == line.erase_size)
        .unwrap_or(known);
    MtdInfo::new(line.index, &line.name, geometry)
}

/// What the device node says, if there is one that can be opened.
fn asked(paths: &SystemPaths, index: u32, size: u64) -> Option<Geometry> {
    let label = format!("mtd{index}");
    let file = node::open_mtd(&node::node(paths, index), Access::ReadOnly, &label).ok()?;
    // A stale node may belong to another device; what it says is not mixed in.
    node::index_of(&file, &label).ok().filter(|found| *found == index)?;
    node::reported_geometry(&file, Some(size)).ok()
}

/// Major and minor number that the node of mtdN must have.
pub(crate) fn device_number(paths: &SystemPaths, index: u32) -> (u32, u32) {
    sysfs::device_number(paths, index).unwrap_or((MTD_CHAR_MAJOR, 2 * index))
}

/// The name that mtdN has right now; `None` where the kernel does not say.
pub(crate) fn current_name(paths: &SystemPaths, index: u32) -> Option<String> {
    if let Some(name) = sysfs::name(paths, index) {
        return Some(name);
    }
    let mut devices = present(paths).ok()?.into_iter();
    devices.find(|device| device.0 == index).map(|device| device.1)
}

/// Reads the text of `/proc/mtd`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    if let Some(lines) = proc_mtd::parse(text) {
        assert!(lines.len() <= text.lines().count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn only_what_may_have_changed_meanwhile_is_read_again() {
        let system = |number| Error::io(Operation::List, "size", None, io::Error::from_raw_os_error(number));
        let own = |kind| Error::new(Operation::List, "size", None, kind);
        let reads = |error: &dyn Fn() -> Error| {
            let reads = Cell::new(0);
            let read = || -> Result<()> {
                reads.set(reads.get() + 1);
                Err(error())
            };
            assert!(settled(read).is_err());
            reads.get()
        };
        assert_eq!(reads(&|| system(libc::ENOENT)), 2);
        assert_eq!(reads(&|| system(libc::ENODEV)), 2);
        assert_eq!(reads(&|| own(ErrorKind::Contradictory)), 2);
        assert_eq!(reads(&|| system(libc::EACCES)), 1);
        assert_eq!(reads(&|| own(ErrorKind::Malformed)), 1);
    }
}
