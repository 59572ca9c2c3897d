//! Whether what an image brings for the place of the boot loader's environment is one.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::{Failure, Result};
use crate::board::Board;
use crate::bytes::store::Store;
use crate::env::copies::look;
use crate::env::{Medium, Place, Spot};
use crate::layout::Placed;
use crate::plan::Check;

/// The check of each copy that would be written damaged: the boot loader would take its own defaults, with which the box may not
/// start. `read_from_flash` is whether the image was, which may have lain there damaged.
///
/// # Errors
/// Those of reading the image.
pub fn brought(
    board: &Board,
    place: &Place,
    store: &Store<'_>,
    placed: &[Placed],
    read_from_flash: bool,
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for placed in placed {
        let id = placed.write.to.id;
        for spot in place.spots.iter().filter(|spot| spot.medium == Medium::Flash(id)) {
            let Some(problem) = problem(board, place, spot, store, placed)? else {
                continue;
            };
            let text = format!(
                "{} would get an environment of {:#x} bytes of which the boot loader takes nothing: {problem}",
                placed.write.to.label(),
                spot.size
            );
            checks.push(match read_from_flash || placed.file.as_is.is_some() {
                true => Check::warn(CheckId::Content, text),
                false => {
                    let remedy = "flasher env set changes it, mkenvimage makes one; --force=content if you know better";
                    Check::fail(CheckId::Content, text, remedy).forceable()
                }
            });
        }
    }
    Ok(checks)
}

/// What is wrong with what this copy would get; nothing where it gets none.
fn problem(
    board: &Board,
    place: &Place,
    spot: &Spot,
    store: &Store<'_>,
    placed: &Placed,
) -> Result<Option<&'static str>> {
    let write = &placed.write;
    let partition = spot.of(board)?;
    if spot.blocks.start < write.range.start {
        return Ok(None);
    }
    // What is written passes over bad blocks.
    let before = partition
        .good_blocks()
        .filter(|block| block.start >= write.range.start && block.end <= spot.blocks.start)
        .map(|block| block.end - block.start)
        .sum::<u64>();
    let start = write.source.start + before + spot.lead();
    let end = start + spot.size;
    if start >= write.source.end {
        return Ok(None);
    }
    if end > write.source.end {
        return Ok(Some("it is shorter"));
    }
    let bytes = store.bytes(&(start..end)).map_err(Failure::system)?;
    Ok(look(board, bytes, 0, place.header()).problem)
}
