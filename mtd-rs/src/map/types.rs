//! The words of the map: chips, extents, areas.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::Range;

use crate::discover::MtdInfo;
use crate::id::PartitionId;
use crate::ubi::VolumeInfo;

/// A flash chip, or what drivers show as one. Two partitions with the same id lie on the same chip.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChipId {
    key: Box<str>,
    name: Box<str>,
}

impl ChipId {
    pub(super) fn new(key: &str, name: &str) -> Self {
        ChipId {
            key: key.into(),
            name: name.into(),
        }
    }

    /// What the kernel calls the device that the chip is: `spi0.0`. Two chips may have the same name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ChipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Bytes of a chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The chip.
    pub chip: ChipId,
    /// Bytes from the start of the chip.
    pub range: Range<u64>,
}

/// Where a partition lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// On these bytes, in this order. A partition has one extent, a concatenation of several MTD devices has more.
    Known(Vec<Extent>),
    /// The position is not known, or what is known of it contradicts itself. Volumes have no position either, because UBI
    /// moves their blocks about.
    Unknown {
        /// The chip, where at least that is known.
        chip: Option<ChipId>,
    },
}

/// Some bytes of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// The partition.
    pub id: PartitionId,
    /// Bytes from its start.
    pub range: Range<u64>,
}

/// Whether two areas share bytes of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// They share none.
    No,
    /// They share some.
    Yes,
    /// It cannot be told. Whoever writes one of them must assume that the other changes too.
    Maybe,
}

/// A partition of the map.
#[derive(Clone, Copy, Debug)]
pub enum Partition<'a> {
    /// An MTD device.
    Mtd(&'a MtdInfo),
    /// A UBI volume.
    Volume(&'a VolumeInfo),
}

impl<'a> Partition<'a> {
    /// Its name, which need not be unique.
    pub fn name(&self) -> &'a str {
        match self {
            Partition::Mtd(info) => &info.name,
            Partition::Volume(info) => &info.name,
        }
    }

    /// Bytes that it can hold.
    pub fn size(&self) -> u64 {
        match self {
            Partition::Mtd(info) => info.geometry.size,
            Partition::Volume(info) => info.capacity(),
        }
    }
}

/// An MTD device of a box that is described rather than read: simulated ones, and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnChip {
    /// What `list` would say of it. Its `offset` and `parent` are not looked at.
    pub info: MtdInfo,
    /// The chip that it lies on.
    pub chip: String,
    /// Where it begins, in bytes from the start of the chip; `None` makes its position unknown.
    pub offset: Option<u64>,
}

/// A partition of which somebody knows where it lies: a line of a board's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes from the start of the chip.
    pub offset: u64,
}

/// Whether two ranges share a byte.
pub(super) fn meet(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// Whether they share some bytes, and each has some that the other has not. Partitions that the kernel made do not.
pub(super) fn cross(a: &Range<u64>, b: &Range<u64>) -> bool {
    meet(a, b) && !within(a, b) && !within(b, a)
}

/// Whether all of `a` lies in `b`.
pub(super) fn within(a: &Range<u64>, b: &Range<u64>) -> bool {
    b.start <= a.start && a.end <= b.end
}
