//! Where the new firmware of an OpenWrt box looks for the settings: behind its root in NOR flash, or in a volume of a UBI.
//! Touches nothing.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::board::{Board, Partition};
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::squashfs;
use crate::keep::Asked;
use crate::keep::jffs2::MARK;
use crate::layout::Placed;
use crate::plan::{DATA, VolumeChanges, Write};
use mtd_rs::{FlashKind, Overlap, PartitionId};
use std::io;
use std::ops::Range;

/// Partitions of which one has the root of a box that has no `rootfs_data`.
const ROOTS: [&str; 3] = ["firmware", "rootfs", "ubi"];
/// Erase blocks that a JFFS2 wants at least (`fs/jffs2/fs.c` refuses fewer than five).
const LEAST_BLOCKS: u64 = 5;
/// Erase blocks of a UBIFS that hold no files: superblock, masters, log, orphans and what its journal and its garbage collector
/// keep back (`fs/ubifs/sb.c`), on the safe side.
const UBIFS_OVERHEAD: u64 = 24;
/// Where a squashfs says how long it is (`fs/squashfs/squashfs_fs.h`, version 4).
const BYTES_USED: u64 = 40;
/// More words that look like the beginning of one than any image has.
const MOST_ROOTS: usize = 256;

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// From this offset of a partition on, in erase blocks: there the kernel makes `rootfs_data` begin.
    Flash {
        /// The partition.
        on: PartitionId,
        /// Bytes.
        at: u64,
        /// Bytes that the archive and its nodes may take.
        room: u64,
    },
    /// A UBI volume, as `mount -t ubifs` calls it.
    Volume {
        /// Its name.
        name: String,
        /// Bytes that the archive may take.
        room: u64,
    },
}

/// What the update does to the settings that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Stay,
    /// They go, and what is written brings others along.
    Replaced,
    /// They go, and the new firmware takes them from here.
    Handed(Spot),
    /// They go, and there is no place for them.
    Lost(String),
}

/// Finds the place.
///
/// # Errors
/// Those of reading the image.
pub fn fate(asked: &Asked<'_>) -> io::Result<Fate> {
    if !at_stake(asked) {
        return Ok(Fate::Stay);
    }
    if let Some(volumes) = asked.volumes {
        return volume(asked, volumes);
    }
    if asked.format.is_flash_copy() {
        return Ok(Fate::Replaced);
    }
    let mut why =
        "what is written has no place for them: no 0xdeadc0de at the erase block behind its squashfs".to_owned();
    for placed in asked.placed {
        let Some(partition) = asked.board.get(placed.write.to.id) else {
            continue;
        };
        if let Some(spot) = in_root(asked.image, placed, partition)? {
            return Ok(Fate::Handed(spot));
        }
        match behind_root(asked.image, placed, partition)? {
            Ok(Some(spot)) => return Ok(Fate::Handed(spot)),
            Ok(None) => (),
            Err(reason) => why = reason,
        }
    }
    // The copy of a partition has what was in it.
    let copies = |placed: &Placed| placed.write.length() == placed.write.to.size;
    Ok(match asked.placed.iter().any(copies) {
        true => Fate::Replaced,
        false => Fate::Lost(why),
    })
}

/// Whether the update changes where the settings are.
fn at_stake(asked: &Asked<'_>) -> bool {
    let board = asked.board;
    if asked.volumes.is_some() {
        return true;
    }
    let is_data = |partition: &&Partition| is_called(&partition.name, &[DATA]);
    let data: Vec<&Partition> = board.partitions.iter().filter(is_data).collect();
    let reaches = |write: &Write, other: &Partition| {
        let whole = |id| board.map.whole(id);
        write.to.id == other.id || board.map.overlap(&whole(write.to.id), &whole(other.id)) != Overlap::No
    };
    match data.is_empty() {
        false => asked
            .writes
            .iter()
            .any(|write| data.iter().any(|data| reaches(write, data))),
        true => {
            let root = |write: &&Write| {
                let roots = board.partitions.iter().filter(|p| is_called(&p.name, &ROOTS));
                roots.into_iter().any(|root| reaches(write, root))
            };
            asked.writes.iter().copied().any(|write| root(&write))
        }
    }
}

/// Whether a partition has one of these names, in whichever case its driver writes it. A volume is called `ubi0:rootfs`.
fn is_called(name: &str, names: &[&str]) -> bool {
    let short = name.rsplit(':').next().unwrap_or_default();
    names.iter().any(|known| known.eq_ignore_ascii_case(short))
}

/// As `nand_restore_config` of `lib/upgrade/nand.sh` chooses: `rootfs_data`, or the volume of a root that can be written.
fn volume(asked: &Asked<'_>, volumes: &VolumeChanges) -> io::Result<Fate> {
    let leb = u64::from(volumes.leb_size);
    let root = volumes.sized.iter().find(|volume| volume.name == "rootfs");
    let is_ubifs = |placed: &&Placed| {
        let content = placed.content.as_ref();
        content.is_some_and(|content| content.format == Format::Ubifs)
    };
    let (name, free) = match (volumes.data, root, asked.placed.iter().find(is_ubifs)) {
        (Some(_), ..) => (DATA, left(asked.board, volumes)),
        (None, Some(root), Some(placed)) => ("rootfs", Some(free_blocks(asked.image, placed, root.gets.into(), leb)?)),
        _ => return Ok(Fate::Lost(format!("nothing of ubi{} is left for {DATA}", volumes.ubi))),
    };
    Ok(match free {
        Some(free) => Fate::Handed(in_volume(format!("ubi{}:{name}", volumes.ubi), free, leb)),
        None => Fate::Lost(format!(
            "how much of ubi{} is left for {DATA} is not known",
            volumes.ubi
        )),
    })
}

/// Erase blocks that are free in a UBIFS when it has grown to its volume, which it does up to the number in its superblock
/// (`max_leb_cnt` of `struct ubifs_sb_node`).
fn free_blocks(image: &Store, placed: &Placed, blocks: u64, leb: u64) -> io::Result<u64> {
    let mut most = [0; 4];
    image.read_exact_at(placed.write.source.start + 44, &mut most)?;
    let used = placed.write.length().div_ceil(leb.max(1));
    Ok(blocks.min(u32::from_le_bytes(most).into()).saturating_sub(used))
}

/// The volume of a root that is a UBIFS, by itself, as `nand_upgrade_ubifs` writes it.
fn in_root(image: &Store, placed: &Placed, partition: &Partition) -> io::Result<Option<Spot>> {
    let is_root = partition.volume.is_some() && partition.name.ends_with(":rootfs");
    let content = placed.content.as_ref();
    if !is_root || content.is_none_or(|content| content.format != Format::Ubifs) {
        return Ok(None);
    }
    let leb = u64::from(partition.geometry.erase_size).max(1);
    let free = free_blocks(image, placed, partition.geometry.size / leb, leb)?;
    Ok(Some(in_volume(partition.name.clone(), free, leb)))
}

/// The place in a volume that has so many free erase blocks.
fn in_volume(name: String, free: u64, leb: u64) -> Spot {
    Spot::Volume {
        name,
        room: free.saturating_sub(UBIFS_OVERHEAD) * leb * 4 / 5,
    }
}

/// Erase blocks that are left when the other volumes have their sizes.
fn left(board: &Board, volumes: &VolumeChanges) -> Option<u64> {
    let device = board.map.ubi().iter().find(|device| device.index == volumes.ubi)?;
    let removed = device.volumes.iter().find(|volume| Some(volume.id) == volumes.removed);
    let had = |had: Option<u32>| u64::from(had.unwrap_or_default());
    let mut free = u64::from(device.avail_eraseblocks) + had(removed.map(|volume| volume.reserved_ebs));
    for volume in &volumes.sized {
        free = (free + had(volume.had)).checked_sub(volume.gets.into())?;
    }
    Some(free)
}

/// The erase block with the mark, if it is the first behind the squashfs: there `mtd -j` puts the settings, and there the kernel
/// makes `rootfs_data` begin (`mtd_write` of `package/system/mtd/src/mtd.c`, and `mtdsplit.c`, of openwrt/openwrt).
fn behind_root(store: &Store, placed: &Placed, partition: &Partition) -> io::Result<Result<Option<Spot>, String>> {
    let write = &placed.write;
    let erase_size = u64::from(write.to.erase_size);
    let geometry = &partition.geometry;
    if partition.volume.is_some() || erase_size == 0 || !write.range.start.is_multiple_of(erase_size) {
        return Ok(Ok(None));
    }
    let Some(mark) = mark(store, &write.source, erase_size)? else {
        return Ok(Ok(None));
    };
    let at = write.range.start + (mark - write.source.start);
    let label = partition.label();
    if geometry.kind != FlashKind::Nor || !geometry.regions.is_empty() || !write.to.bad.is_empty() {
        return Ok(Err(format!("{label} is not a NOR flash with erase blocks of one size")));
    }
    if !ends_before(store, write.source.start..mark, erase_size)? {
        return Ok(Err(format!(
            "0x{at:x} of {label} gets the mark 0xdeadc0de, but no squashfs ends in the erase block before it"
        )));
    }
    if let Some(content) = placed
        .content
        .as_ref()
        .filter(|content| is_sealed(content, mark - write.source.start))
    {
        return Ok(Err(format!(
            "the {} that goes to {label} has a checksum over the place behind its root: sysupgrade rewrites its header, and \
             flasher writes what was checked and signed",
            content.format
        )));
    }
    let blocks = (geometry.size / erase_size).saturating_sub(at / erase_size);
    Ok(Ok(Some(Spot::Flash {
        on: partition.id,
        at,
        // The mark has an erase block of its own, and is one of those that the file system begins with.
        room: blocks.saturating_sub(LEAST_BLOCKS - 1) * erase_size,
    })))
}

/// Where the first erase block is that begins with the mark.
fn mark(store: &Store, source: &Range<u64>, erase_size: u64) -> io::Result<Option<u64>> {
    let mut at = source.start + erase_size;
    while at + MARK.len() as u64 <= source.end {
        let mut head = [0; MARK.len()];
        store.read_exact_at(at, &mut head)?;
        if head == MARK {
            return Ok(Some(at));
        }
        at += erase_size;
    }
    Ok(None)
}

/// Whether a squashfs ends in the last erase block of this range. Roots lie at multiples of four.
fn ends_before(store: &Store, range: Range<u64>, erase_size: u64) -> io::Result<bool> {
    let mut starts = Vec::new();
    let mut at = range.start;
    store.scan(range.clone(), |chunk| {
        let quads = chunk.chunks(4).enumerate();
        let magic = quads.filter(|(_, quad)| quad == b"hsqs");
        starts.extend(magic.map(|(index, _)| at + index as u64 * 4));
        starts.truncate(MOST_ROOTS);
        at += chunk.len() as u64;
    })?;
    for start in starts {
        let mut used = [0; 8];
        let there = store.read_head(&(start + BYTES_USED..range.end), &mut used)?;
        let end = start.checked_add(u64::from_le_bytes(used)).filter(|_| there);
        let end = end.and_then(|end| (end - range.start).checked_next_multiple_of(erase_size));
        if end == Some(range.end - range.start) {
            let found = squashfs::recognise(store, &(start..range.end))?;
            return Ok(found.is_some_and(|found| found.problem.is_none()));
        }
    }
    Ok(false)
}

/// Whether what the boot loader checks goes on into the place. TP-Link's checksum is looked at only when it writes the image itself.
fn is_sealed(content: &Content, mark: u64) -> bool {
    match content.format {
        Format::Squashfs | Format::TplinkV1 | Format::TplinkV2 => false,
        Format::Seama | Format::Wrgg => true,
        _ => content.length > mark,
    }
}
