//! Which bytes of the flash are not to be overwritten, by whatever partition they are reached.

#![forbid(unsafe_code)]

use super::profile::Protection;
use super::{Board, Partition};
use crate::base::quoted::Quoted;
use mtd_rs::{Area, Extent, Overlap, PartitionId, Place};

/// Protected bytes that a write would reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// Why they are protected.
    pub keep: Protection,
    /// The partition that has them, if the kernel shows it.
    pub id: Option<PartitionId>,
    /// The same for people.
    pub label: String,
    /// Whether it is certain that they are reached; where it cannot be told they may be.
    pub certain: bool,
    /// Whether nothing says so but the partition's name.
    pub by_name: bool,
}

impl Board {
    /// The protected bytes that lie, or may lie, in this area. Asked of the map by bytes: a boot loader is one as well where the
    /// whole chip is written.
    pub fn protected(&self, area: &Area) -> Vec<Protected> {
        let mut found: Vec<Protected> = Vec::new();
        let mut add = |keep, id, label, (certain, by_name)| {
            let protected = Protected {
                keep,
                id,
                label,
                certain,
                by_name,
            };
            if !found
                .iter()
                .any(|known| known.keep == keep && known.label == protected.label)
            {
                found.push(protected);
            }
        };
        for partition in &self.partitions {
            let Some(keep) = partition.keep else { continue };
            match self.map.overlap(area, &self.map.whole(partition.id)) {
                Overlap::No => (),
                overlap => {
                    let by_name = !self.is_described(partition);
                    add(
                        keep,
                        Some(partition.id),
                        partition.label(),
                        (overlap == Overlap::Yes, by_name),
                    );
                }
            }
        }
        // What the profile protects and this kernel does not show as a partition; and what it may protect, where the signs are
        // those of a box that has other partitions.
        let sure = (!self.profile.is_generic()).then_some((&self.profile, true));
        let unsure = self.suspects.iter().map(|suspect| (suspect, false));
        for (profile, certain) in sure.into_iter().chain(unsure) {
            for known in &profile.partitions {
                let shown = self
                    .partitions
                    .iter()
                    .any(|partition| partition.keep == known.keep && partition.name.eq_ignore_ascii_case(&known.name));
                if let Some(keep) = known.keep.filter(|_| !shown && !known.moves)
                    && self.reaches(area, &known.range())
                {
                    let label = format!("the place of {}", Quoted(&known.name));
                    add(keep, None, label, (certain, false));
                }
            }
        }
        found
    }

    /// Whether the profile, or one that may be the box's, has a partition of this name.
    pub(super) fn is_described(&self, partition: &Partition) -> bool {
        let profile = (!self.profile.is_generic() || self.is_sim()).then_some(&self.profile);
        let mut profiles = profile.into_iter().chain(&self.suspects);
        let below = self.map.parent(partition.id).and_then(|id| self.get(id));
        let below = below.filter(|_| partition.volume.is_some());
        profiles.any(|profile| {
            let has = |partition: &Partition| profile.partition(&partition.name).is_some();
            has(partition) || below.is_some_and(has)
        })
    }

    /// Whether the area has bytes of this range of the chip that the profile describes. Where the area lies on a chip that is
    /// not known, or has no known position there, it may.
    fn reaches(&self, area: &Area, range: &std::ops::Range<u64>) -> bool {
        match self.map.place(area.id) {
            Place::Known(extents) => {
                chip_ranges(&extents, &area.range).any(|part| part.start < range.end && range.start < part.end)
            }
            _ => !area.range.is_empty(),
        }
    }
}

/// The bytes of chips that a range of a partition covers.
fn chip_ranges<'e>(
    extents: &'e [Extent],
    range: &std::ops::Range<u64>,
) -> impl Iterator<Item = std::ops::Range<u64>> + use<'e> {
    let range = range.clone();
    let mut before = 0u64;
    extents.iter().filter_map(move |extent| {
        let length = extent.range.end - extent.range.start;
        let (start, end) = (
            range.start.max(before) - before,
            range.end.min(before + length).saturating_sub(before),
        );
        before += length;
        (start < end).then(|| extent.range.start + start..extent.range.start + end)
    })
}
