//! Where kept files will be mounted, and how much is free there and in RAM. Touches nothing.

#![forbid(unsafe_code)]

use crate::base::units::Grouped;
use crate::board::Partition;
use crate::keep::Place;
use crate::keep::check::{Asked, Checked, PAGE, refused};
use mtd_rs::{MTD_BLOCK_MAJOR, PartitionId};
use nix::sys::statvfs::statvfs;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

/// Where its file system is mounted now, if that can be said of such a place.
pub(super) fn mounted_at(place: &Place<'_>, mtd: Option<&Partition>) -> io::Result<Option<PathBuf>> {
    let device = match mtd {
        Some(partition) => match partition.id {
            PartitionId::Mtd(index) => (MTD_BLOCK_MAJOR, index),
            // What is mounted of a volume has a number that says nothing.
            PartitionId::Volume { .. } => return Ok(None),
        },
        // Another name, which the file system itself understands.
        None if !place.on.starts_with('/') => return Ok(None),
        None => {
            let about = fs::metadata(place.on)?;
            if !about.file_type().is_block_device() {
                return Err(io::Error::other("it is not a disk"));
            }
            let device = stages::numbers(about.rdev());
            if !stages::is_on_disks(device) {
                return Err(io::Error::other(
                    "it is flash, or lies on something that ends with the old system, or /sys does not tell",
                ));
            }
            device
        }
    };
    stages::mounted_at(device)
}

/// Erase blocks that jffs2 keeps back: two for deletion, and 2 % and 100 bytes a block for overhead
/// (`jffs2_calc_trigger_levels` in `fs/jffs2/build.c`).
fn jffs2_reserve(size: u64, erase_size: u64) -> u64 {
    2 + (size / 50 + size / erase_size * 100).div_ceil(erase_size)
}

/// What will be free, if it can be known: of flash that is written anew, what the image leaves.
pub(super) fn room(asked: &Asked<'_>, place: &Place<'_>, mtd: Option<&Partition>) -> io::Result<Option<u64>> {
    let writes: Vec<_> = asked
        .writes
        .iter()
        .filter(|write| mtd.is_some_and(|partition| partition.id == write.to.id))
        .collect();
    if let (Some(partition), false) = (mtd.filter(|partition| partition.volume.is_none()), writes.is_empty()) {
        let erase_size = u64::from(partition.geometry.erase_size);
        let mut used = (1 + jffs2_reserve(partition.geometry.size, erase_size)) * erase_size;
        for write in writes {
            asked.image.scan(write.source.clone(), |chunk| {
                let pages = chunk.chunks(PAGE as usize);
                used += PAGE * pages.filter(|page| page.iter().any(|byte| *byte != 0xff)).count() as u64;
            })?;
        }
        return Ok(Some(partition.capacity().saturating_sub(used)));
    }
    let Some(at) = mounted_at(place, mtd)? else {
        return Ok(None);
    };
    let about = statvfs(&at)?;
    // These have other widths on other machines.
    let free = u128::from(about.blocks_available()) * u128::from(about.fragment_size());
    Ok(Some(u64::try_from(free).unwrap_or(u64::MAX)))
}

/// Whether the RAM has this much beside the update.
pub(super) fn in_ram(asked: &Asked<'_>, bytes: u64) -> Checked<()> {
    let ram = asked.ram;
    match ram.available < ram.needed + bytes {
        false => Ok(()),
        true => refused(
            format!(
                "the kept files need {} bytes of RAM beside the {} of the update, {} are available",
                Grouped(bytes),
                Grouped(ram.needed),
                Grouped(ram.available)
            ),
            "keep less, or stop services that use much memory",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_that_is_not_there_or_is_no_disk_is_not_one_that_is_not_mounted_yet() {
        let at = |on| {
            let place = Place {
                fs: "ext4",
                on,
                directory: "",
            };
            mounted_at(&place, None)
        };
        assert!(at("/dev/nowhere").is_err());
        assert!(at("/dev/null").is_err());
        assert!(at("/proc/self/exe").is_err());
        assert!(at("ubi0:data").unwrap().is_none());
    }
}
