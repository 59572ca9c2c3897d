//! `/sys/class/mtd`, documented in `Documentation/ABI/testing/sysfs-class-mtd` of the kernel.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::MtdInfo;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::geometry::Geometry;
use crate::id;
use crate::kind::FlashKind;
use crate::paths::SystemPaths;

/// All devices of the class, and the numbers of those without a size: before 2.6.31 the class had no attributes and existed only for
/// udev to make the nodes.
pub(super) fn list(paths: &SystemPaths) -> Result<(Vec<MtdInfo>, Vec<u32>)> {
    let class = &paths.sys_class_mtd;
    let fail = |error| Error::io(Operation::List, &class.to_string_lossy(), None, error);
    let entries = match fs::read_dir(class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(fail(error)),
    };
    let (mut found, mut bare) = (Vec::new(), Vec::new());
    for entry in entries {
        let file_name = entry.map_err(fail)?.file_name();
        let Some(index) = index_of(&file_name.to_string_lossy()) else {
            continue;
        };
        match device(paths, index)? {
            Some(info) => found.push(info),
            // What has no directory any more went away meanwhile.
            None if directory(paths, index).exists() => bare.push(index),
            None => (),
        }
    }
    Ok((found, bare))
}

/// N of `mtdN`. `mtdNro`, the second minor of each device, is not a device of its own.
pub(crate) fn index_of(name: &str) -> Option<u32> {
    id::number(name.strip_prefix("mtd")?, 10)
}

fn directory(paths: &SystemPaths, index: u32) -> PathBuf {
    paths.sys_class_mtd.join(format!("mtd{index}"))
}

/// The error for a device that has none.
pub(super) fn without_size(paths: &SystemPaths, index: u32) -> Error {
    let directory = &directory(paths, index);
    Attributes { directory }.missing("size")
}

/// One device; `None` when it has no size.
fn device(paths: &SystemPaths, index: u32) -> Result<Option<MtdInfo>> {
    let directory = directory(paths, index);
    let attributes = Attributes { directory: &directory };
    let Some(size) = attributes.number("size")? else {
        return Ok(None);
    };
    // What every kernel with `size` has as well must be there: a guess would end in wrong erases.
    let flags = attributes.required("flags")?;
    let mut geometry = Geometry {
        kind: FlashKind::from_sysfs(&attributes.text("type")?.unwrap_or_default()),
        size,
        erase_size: attributes.required("erasesize")?,
        write_size: attributes.required("writesize")?,
        oob_size: attributes.small("oobsize")?.unwrap_or(0),
        flags,
        regions: Vec::new(),
    };
    // sysfs says how many regions there are, but only the device node says which. Partitions never have
    // regions of their own (`allocate_partition` in drivers/mtd/mtdpart.c), so that this concerns whole chips.
    if attributes.small("numeraseregions")?.unwrap_or(0) > 1
        && let Some(asked) = super::asked(paths, index, size)
    {
        geometry.regions = asked.regions;
    }
    Ok(Some(MtdInfo {
        index,
        // What a partition holds is known by its name.
        name: attributes.text("name")?.ok_or_else(|| attributes.missing("name"))?,
        writable: geometry.is_writable(),
        geometry,
        offset: attributes.number("offset")?,
        parent: parent_of(&directory),
        ecc_strength: attributes.small("ecc_strength")?,
        bad_blocks: attributes.small("bad_blocks")?,
        corrected_bits: attributes.small("corrected_bits")?,
        ecc_failures: attributes.small("ecc_failures")?,
    }))
}

/// The attribute files of one device.
pub(crate) struct Attributes<'a> {
    pub(crate) directory: &'a Path,
}

impl Attributes<'_> {
    /// The text without its line end; `None` where this kernel does not have the attribute.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        match fs::read(self.directory.join(name)) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                Ok(Some(text.strip_suffix('\n').unwrap_or(&text).to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(Operation::List, &self.label(name), None, error)),
        }
    }

    /// Major and minor number.
    pub(crate) fn device_number(&self) -> Result<Option<(u32, u32)>> {
        let text = self.text("dev")?;
        text.map(|text| id::device_number(&text).ok_or_else(|| self.malformed("dev")))
            .transpose()
    }

    /// A number, decimal or with `0x` (only `flags` has that).
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let text = text.trim();
        let number = match text.strip_prefix("0x") {
            Some(digits) => id::number(digits, 16),
            None => id::number(text, 10),
        };
        number.map(Some).ok_or_else(|| self.malformed(name))
    }

    pub(crate) fn small(&self, name: &str) -> Result<Option<u32>> {
        match self.number(name)? {
            Some(number) => u32::try_from(number).map(Some).map_err(|_| self.malformed(name)),
            None => Ok(None),
        }
    }

    pub(crate) fn required(&self, name: &str) -> Result<u32> {
        self.small(name)?.ok_or_else(|| self.missing(name))
    }

    /// Of a device whose `name` is missing: `None` when it went away meanwhile, directory and all.
    pub(crate) fn gone<T>(&self, name: &str) -> Result<Option<T>> {
        match self.directory.exists() {
            true => Err(self.missing(name)),
            false => Ok(None),
        }
    }

    /// What every kernel has is not there.
    pub(crate) fn missing(&self, name: &str) -> Error {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        Error::io(Operation::List, &self.label(name), None, error)
    }

    pub(crate) fn malformed(&self, name: &str) -> Error {
        Error::new(Operation::List, &self.label(name), None, ErrorKind::Malformed)
    }

    fn label(&self, name: &str) -> String {
        self.directory.join(name).to_string_lossy().into_owned()
    }
}

/// The MTD device that this one lies in: its directory in `/sys/devices` is then directly below the other's
/// (`add_mtd_device` in drivers/mtd/mtdcore.c sets `dev.parent`, and `get_device_parent` in
/// drivers/base/core.c puts no directory of the class between devices of one class).
fn parent_of(directory: &Path) -> Option<u32> {
    let real = fs::canonicalize(directory).ok()?;
    index_of(real.parent()?.file_name()?.to_str()?)
}

/// Major and minor number from the attribute `dev`.
pub(super) fn device_number(paths: &SystemPaths, index: u32) -> Option<(u32, u32)> {
    let directory = &directory(paths, index);
    Attributes { directory }.device_number().ok()?
}

/// The name of mtdN.
pub(super) fn name(paths: &SystemPaths, index: u32) -> Option<String> {
    let directory = &directory(paths, index);
    Attributes { directory }.text("name").ok()?
}
