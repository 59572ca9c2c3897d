//! Whether what an image brings for the place of the boot loader's environment is one.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::{Failure, Result};
use crate::board::Board;
use crate::bytes::store::Store;
use crate::env::copies::look;
use crate::env::{Medium, Place, Spot};
use crate::image::AsIs;
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
        let spots = place.spots.iter().filter(|spot| spot.medium == Medium::Flash(id));
        let copies = spots.map(|spot| Ok((spot, copy(board, place, spot, store, placed)?)));
        let copies: Vec<_> = copies.collect::<Result<_>>()?;
        // The boot loader takes the one of two that is whole.
        let any = copies.iter().any(|(_, copy)| matches!(copy, Some(Ok(()))));
        for (spot, copy) in copies {
            let Some(Err(problem)) = copy else {
                continue;
            };
            let text = format!(
                "{} would get an environment of {:#x} bytes of which the boot loader takes nothing: {problem}",
                placed.write.to.label(),
                spot.size
            );
            checks.push(match any || read_from_flash || placed.file.as_is == Some(AsIs::Asked) {
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

/// Whether what this copy would get is whole, or why not; nothing where it gets none.
fn copy(
    board: &Board,
    place: &Place,
    spot: &Spot,
    store: &Store<'_>,
    placed: &Placed,
) -> Result<Option<std::result::Result<(), &'static str>>> {
    let write = &placed.write;
    let partition = spot.of(board)?;
    if spot.blocks.start < write.range.start {
        let partly = spot.blocks.end > write.range.start;
        return Ok(partly.then_some(Err("only its end is written")));
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
        return Ok(Some(Err("it is shorter")));
    }
    let bytes = store.bytes(&(start..end)).map_err(Failure::system)?;
    Ok(Some(match look(board, bytes, 0, place.header()).problem {
        Some(problem) => Err(problem),
        None => Ok(()),
    }))
}
