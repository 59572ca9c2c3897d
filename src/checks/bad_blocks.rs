//! What bad blocks mean for a write: how many good ones are left, and whether its content may be moved on past them.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::base::units::Grouped;
use crate::board::Partition;
use crate::image::content::Content;
use crate::layout::{Placed, needed};
use crate::plan::{Check, Write};

/// The checks of a partition of NAND.
pub(super) fn check(partition: &Partition, placed: &Placed, facts: &Facts<'_>) -> Vec<Check> {
    let mut checks: Vec<_> = spare(partition, &placed.write).into_iter().collect();
    let copied = facts.laid_out.as_ref().is_ok_and(|laid_out| laid_out.dump);
    let fixed = fixed(partition, placed.content.as_ref(), copied);
    if let (Some(at), Some(why)) = (moved_from(partition, &placed.write), fixed) {
        let label = partition.label();
        checks.push(
            Check::fail(
                CheckId::FixedOffset,
                format!("{label} has a bad block at 0x{at:x}, so what is behind it would move, and {why}"),
                "use an image as UBI or JFFS2, which pass over bad blocks; --force=fixed-offset if you know that \
                 whoever reads it does so too",
            )
            .forceable(),
        );
    }
    checks
}

/// Whether the good blocks are enough; nothing on flash that has no bad ones.
pub(super) fn spare(partition: &Partition, write: &Write) -> Option<Check> {
    if !partition.geometry.kind.is_nand() {
        return None;
    }
    let label = partition.label();
    let good = partition.good_blocks().count() as u64;
    let bad = partition.bad.len();
    Some(match (write.spare, bad) {
        (None, _) => {
            let needed = needed(write, partition);
            Check::fail(
                CheckId::BadBlocks,
                format!(
                    "{label} has {} good erase blocks and {} bad ones, the volumes of the ubi need {}: {} too few",
                    Grouped(good),
                    bad,
                    Grouped(needed),
                    Grouped(needed.saturating_sub(good))
                ),
                "make the image with smaller volumes (vol_size, and vol_flags=autoresize for the last)",
            )
        }
        (Some(spare), 0) => Check::pass(
            CheckId::BadBlocks,
            format!("{label} has no bad blocks, {} more than needed", Grouped(spare)),
        ),
        (Some(spare), bad) => Check::warn(
            CheckId::BadBlocks,
            format!(
                "{label} has {bad} bad blocks, which are passed over; {} good ones are left beyond what is needed",
                Grouped(spare)
            ),
        ),
    })
}

/// The first bad block that has content behind it.
fn moved_from(partition: &Partition, write: &Write) -> Option<u64> {
    let first = *partition.bad.first().filter(|_| partition.geometry.kind.is_nand())?;
    let last = write.blocks(&partition.geometry).last()?;
    (first < last.block.start).then_some(first)
}

/// Why the content must be where it is, if it must. File systems for bare flash pass over bad blocks by themselves, and
/// so does U-Boot's `nand read`.
fn fixed(partition: &Partition, content: Option<&Content>, dump: bool) -> Option<String> {
    let format = content.map(|content| content.format);
    match format {
        Some(Format::Ubi | Format::Jffs2) => None,
        _ if partition.fixed_offset => Some("the boot loader of this box reads it at fixed offsets".into()),
        _ if dump => Some("a copy of several partitions has everything at fixed offsets".into()),
        // mtdblock knows no bad blocks (drivers/mtd/mtdblock.c).
        Some(format @ (Format::Squashfs | Format::Cramfs)) => {
            Some(format!("the kernel reads a {format} from mtdblock at fixed offsets"))
        }
        _ => None,
    }
}
