//! The order in which partitions are told to a person: chip by chip, each below what it lies in.

#![forbid(unsafe_code)]

use crate::board::{Board, Partition};
use mtd_rs::map::ChipId;
use mtd_rs::{PartitionId, Place};
use std::cmp::Reverse;

/// The partitions of one chip, or those of which the chip is not known.
pub(super) struct Chip {
    id: Option<ChipId>,
    /// How deep a partition lies, and which one it is.
    pub(super) lines: Vec<(usize, PartitionId)>,
}

impl Chip {
    /// What the kernel calls it.
    pub(super) fn name(&self) -> Option<&str> {
        self.id.as_ref().map(ChipId::name)
    }
}

/// Where a partition begins on its chip, in bytes; `None` where that is not known, or where it lies in several pieces.
pub(super) fn offset(board: &Board, id: PartitionId) -> Option<u64> {
    match board.map.place(id) {
        Place::Known(extents) => match extents.as_slice() {
            [extent] => Some(extent.range.start),
            _ => None,
        },
        _ => None,
    }
}

/// Every partition, once. Within a chip the order is that of the offsets; where they are not known, that of the numbers.
pub(super) fn chips(board: &Board) -> Vec<Chip> {
    let parent = |partition: &Partition| board.map.parent(partition.id).filter(|id| board.get(*id).is_some());
    let mut ordered: Vec<&Partition> = board.partitions.iter().collect();
    ordered.sort_unstable_by_key(|partition| {
        let at = offset(board, partition.id);
        // Of those that begin at one place the larger holds the smaller.
        (
            at.is_none(),
            at,
            Reverse(at.map(|_| partition.geometry.size)),
            partition.id,
        )
    });
    let mut chips: Vec<Chip> = Vec::new();
    // The chips in the order of their first partitions, and what lies on none that is known.
    for unknown in [false, true] {
        for partition in board.partitions.iter().filter(|partition| parent(partition).is_none()) {
            let id = board.map.chip(partition.id);
            if id.is_none() == unknown && !chips.iter().any(|known| known.id == id) {
                chips.push(Chip { id, lines: Vec::new() });
            }
        }
    }
    let children = |id| -> Vec<PartitionId> {
        let of = ordered.iter().filter(|partition| parent(partition) == Some(id));
        of.map(|partition| partition.id).collect()
    };
    for Chip { id, lines } in &mut chips {
        let roots = ordered.iter().filter(|partition| parent(partition).is_none());
        for root in roots.filter(|partition| board.map.chip(partition.id) == *id) {
            below(&children, 0, root.id, lines);
        }
    }
    chips
}

/// A partition and everything that lies in it. The map has no circles.
fn below(
    children: &dyn Fn(PartitionId) -> Vec<PartitionId>,
    depth: usize,
    id: PartitionId,
    lines: &mut Vec<(usize, PartitionId)>,
) {
    lines.push((depth, id));
    for child in children(id) {
        below(children, depth + 1, child, lines);
    }
}
