//! The copy of a whole chip, taken apart as the chip is.

#![forbid(unsafe_code)]

use super::{LeftOut, accepted};
use crate::base::format::Format;
use crate::board::Board;
use crate::board::profile::{PartitionProfile, Profile};
use crate::bytes::store::Store;
use crate::image::{Image, Part, content};
use std::io;

/// A raw image with the size of the known box's chip, which has a kernel or file system where a partition begins, is
/// taken apart as the chip is. The bytes of partitions that move from box to box belong to those around them.
pub(super) fn chip_dump(board: &Board, image: &Image, store: &Store) -> io::Result<Option<Image>> {
    let profile = &board.profile;
    let whole = accepted(profile, image).is_some() || image.parts.len() != 1;
    if profile.is_generic() || whole || image.payload != profile.chip.size {
        return Ok(None);
    }
    let known = in_order(profile);
    let mut parts = Vec::new();
    for partition in known {
        parts.push(Part {
            name: partition.name.clone(),
            offset: partition.offset,
            size: partition.size,
            content: content::look(store, partition.range())?,
            ..Part::default()
        });
    }
    // The boot loader alone would not show that the rest is where it belongs.
    let plausible = parts.iter().any(|part| part.offset > 0 && part.content.is_some());
    Ok(plausible.then(|| Image {
        format: Format::ChipDump,
        parts,
        // Its length and what stands in it show that this is what is meant.
        undecided: None,
        ..image.clone()
    }))
}

/// What of such a copy lies in no partition that the profile knows, and is not blank: nothing can be written there.
pub(super) fn between(profile: &Profile, store: &Store) -> io::Result<Vec<LeftOut>> {
    let ends = in_order(profile).into_iter().map(PartitionProfile::range);
    let chip = profile.chip.size;
    let mut found = Vec::new();
    let mut at = 0;
    for next in ends.chain(std::iter::once(chip..chip)) {
        if at < next.start && store.past(at..next.start, 0xff)? < next.start {
            found.push(LeftOut {
                name: format!("{at:#x} to {:#x}", next.start - 1),
                why: format!("{} knows no partition there", profile.id),
            });
        }
        at = at.max(next.end);
    }
    Ok(found)
}

/// The partitions that are the same on every such box, as they lie on the chip.
fn in_order(profile: &Profile) -> Vec<&PartitionProfile> {
    let mut known: Vec<_> = profile.partitions.iter().filter(|partition| !partition.moves).collect();
    known.sort_unstable_by_key(|partition| partition.offset);
    known
}
