//! The map of a box's flash: which partition lies where on which chip, and which of them share bytes.
//!
//! The kernel lets two MTD devices cover the same bytes: a partition within a partition, the whole chip beside its
//! partitions, a concatenation of several, a UBI device on one of them. Who erases one has to know what else that changes. The
//! kernel shows it only in part, and each generation of kernels in another way, so [`Map::overlap`] has three answers, and what
//! is missing, unreadable or contradictory is [`Overlap::Maybe`], never [`Overlap::No`].
//!
//! ```no_run
//! use mtd_rs::{Map, Overlap, PartitionId, SystemPaths};
//!
//! # fn main() -> mtd_rs::Result<()> {
//! let map = Map::read(&SystemPaths::default())?;
//! for info in map.devices() {
//!     let id = PartitionId::Mtd(info.index);
//!     for other in map.overlapping(id) {
//!         let sure = map.overlap(&map.whole(id), &map.whole(other)) == Overlap::Yes;
//!         println!("{id} {} {other}", if sure { "shares bytes with" } else { "may share bytes with" });
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What the kernel shows, and what follows from it
//!
//! * Partitions have an attribute `offset` since 4.1 (`mtd_partition_offset_show`, drivers/mtd/mtdpart.c). It counts from the
//!   partition that they lie in. Since 4.13 that one is the directory above in sysfs (commit 97519dc52b44). So on these kernels
//!   positions are sums along the directories.
//! * From 4.1 to 4.12 a partition within a partition looks like any other. Its offset then is either that on the chip (OpenWrt's
//!   splitters) or one from a partition that was registered before it and is large enough; both are kept in mind, unless the table
//!   fills a chip without a hole when read flat, or the command line or the device tree have the same line.
//! * A device without `offset` on such a kernel is a whole chip. Where `CONFIG_MTD_PARTITIONED_MASTER` is set its partitions lie
//!   below it, else beside it, on the same device. It then covers them all.
//!   Several on one device are whole chips only where some other MTD has the attribute.
//! * Before 4.1 there are no positions. They are those of the table in `mtdparts=` or in the device tree that has exactly the
//!   devices of the chip; else devices whose sizes fill a chip are known to lie apart, wherever that is; else any two of a chip may
//!   overlap.
//! * A concatenation (drivers/mtd/mtdconcat.c) does not say what it is made of. A device is taken for one that may be when its
//!   name or its device's says so, when it has no device of its own and its size is a sum of others' sizes (or its size is not
//!   shown, which is so for its partitions), when it was registered behind partitions on the same device and has the size of several
//!   of them, or when it lies below another MTD without an offset. It may overlap all that have its type, page size and OOB size,
//!   because only such can be put together. The device tree may name the parts; then they are known.
//!
//! An ordinary box stays exact: its chip hangs on a device of its own, on which there is one chip, and partitions lie below it, or
//! beside it within its size and with higher numbers. A second chip hangs on another device, and simulated flash, which hangs on
//! none, has its own type and page size, so that it is neither the one nor the other, nor made of it. Two simulated chips of the
//! same type are told apart by their whole devices; where only partitions are shown and two of them meet, all are doubtful.
//!
//! Two chips on one device whose partitions are shown without the chips are read as one. That can only make overlaps of what has
//! none: areas that do not meet on one chip do not meet on two either.
#![forbid(unsafe_code)]

mod cmdline;
mod concat;
mod facts;
mod learn;
mod node;
mod overlap;
mod place;
mod sums;
mod tables;
mod tree;
mod types;

pub use types::{Area, ChipId, Extent, Hint, OnChip, Overlap, Partition, Place};

use crate::discover::MtdInfo;
use crate::error::Result;
use crate::id::PartitionId;
use crate::paths::SystemPaths;
use crate::ubi::{UbiBlock, UbiInfo, VolumeInfo};
use facts::{Facts, Home};
use node::{Node, Spot, Suspect};

/// The partitions of a box and where they lie.
#[derive(Clone, Debug, Default)]
pub struct Map {
    nodes: Vec<Node>,
    ubi: Vec<UbiInfo>,
    blocks: Vec<UbiBlock>,
}

impl Map {
    /// Reads what the kernel shows: MTD and UBI devices, volumes and their block devices, the command line, the device tree.
    ///
    /// # Errors
    /// As [`list`](crate::list) and [`ubi::list`](crate::ubi::list): what the kernel lists must be readable. Where only
    /// positions cannot be found out that is no error, they are unknown.
    pub fn read(paths: &SystemPaths) -> Result<Map> {
        Ok(Map::of(facts::read(paths)?))
    }

    fn of(facts: Facts) -> Map {
        Map {
            nodes: place::nodes(&facts),
            ubi: facts.ubi,
            blocks: facts.blocks,
        }
    }

    /// The map of a box that is described: every device with its chip and its position there.
    pub fn new(devices: impl IntoIterator<Item = OnChip>, ubi: Vec<UbiInfo>) -> Map {
        let mut nodes: Vec<Node> = devices.into_iter().map(described).collect();
        nodes.sort_unstable_by_key(|node| node.info.index);
        let mut chips: Vec<ChipId> = nodes.iter().filter_map(|node| node.chip.clone()).collect();
        chips.sort_unstable();
        chips.dedup();
        for node in &mut nodes {
            node.group = chips
                .iter()
                .position(|chip| Some(chip) == node.chip.as_ref())
                .unwrap_or(0);
        }
        Map {
            nodes,
            ubi,
            blocks: Vec::new(),
        }
    }

    /// Takes positions from somebody who knows the board, for devices whose position is not known so far. Answers which were
    /// placed: all that the hints name, or none.
    ///
    /// None where a device that a hint names has another size, where a name is not unique, where the named devices lie on more than
    /// one chip, or where the positions contradict each other or what is known.
    pub fn learn(&mut self, hints: &[Hint]) -> Vec<PartitionId> {
        let placed = learn::learn(&mut self.nodes, hints);
        placed
            .into_iter()
            .map(|node| PartitionId::Mtd(self.nodes[node].info.index))
            .collect()
    }

    /// The MTD devices, by their numbers.
    pub fn devices(&self) -> impl Iterator<Item = &MtdInfo> {
        self.nodes.iter().map(|node| &node.info)
    }

    /// The UBI devices with their volumes, by their numbers.
    pub fn ubi(&self) -> &[UbiInfo] {
        &self.ubi
    }

    /// Every partition: the MTD devices, then the volumes.
    pub fn ids(&self) -> impl Iterator<Item = PartitionId> {
        let volumes = self.ubi.iter().flat_map(|ubi| &ubi.volumes);
        self.devices()
            .map(|info| PartitionId::Mtd(info.index))
            .chain(volumes.map(|volume| PartitionId::Volume {
                ubi: volume.ubi,
                id: volume.id,
            }))
    }

    /// What was found out about a partition; `None` where the box does not have it.
    pub fn get(&self, id: PartitionId) -> Option<Partition<'_>> {
        match id {
            PartitionId::Mtd(index) => Some(Partition::Mtd(&self.nodes[self.node(index)?].info)),
            PartitionId::Volume { ubi, id } => self.volume(ubi, id).map(Partition::Volume),
        }
    }

    /// The device number of `ubiblockN_M`, the block device of a volume, where there is one.
    pub fn ubi_block(&self, ubi: u32, id: u32) -> Option<(u32, u32)> {
        let mut blocks = self.blocks.iter();
        blocks
            .find(|block| (block.ubi, block.id) == (ubi, id))
            .map(|block| block.device)
    }

    /// What a partition lies in: another MTD, or for a volume the MTD of its UBI. `None` where that is a chip of which there is no
    /// device, or not known.
    pub fn parent(&self, id: PartitionId) -> Option<PartitionId> {
        match id {
            PartitionId::Mtd(index) => {
                let parent = self.nodes[self.node(index)?].parent?;
                Some(PartitionId::Mtd(self.nodes[parent].info.index))
            }
            PartitionId::Volume { ubi, id } => {
                self.volume(ubi, id)?;
                self.ubi_device(ubi)?.mtd.map(PartitionId::Mtd)
            }
        }
    }

    /// What has this partition as its [`parent`](Self::parent).
    pub fn children(&self, id: PartitionId) -> Vec<PartitionId> {
        self.ids().filter(|child| self.parent(*child) == Some(id)).collect()
    }

    /// Where a partition lies.
    pub fn place(&self, id: PartitionId) -> Place {
        let node = match id {
            PartitionId::Mtd(index) => self.node(index).map(|node| &self.nodes[node]),
            PartitionId::Volume { .. } => None,
        };
        match node.map(|node| (&node.spot, node.suspect)) {
            Some((Spot::At(extents), Suspect::No | Suspect::OfOthers)) => Place::Known(extents.clone()),
            _ => Place::Unknown { chip: self.chip(id) },
        }
    }

    /// The chip that a partition lies on; `None` where that is not known, or where it lies on several.
    pub fn chip(&self, id: PartitionId) -> Option<ChipId> {
        let index = match id {
            PartitionId::Mtd(index) => index,
            PartitionId::Volume { ubi, .. } => self.ubi_device(ubi)?.mtd?,
        };
        let node = &self.nodes[self.node(index)?];
        let one = match &node.spot {
            Spot::At(extents) => extents.iter().all(|extent| Some(&extent.chip) == node.chip.as_ref()),
            Spot::OneOf(_) | Spot::Anywhere => true,
        };
        node.chip.clone().filter(|_| one && node.suspect != Suspect::OfAny)
    }

    /// All bytes of a partition. One that the box does not have has all that there are.
    pub fn whole(&self, id: PartitionId) -> Area {
        let size = match self.get(id) {
            Some(Partition::Mtd(info)) => info.geometry.size,
            // It has a block at least, whatever its attributes say.
            Some(Partition::Volume(info)) => info.capacity().max(1),
            None => u64::MAX,
        };
        Area { id, range: 0..size }
    }

    /// Whether two areas share bytes of flash. An empty area shares none, one of a partition that the box does not have may share
    /// any.
    ///
    /// A volume shares bytes with the MTD below its UBI, and with what shares bytes with that; which ones, UBI decides anew with
    /// every write. It shares none with the other volumes of its UBI.
    pub fn overlap(&self, a: &Area, b: &Area) -> Overlap {
        overlap::overlap(self, a, b)
    }

    /// All other partitions that share bytes with this one, or may.
    pub fn overlapping(&self, id: PartitionId) -> Vec<PartitionId> {
        let whole = self.whole(id);
        self.ids()
            .filter(|other| *other != id && self.overlap(&whole, &self.whole(*other)) != Overlap::No)
            .collect()
    }

    fn node(&self, index: u32) -> Option<usize> {
        self.nodes.iter().position(|node| node.info.index == index)
    }

    fn ubi_device(&self, index: u32) -> Option<&UbiInfo> {
        self.ubi.iter().find(|ubi| ubi.index == index)
    }

    fn volume(&self, ubi: u32, id: u32) -> Option<&VolumeInfo> {
        let mut volumes = self.ubi_device(ubi)?.volumes.iter();
        volumes.find(|volume| volume.id == id)
    }
}

/// A device as somebody describes it.
fn described(device: OnChip) -> Node {
    let chip = ChipId::new(&device.chip, &device.chip);
    let range = device
        .offset
        .and_then(|offset| Some(offset..offset.checked_add(device.info.geometry.size)?));
    Node {
        spot: range.map_or(Spot::Anywhere, |range| {
            Spot::At(vec![Extent {
                chip: chip.clone(),
                range,
            }])
        }),
        info: MtdInfo {
            offset: None,
            ..device.info
        },
        home: Home::Device(device.chip),
        chip: Some(chip),
        parent: None,
        suspect: Suspect::No,
        apart: None,
        group: 0,
    }
}

/// Reads the tables of a command line, and holds them against devices that have the sizes they name.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for table in cmdline::tables(text) {
        let devices: Vec<(&str, u64)> = table
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.size.unwrap_or(4096)))
            .collect();
        let _ = tables::offsets(std::slice::from_ref(&table), &devices);
    }
}
