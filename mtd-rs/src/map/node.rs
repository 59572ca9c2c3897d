//! A device of the map and what is known of its position.
#![forbid(unsafe_code)]

use std::ops::Range;

use super::facts::Home;
use super::types::{ChipId, Extent};
use crate::discover::MtdInfo;
use crate::kind::FlashKind;

/// Half of the blocks' capacity is used, so that the sizes of the partition and of what it covers differ
/// (`MTD_SLC_ON_MLC_EMULATION` of include/uapi/mtd/mtd-abi.h).
const MTD_SLC_ON_MLC_EMULATION: u32 = 0x4000;

/// What is known of a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// These bytes, in this order.
    At(Vec<Extent>),
    /// One of these.
    OneOf(Vec<Extent>),
    /// Somewhere on its chip, or anywhere where the chip is not known.
    Anywhere,
}

/// Whether a device may be made of others, whatever its position says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suspect {
    /// It is not.
    No,
    /// Of devices outside of its group.
    OfOthers,
    /// Of any.
    OfAny,
}

/// An MTD device.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) info: MtdInfo,
    pub(super) home: Home,
    /// The chip; `None` where that is not known.
    pub(super) chip: Option<ChipId>,
    pub(super) spot: Spot,
    /// The node that its offset counts from.
    pub(super) parent: Option<usize>,
    /// Whether it may be a concatenation.
    pub(super) suspect: Suspect,
    /// Devices with the same number here share no byte, although their positions are not known.
    pub(super) apart: Option<usize>,
    /// Devices that may lie on one chip.
    pub(super) group: usize,
}

impl Node {
    pub(super) fn size(&self) -> u64 {
        self.info.geometry.size
    }

    /// A partition has the type, the page size and the OOB size of what it lies on (`allocate_partition` in
    /// drivers/mtd/mtdpart.c), and a concatenation those of each of its parts (`mtd_concat_create` in drivers/mtd/mtdconcat.c).
    pub(super) fn may_share_chip_with(&self, other: &Node) -> bool {
        let (a, b) = (&self.info.geometry, &other.info.geometry);
        let unknown = a.kind == FlashKind::Unknown || b.kind == FlashKind::Unknown;
        unknown || a.kind == b.kind && a.write_size == b.write_size && a.oob_size == b.oob_size
    }

    /// Whether its bytes are those of what it lies in, one by one.
    pub(super) fn is_linear(&self) -> bool {
        self.info.geometry.flags & MTD_SLC_ON_MLC_EMULATION == 0
    }

    pub(super) fn suspect(&mut self, of: Suspect) {
        self.suspect = self.suspect.max(of);
    }

    /// Where it would lie if its offset counted from `base`.
    pub(super) fn from(&self, base: u64) -> Option<Range<u64>> {
        let start = base.checked_add(self.info.offset?)?;
        Some(start..start.checked_add(self.size())?)
    }
}

/// The extents of a part of what lies on `whole`; `None` where it reaches beyond the end.
pub(super) fn slice(whole: &[Extent], part: &Range<u64>) -> Option<Vec<Extent>> {
    let mut found = Vec::new();
    let mut start = 0u64;
    for extent in whole {
        let end = start.checked_add(extent.range.end.checked_sub(extent.range.start)?)?;
        let (from, to) = (part.start.max(start), part.end.min(end));
        if from < to {
            let base = extent.range.start;
            found.push(Extent {
                chip: extent.chip.clone(),
                range: base + (from - start)..base + (to - start),
            });
        }
        start = end;
    }
    (part.start <= part.end && part.end <= start).then_some(found)
}

/// Whole chips, and partitions.
pub(super) fn split(nodes: &[Node], group: &[usize]) -> (Vec<usize>, Vec<usize>) {
    group.iter().partition(|&&index| nodes[index].info.offset.is_none())
}

/// A partition whose bytes are not those of its parent one by one.
pub(super) fn half_capacity(node: &mut Node) {
    if !node.is_linear() {
        node.spot = Spot::Anywhere;
    }
}

/// The chip of a device; with `own`, one that is not that of others with the same home.
pub(super) fn chip_of(node: &Node, own: Option<u32>) -> ChipId {
    let shape = &node.info.geometry;
    let home = match &node.home {
        Home::Device(path) => path.as_str(),
        Home::Virtual => "virtual",
        Home::Block => "block device",
        Home::Unknown => "",
    };
    let shape = format!("{home}#{}/{}/{}", shape.kind.as_str(), shape.write_size, shape.oob_size);
    match own {
        Some(index) => ChipId::new(&format!("{shape}#{index}"), &node.info.name),
        None => ChipId::new(&shape, node.home.name()),
    }
}
