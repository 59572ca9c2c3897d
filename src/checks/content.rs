//! What a partition would get: whether it is whole, and made for this flash.

#![forbid(unsafe_code)]

use super::Facts;
use super::belongs::Target;
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::format::Format;
use crate::base::units::Grouped;
use crate::board::{Board, Partition};
use crate::image::content::Content;
use crate::image::ubi::Layout;
use crate::plan::{Check, Rest, Status};

/// Whether it is whole, whether it belongs there, and what it replaces.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(&|placed, partition| {
        let target = Target::new(facts, placed, partition);
        let content = placed.content.as_ref();
        let mut checks: Vec<_> = content
            .and_then(|content| whole(&target, content))
            .into_iter()
            .collect();
        if checks.iter().all(|check| check.status != Status::Fail) {
            checks.push(target.belongs(content));
        }
        checks.extend(target.replaced(content));
        checks
    })
}

/// What is wrong with it.
fn whole(target: &Target<'_>, content: &Content) -> Option<Check> {
    let what = content.problem.as_ref().or(content.doubt.as_ref())?;
    let label = target.partition.label();
    // Flash holds more than what was once written to it.
    if content.problem.is_none() && target.is_copy {
        return Some(Check::warn(
            CheckId::Content,
            format!("of the copy for {label}: {what}"),
        ));
    }
    Some(
        Check::fail(
            CheckId::Content,
            format!("what {label} would get is damaged: {what}"),
            "get the image again; --force=content if you know better",
        )
        .forceable()
        .exit(Exit::ImageBad),
    )
}

/// Whether it is made for this flash, and what becomes of the rest of the partition.
pub(super) fn fits_the_flash(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(&|placed, partition| {
        let shorter = placed.write.length() < partition.capacity();
        let mut checks = Vec::new();
        if placed.write.method.rest() == Rest::Zero && shorter {
            checks.push(zero_rest(partition));
        }
        let Some(content) = &placed.content else {
            return checks;
        };
        checks.extend(content.all().filter_map(|content| erase_blocks(partition, content)));
        checks.extend(place_of_ubifs(facts.board, partition, content));
        if placed.write.method.rest() == Rest::Blank && shorter {
            checks.push(blank_rest(partition, content));
        }
        checks
    })
}

/// Whether it is made for the erase blocks and pages of the flash.
fn erase_blocks(partition: &Partition, content: &Content) -> Option<Check> {
    let geometry = &partition.geometry;
    let here = u64::from(geometry.erase_size);
    // Of a UBIFS only a volume can have the right ones.
    let blocks = content
        .erase_size
        .filter(|_| content.format != Format::Ubifs || partition.volume.is_some());
    let format = content.format.described();
    let label = partition.label();
    let what = match (blocks, content.least_erase_size) {
        (Some(made_for), _) if made_for != here => Some(format!(
            "{format} is made for erase blocks of {} bytes, {label} has {}",
            Grouped(made_for),
            Grouped(here)
        )),
        (_, Some(least)) if least > here => Some(format!(
            "{format} has a node across two erase blocks of {label}, which have {} bytes: it is made for larger ones",
            Grouped(here)
        )),
        _ => None,
    };
    let what = what.or_else(|| {
        let layout = content.ubi.filter(|layout| !fits_pages(layout, geometry.write_size))?;
        Some(format!(
            "{format} has its headers at 0x{:x} and its data at 0x{:x}, and the pages of {label} have {} bytes: it is \
             made for others",
            layout.volume_header,
            layout.data,
            Grouped(geometry.write_size.into())
        ))
    })?;
    let remedy = match content.format {
        Format::Ubifs => "make it with mkfs.ubifs -e for this volume",
        Format::Jffs2 => "make it with mkfs.jffs2 -e for this flash",
        Format::Ubi => "make it with ubinize -p and -m for this flash",
        _ => "get the image for this flash",
    };
    let remedy = format!("{remedy}; --force=content if you know better");
    Some(Check::fail(CheckId::Content, what, remedy).forceable())
}

/// Whether UBI looks for headers and data where they are (`ubi_io_init` in `drivers/mtd/ubi/build.c`): the volume header in the
/// next page, or the next part of a page that can be programmed by itself, of which there are up to four; the data in the page
/// behind that.
fn fits_pages(layout: &Layout, page: u32) -> bool {
    const HEADER: u32 = 64;
    let page = page.max(1);
    let parts = [page, (page / 2).max(1), (page / 4).max(1)];
    parts
        .iter()
        .any(|part| layout.volume_header == HEADER.next_multiple_of(*part))
        && layout.data == (layout.volume_header + HEADER).next_multiple_of(page)
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
/// image (`jffs2_scan_medium` in `fs/jffs2/scan.c`); UBIFS takes the erase blocks behind its own for free ones, and UBI attaches
/// nothing where they have another sequence number (`scan_peb` in `drivers/mtd/ubi/attach.c`).
fn blank_rest(partition: &Partition, content: &Content) -> Check {
    let last = content.all().last().unwrap_or(content);
    Check::warn(
        CheckId::Content,
        format!(
            "all of {} is made blank behind the {}, which would take what it finds there for a part of itself",
            partition.label(),
            last.format.as_str()
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
