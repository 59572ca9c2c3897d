//! `/sys/class/ubi`, documented in `Documentation/ABI/stable/sysfs-class-ubi` of the kernel.
#![forbid(unsafe_code)]

use std::fs;
use std::io;

use crate::discover::settled;
use crate::discover::sysfs::Attributes;
use crate::error::{Error, Operation, Result};
use crate::id::number;
use crate::paths::SystemPaths;

/// A UBI device: an MTD device that UBI is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UbiInfo {
    /// N of `ubiN`.
    pub index: u32,
    /// N of the `mtdN` that it is attached to. Kernels from 2.6.31 on.
    pub mtd: Option<u32>,
    /// Bytes of a logical erase block. The attribute is called `eraseblock_size`, but UBI's two headers of each
    /// erase block are not in it.
    pub leb_size: u32,
    /// Bytes of a page, or 1 where single bytes can be programmed.
    pub min_io_size: u32,
    /// Erase blocks of the MTD that are in use by UBI, the free ones among them.
    pub total_eraseblocks: u32,
    /// Erase blocks that belong to no volume.
    pub avail_eraseblocks: u32,
    /// Bad erase blocks.
    pub bad_peb_count: u32,
    /// Erase blocks kept to replace those that go bad.
    pub reserved_for_bad: u32,
    /// How often the most worn erase block has been erased.
    pub max_ec: u32,
    /// Its volumes, by their numbers.
    pub volumes: Vec<VolumeInfo>,
}

/// The two types of volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// Its logical erase blocks are written one by one: UBIFS, or anything else.
    Dynamic,
    /// Written as a whole only; UBI keeps a CRC of each erase block.
    Static,
}

/// A volume of a UBI device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    /// N of `ubiN_M`.
    pub ubi: u32,
    /// M of `ubiN_M`.
    pub id: u32,
    /// Its name, unique on its device.
    pub name: String,
    /// Its type.
    pub kind: VolumeKind,
    /// Bytes of data: all it can hold where it is dynamic, what was last written to it where it is static.
    pub data_bytes: u64,
    /// Logical erase blocks that belong to it.
    pub reserved_ebs: u32,
    /// Bytes of each that can be used: the device's [`leb_size`](UbiInfo::leb_size), cut to the volume's alignment.
    pub usable_eb_size: u32,
    /// Whether an update was begun and not ended; then it has no content.
    pub upd_marker: bool,
    /// Whether a static volume was found with a wrong CRC or with parts missing.
    pub corrupted: bool,
    /// The page size of its device in bytes, as [`UbiInfo::min_io_size`].
    pub min_io_size: u32,
    /// Major and minor number of its character device.
    pub device: (u32, u32),
}

impl VolumeInfo {
    /// What to call it in messages: `ubi0_1 "rootfs"`.
    pub fn label(&self) -> String {
        format!("ubi{}_{} \"{}\"", self.ubi, self.id, self.name)
    }

    /// Whether UBI takes new content only for all of it: it is static, or has no content that blocks could be changed of,
    /// because an update was broken off or its CRC is wrong.
    pub fn only_as_a_whole(&self) -> bool {
        self.kind == VolumeKind::Static || self.upd_marker || self.corrupted
    }

    /// Bytes that it can hold.
    pub fn capacity(&self) -> u64 {
        u64::from(self.reserved_ebs) * u64::from(self.usable_eb_size)
    }
}

/// Lists the UBI devices of the box, sorted by their numbers, each with its volumes. The class lies beside that of MTD
/// ([`SystemPaths::sys_class_mtd`]).
///
/// A kernel without UBI has an empty list.
///
/// # Errors
/// When the attributes cannot be read or understood.
pub fn list(paths: &SystemPaths) -> Result<Vec<UbiInfo>> {
    settled(|| listed(paths))
}

fn listed(paths: &SystemPaths) -> Result<Vec<UbiInfo>> {
    let class = paths.sys_class_mtd.with_file_name("ubi");
    let fail = |error| Error::io(Operation::List, &class.to_string_lossy(), None, error);
    let entries = match fs::read_dir(&class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut devices = Vec::new();
    let mut volumes = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let attributes = Attributes {
            directory: &entry.path(),
        };
        match numbers_of(&entry.file_name().to_string_lossy()) {
            Some((ubi, None)) => devices.extend(device(&attributes, ubi)?),
            Some((ubi, Some(id))) => volumes.extend(volume(&attributes, ubi, id)?),
            // `version` lies there too.
            None => {}
        }
    }
    devices.sort_unstable_by_key(|device| device.index);
    volumes.sort_unstable_by_key(|volume| (volume.ubi, volume.id));
    for mut volume in volumes {
        // A volume without its device is one that is just going away.
        if let Some(device) = devices.iter_mut().find(|device| device.index == volume.ubi) {
            volume.min_io_size = device.min_io_size;
            device.volumes.push(volume);
        }
    }
    Ok(devices)
}

/// The block device of a volume, `ubiblockN_M` (`drivers/mtd/ubi/block.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UbiBlock {
    /// N of `ubiN_M`.
    pub ubi: u32,
    /// M of `ubiN_M`.
    pub id: u32,
    /// Major and minor number of the block device.
    pub device: (u32, u32),
}

/// Lists the block devices that were made of volumes, sorted by their numbers (`/sys/block`).
///
/// # Errors
/// When the directory or a number cannot be read or understood.
pub fn blocks(paths: &SystemPaths) -> Result<Vec<UbiBlock>> {
    let class = paths.sys.join("block");
    let fail = |error| Error::io(Operation::List, &class.to_string_lossy(), None, error);
    let entries = match fs::read_dir(&class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let numbers = name.to_str().and_then(|name| name.strip_prefix("ubiblock"));
        let Some((Some(ubi), Some(id))) = numbers
            .and_then(|it| it.split_once('_'))
            .map(|(ubi, id)| (number(ubi, 10), number(id, 10)))
        else {
            continue;
        };
        let attributes = Attributes {
            directory: &entry.path(),
        };
        let device = match attributes.device_number()? {
            Some(device) => Some(device),
            None => attributes.gone("dev")?,
        };
        found.extend(device.map(|device| UbiBlock { ubi, id, device }));
    }
    found.sort_unstable();
    Ok(found)
}

/// N of `ubiN`, and M of `ubiN_M`.
fn numbers_of(name: &str) -> Option<(u32, Option<u32>)> {
    let rest = name.strip_prefix("ubi")?;
    match rest.split_once('_') {
        None => Some((number(rest, 10)?, None)),
        Some((ubi, volume)) => Some((number(ubi, 10)?, Some(number(volume, 10)?))),
    }
}

/// `None` when it went away meanwhile.
fn device(attributes: &Attributes<'_>, index: u32) -> Result<Option<UbiInfo>> {
    let Some(leb_size) = attributes.small("eraseblock_size")? else {
        return attributes.gone("eraseblock_size");
    };
    Ok(Some(UbiInfo {
        index,
        mtd: attributes.small("mtd_num")?,
        leb_size,
        min_io_size: attributes.required("min_io_size")?,
        total_eraseblocks: attributes.required("total_eraseblocks")?,
        avail_eraseblocks: attributes.required("avail_eraseblocks")?,
        bad_peb_count: attributes.required("bad_peb_count")?,
        reserved_for_bad: attributes.required("reserved_for_bad")?,
        max_ec: attributes.required("max_ec")?,
        volumes: Vec::new(),
    }))
}

fn volume(attributes: &Attributes<'_>, ubi: u32, id: u32) -> Result<Option<VolumeInfo>> {
    let Some(name) = attributes.text("name")? else {
        return attributes.gone("name");
    };
    let kind = match attributes.text("type")?.as_deref() {
        Some("dynamic") => VolumeKind::Dynamic,
        Some("static") => VolumeKind::Static,
        Some(_) => return Err(attributes.malformed("type")),
        None => return Err(attributes.missing("type")),
    };
    Ok(Some(VolumeInfo {
        ubi,
        id,
        name,
        kind,
        data_bytes: attributes
            .number("data_bytes")?
            .ok_or_else(|| attributes.missing("data_bytes"))?,
        reserved_ebs: attributes.required("reserved_ebs")?,
        usable_eb_size: attributes.required("usable_eb_size")?,
        upd_marker: attributes.required("upd_marker")? != 0,
        corrupted: attributes.required("corrupted")? != 0,
        min_io_size: 1,
        device: attributes.device_number()?.ok_or_else(|| attributes.missing("dev"))?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_devices_and_volumes_have_numbers() {
        assert_eq!(numbers_of("ubi0"), Some((0, None)));
        assert_eq!(numbers_of("ubi12_34"), Some((12, Some(34))));
        for name in ["version", "ubi", "ubi_ctrl", "ubiblock0_1", "ubi0_", "ubi+1", "ubi0_+1"] {
            assert_eq!(numbers_of(name), None, "{name}");
        }
    }
}
