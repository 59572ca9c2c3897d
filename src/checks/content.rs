//! What a partition would get: whether it is whole, and made for this flash.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::format::{Format, Nature};
use crate::base::units::Grouped;
use crate::board::{Board, Partition};
use crate::image::content::Content;
use crate::layout::Placed;
use crate::plan::{Check, Rest};

/// Whether it is whole.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(|placed, partition| {
        placed
            .content
            .as_ref()
            .map(|content| whole(facts, partition, placed, content))
            .into_iter()
            .collect()
    })
}

fn whole(facts: &Facts<'_>, partition: &Partition, placed: &Placed, content: &Content) -> Check {
    let label = partition.label();
    // What was copied from the flash belongs there, whatever it is; and what is to go there as it is.
    let copy = matches!(facts.image.format, Format::Backup | Format::ChipDump) || placed.file.as_is.is_some();
    match &content.problem {
        None if content.format.nature() != Nature::Flash && !copy => does_not_belong(&label, content.format),
        None => Check::pass(
            CheckId::Content,
            format!("{label} gets a {} {}", content.format, content.title)
                .trim_end()
                .to_owned(),
        ),
        Some(problem) => Check::fail(
            CheckId::Content,
            format!("what {label} would get is damaged: {problem}"),
            "get the image again; --force=content if you know better",
        )
        .forceable()
        .exit(Exit::ImageBad),
    }
}

/// What is known not to lie on flash as it is.
fn does_not_belong(label: &str, format: Format) -> Check {
    let remedy = match format.nature() {
        Nature::Factory => "get the image that this box's system installs, such as OpenWrt's sysupgrade",
        Nature::Archive => "take the image out of it first",
        Nature::Packed => "unpack it first",
        Nature::Disk => "get the image for the flash of this box",
        Nature::File | Nature::Flash => "get the image itself",
    };
    Check::fail(
        CheckId::Content,
        format!("{label} would get {}, which does not belong there", format.described()),
        format!("{remedy}; --force=content if you know better"),
    )
    .forceable()
}

/// Whether it is made for this flash, and what becomes of the rest of the partition.
pub(super) fn fits_the_flash(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(|placed, partition| {
        let shorter = placed.write.length() < partition.capacity();
        let mut checks = Vec::new();
        if placed.write.method.rest() == Rest::Zero && shorter {
            checks.push(zero_rest(partition));
        }
        let Some(content) = &placed.content else {
            return checks;
        };
        checks.extend(erase_blocks(partition, content));
        checks.extend(place_of_ubifs(facts.board, partition, content));
        if placed.write.method.rest() == Rest::Blank && shorter {
            checks.push(blank_rest(partition, content));
        }
        checks
    })
}

fn erase_blocks(partition: &Partition, content: &Content) -> Option<Check> {
    // Of a UBIFS only a volume can have the right ones.
    let blocks = content
        .erase_size
        .filter(|_| content.format != Format::Ubifs || partition.volume.is_some());
    let made_for = blocks.filter(|size| *size != partition.geometry.erase_size)?;
    Some(
        Check::fail(
            CheckId::Content,
            format!(
                "the {} is made for erase blocks of {} bytes, {} has {}",
                content.format,
                Grouped(made_for.into()),
                partition.label(),
                Grouped(partition.geometry.erase_size.into())
            ),
            match content.format {
                Format::Ubifs => "make it with mkfs.ubifs -e for this volume; --force=content if you know better",
                _ => "make it with ubinize -p for this flash; --force=content if you know better",
            },
        )
        .forceable(),
    )
}

/// As the profile has it (`fixed_length`).
fn zero_rest(partition: &Partition) -> Check {
    Check::warn(
        CheckId::Content,
        format!(
            "all of {} behind the ramdisk becomes zero, because the boot loader hands all of it to the kernel",
            partition.label()
        ),
    )
}

/// JFFS2 looks at all of its partition when it is mounted, and old nodes with higher versions would win over those of the
/// image (`jffs2_scan_medium` in `fs/jffs2/scan.c`); UBIFS takes the erase blocks behind its own for free ones.
fn blank_rest(partition: &Partition, content: &Content) -> Check {
    Check::warn(
        CheckId::Content,
        format!(
            "all of {} is made blank behind the {}, which would take what it finds there for a part of itself",
            partition.label(),
            content.format.as_str()
        ),
    )
}

/// A UBIFS lies in a volume of UBI, whose pages are those that it was made for (`validate_sb` in `fs/ubifs/sb.c`).
fn place_of_ubifs(board: &Board, partition: &Partition, content: &Content) -> Option<Check> {
    let made_for = content.page_size.filter(|_| content.format == Format::Ubifs)?;
    let label = partition.label();
    let (what, remedy) = match &partition.volume {
        // UBIFS itself writes 8 bytes at least.
        Some(_) if made_for == partition.geometry.write_size.max(8) => return None,
        Some(_) => (
            format!(
                "the ubifs is made for pages of {made_for} bytes, {label} has {}",
                partition.geometry.write_size
            ),
            "make it with mkfs.ubifs -m for this volume".to_owned(),
        ),
        None => {
            let volumes = board.partitions.iter().filter(|volume| board.is_on(volume, partition));
            let volumes: Vec<_> = volumes.map(|volume| volume.name.as_str()).collect();
            let remedy = match volumes.is_empty() {
                false => format!("--part with one of its volumes: {}", volumes.join(" ")),
                true => format!(
                    "if there is a UBI on it, ubiattach -m {} and --part ubiN:NAME; if not, ubinize makes an image of the \
                     ubifs that can be written here",
                    partition.id.to_string().trim_start_matches("mtd")
                ),
            };
            (format!("a ubifs lies in a volume of UBI, and {label} is none"), remedy)
        }
    };
    Some(
        Check::fail(
            CheckId::Content,
            what,
            format!("{remedy}; --force=content if you know better"),
        )
        .forceable(),
    )
}
