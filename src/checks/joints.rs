//! Where one run of bytes goes over several partitions: whether what begins behind the first thing in it begins where the next
//! partition does.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::units::Grouped;
use crate::bytes::store::Store;
use crate::image::content;
use crate::layout::Placed;
use crate::plan::Check;
use std::io;
use std::ops::Range;

/// Kernel and ramdisk that were put together without padding would be cut somewhere in the ramdisk.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    // A copy of the partitions is as long as they are, and may have anything behind what counts.
    let copy = facts.placed().iter().any(|placed| placed.file.as_is.is_some());
    if copy || facts.image.parts.len() != 1 {
        return Vec::new();
    }
    let mut ascending: Vec<&Placed> = facts.placed().iter().collect();
    ascending.sort_unstable_by_key(|placed| (placed.write.source.start, placed.write.to.id));
    let pairs = ascending
        .windows(2)
        .filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
    pairs
        .filter_map(|(first, second)| joint(facts.store, first, second))
        .collect()
}

fn joint(store: &Store, first: &Placed, second: &Placed) -> Option<Check> {
    let content = first.content.as_ref().filter(|content| content.problem.is_none())?;
    let begins = first.write.source.start + content.length;
    let border = first.write.source.end;
    if begins >= border {
        return None;
    }
    let (padded, known) = match looked(store, begins..border, second.write.source.clone()) {
        Ok(looked) => looked,
        Err(error) => {
            let what = format!("what goes behind the {} cannot be read: {error}", content.format);
            return Some(
                Check::fail(CheckId::Image, what, "copy the image to the box again").exit(Exit::ImageUnreadable),
            );
        }
    };
    if padded || known {
        return None;
    }
    let what = format!(
        "the {} for {} ends at 0x{begins:x} and something else begins there, but {} begins at 0x{border:x}: {} bytes of \
         padding are missing",
        content.format,
        first.write.to.label(),
        second.write.to.label(),
        Grouped(border - begins)
    );
    let remedy = format!(
        "name each file with its partition: {}=FILE {}=FILE; --force=content if you know better",
        first.write.to.name, second.write.to.name
    );
    Some(
        Check::fail(CheckId::Content, what, remedy)
            .forceable()
            .exit(Exit::ImageBad),
    )
}

/// Whether there is nothing but padding behind the first thing, and whether something known begins with the next partition.
fn looked(store: &Store, rest: Range<u64>, next: Range<u64>) -> io::Result<(bool, bool)> {
    let mut padded = true;
    store.scan(rest, |chunk| {
        padded &= chunk.iter().all(|byte| [0, 0xff].contains(byte));
    })?;
    Ok((padded, content::look(store, next)?.is_some()))
}
