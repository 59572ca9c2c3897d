//! What bad blocks mean for a write: how many good ones are left, and whether its content may be moved on past them.

#![forbid(unsafe_code)]

use crate::base::units::Grouped;
use crate::board::Partition;
use crate::image::content::{Content, ContentFormat};
use crate::plan::{Check, Write};

/// The checks of a partition of NAND.
pub fn checks(partition: &Partition, write: &mut Write, content: Option<&Content>, dump: bool) -> Vec<Check> {
    if !partition.geometry.kind.is_nand() {
        return Vec::new();
    }
    let label = partition.label();
    let good = partition.good_blocks().count() as u64;
    let holding = |write: &Write| {
        let steps = write.blocks(&partition.geometry);
        steps.filter(|step| !step.image.is_empty()).count() as u64
    };
    let needed = write.ubi.map_or_else(|| holding(write), |ubi| ubi.needed);
    let bad = partition.bad.len();
    write.spare = good.checked_sub(needed);
    let mut checks = vec![match (write.spare, bad) {
        (None, _) => Check::fail(
            "bad-blocks",
            format!(
                "{label} has {} good erase blocks and {} bad ones, the volumes of the ubi need {}: {} too few",
                Grouped(good),
                bad,
                Grouped(needed),
                Grouped(needed - good)
            ),
            "make the image with smaller volumes (vol_size, and vol_flags=autoresize for the last)",
        ),
        (Some(spare), 0) => Check::pass(
            "bad-blocks",
            format!("{label} has no bad blocks, {} more than needed", Grouped(spare)),
        ),
        (Some(spare), bad) => Check::warn(
            "bad-blocks",
            format!(
                "{label} has {bad} bad blocks, which are passed over; {} good ones are left beyond what is needed",
                Grouped(spare)
            ),
        ),
    }];
    if let (Some(at), Some(why)) = (moved_from(partition, write), fixed(partition, content, dump)) {
        checks.push(
            Check::fail(
                "fixed-offset",
                format!("{label} has a bad block at 0x{at:x}, so what is behind it would move, and {why}"),
                "use an image as UBI or JFFS2, which pass over bad blocks; --force=fixed-offset if you know that \
                 whoever reads it does so too",
            )
            .forceable(),
        );
    }
    checks
}

/// The first bad block that has content behind it.
fn moved_from(partition: &Partition, write: &Write) -> Option<u64> {
    let first = *partition.bad.first()?;
    let last = write.blocks(&partition.geometry).last()?;
    (first < last.block.start).then_some(first)
}

/// Why the content must be where it is, if it must. File systems for bare flash pass over bad blocks by themselves, and
/// so does U-Boot's `nand read`.
fn fixed(partition: &Partition, content: Option<&Content>, dump: bool) -> Option<String> {
    let format = content.map(|content| content.format);
    match format {
        Some(ContentFormat::Ubi | ContentFormat::Jffs2) => None,
        _ if partition.fixed_offset => Some("the boot loader of this box reads it at fixed offsets".into()),
        _ if dump => Some("a copy of several partitions has everything at fixed offsets".into()),
        // mtdblock knows no bad blocks (drivers/mtd/mtdblock.c).
        Some(format @ (ContentFormat::Squashfs | ContentFormat::Cramfs)) => Some(format!(
            "the kernel reads a {} from mtdblock at fixed offsets",
            format.as_str()
        )),
        _ => None,
    }
}
