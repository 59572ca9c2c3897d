//! Whether what a partition gets fits it, by what it says of itself; and whether a copy of a partition is as long as that is.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::base::units::Grouped;
use crate::board::Partition;
use crate::image::content::Content;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(&|placed, partition| {
        let room = partition.capacity();
        let content = placed.content.as_ref().filter(|content| content.problem.is_none());
        let too_long = content.filter(|content| content.length > room);
        let say = |content: &Content| {
            Check::fail(
                CheckId::Size,
                format!(
                    "the {} for {} has {} bytes and the partition {}: {} bytes too many",
                    content.format,
                    partition.label(),
                    Grouped(content.length),
                    Grouped(room),
                    Grouped(content.length - room)
                ),
                "use a smaller one",
            )
        };
        let loads = partition.loads.unwrap_or(room);
        let too_long_to_load = content.filter(|content| content.length > loads);
        // What was read from flash was booted there, by a boot command that was changed.
        let from_flash = placed.file.as_is.is_some() || facts.image.format.is_flash_copy();
        let not_loaded = |content: &Content| {
            let what = format!(
                "the {} for {} has {} bytes, and the boot loader loads {} of them: {} too many",
                content.format,
                partition.label(),
                Grouped(content.length),
                Grouped(loads),
                Grouped(content.length - loads)
            );
            match from_flash {
                true => Check::warn(CheckId::Size, what),
                false => {
                    let remedy = "use a smaller one; --force=size if its boot command loads more";
                    Check::fail(CheckId::Size, what, remedy).forceable()
                }
            }
        };
        let length = placed.write.source.end - placed.write.source.start;
        let cut = facts.image.format == Format::Backup && !is_whole(length, partition);
        let copy = || {
            Check::fail(
                CheckId::Size,
                format!(
                    "the copy of {} has {} bytes and the partition {}: it was cut off, or is that of another partition",
                    partition.label(),
                    Grouped(length),
                    Grouped(room)
                ),
                "leave it out with --part; flasher apply PARTITION=FILE … takes single files",
            )
        };
        let fits = too_long.map(say).or_else(|| too_long_to_load.map(not_loaded));
        fits.into_iter().chain(cut.then(copy)).collect()
    })
}

/// Whether a copy of this length may be all of a partition. Blocks that are bad are left out of it, and which are is another
/// matter when it goes back, or to a chip that was put in instead. A volume may hold less than it has room for.
fn is_whole(length: u64, partition: &Partition) -> bool {
    let geometry = &partition.geometry;
    match partition.volume.is_some() {
        true => true,
        false if geometry.kind.is_nand() => length > 0 && length.is_multiple_of(geometry.erase_size.into()),
        false => length == partition.capacity(),
    }
}
