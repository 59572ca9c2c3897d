//! Which bytes of the image go into which partition.

#![forbid(unsafe_code)]

mod accepts;

use crate::base::error::Exit;
use crate::base::units::{Grouped, Size};
use crate::board::profile::Keep;
use crate::board::{Board, Partition};
use crate::image::backup::file_name;
use crate::image::{Image, Part};
use crate::plan::{Check, Request, Write};
use std::ops::Range;

pub use accepts::accepted;

/// Lays the image out over the box. Where that is not possible there are no writes and a check says why.
pub fn layout(board: &Board, image: &Image, request: &Request) -> Result<Vec<Write>, Check> {
    if ["qpkg", "tar"].contains(&image.format.as_str()) {
        return Err(no_place(board, image));
    }
    let mut accepted = slices_of(board, image);
    if image.format != "backup" {
        for (name, _) in accepted.iter_mut().flatten() {
            *name = board.profile.in_slot(name, request.slot);
        }
    }
    if request.parts.is_empty() {
        let Some(parts) = accepted else {
            return Err(no_place(board, image));
        };
        let backup = image.format == "backup";
        return slices(board, &parts, |partition| {
            partition.keep.is_none() && !(backup && better_left(board, &parts, partition))
        });
    }
    let named = named(board, request)?;
    // Of an image whose parts are known, --part chooses; any other is poured over the partitions in order.
    let has = |partition: &Partition, parts: &Slices<'_>| parts.iter().any(|(name, _)| *name == partition.name);
    match accepted {
        Some(parts) if ["backup", "synology-pat", "sysupgrade-tar"].contains(&image.format.as_str()) => {
            match named.iter().find(|partition| !has(partition, &parts)) {
                Some(missing) => Err(Check::fail(
                    "partition",
                    format!("the {} has nothing for {}", image.format, missing.label()),
                    "leave that partition out of --part",
                )),
                None => slices(board, &parts, |partition| named.iter().any(|p| p.mtd == partition.mtd)),
            }
        }
        Some(parts) if parts.len() > 1 && named.iter().all(|partition| has(partition, &parts)) => {
            slices(board, &parts, |partition| named.iter().any(|p| p.mtd == partition.mtd))
        }
        _ => pour(&named, image),
    }
}

type Slices<'a> = Vec<(&'a str, Range<u64>)>;

/// The parts of an image that this board knows where to put.
fn slices_of<'a>(board: &'a Board, image: &'a Image) -> Option<Slices<'a>> {
    if image.format == "backup" {
        return Some(backed_up(board, image));
    }
    // Parts that are named as the partitions are.
    let same_names = || {
        let here = |part: &&Part| board.profile.partition(&part.name).is_some() || board.partition(&part.name).is_ok();
        let parts: Vec<_> = image
            .parts
            .iter()
            .filter(here)
            .map(|part| (part.name.as_str(), part.range()))
            .collect();
        (!parts.is_empty()).then_some(parts)
    };
    if image.format == "chip-dump" {
        return same_names();
    }
    if image.format == "sysupgrade-tar" {
        return same_names().filter(|parts| parts.len() == image.parts.len());
    }
    let accepts = accepts::accepted(&board.profile, image)?;
    match accepts.parts.as_slice() {
        // Beside the images an archive has programs and settings, which are for others.
        wanted if image.format == "synology-pat" => Some(
            image
                .parts
                .iter()
                .filter(|part| wanted.contains(&part.name))
                .map(|part| (part.name.as_str(), part.range()))
                .collect(),
        ),
        [only] => Some(vec![(only.as_str(), 0..image.payload)]),
        _ => image
            .parts
            .iter()
            .map(|part| {
                accepts
                    .parts
                    .contains(&part.name)
                    .then(|| (part.name.as_str(), part.range()))
            })
            .collect(),
    }
}

/// A backup names its partitions itself, as far as a file name can.
fn backed_up<'a>(board: &'a Board, image: &'a Image) -> Slices<'a> {
    let name_here = |name: &'a str| {
        let same = |p: &&Partition| file_name(0, &p.name) == file_name(0, name);
        board
            .partitions
            .iter()
            .find(same)
            .map_or(name, |partition| &partition.name)
    };
    image
        .parts
        .iter()
        .map(|part| (name_here(&part.name), part.range()))
        .collect()
}

/// Of a backup, what nobody can write is left alone, and so is a window onto bytes that a larger partition of the
/// backup has too.
fn better_left(board: &Board, parts: &Slices<'_>, partition: &Partition) -> bool {
    let covered = parts
        .iter()
        .filter_map(|(name, _)| board.partition(name).ok())
        .any(|other| {
            other.mtd != partition.mtd
                && partition.chip_offset.is_some()
                && other.overlaps(partition)
                && other.geometry.size > partition.geometry.size
        });
    !partition.writable || covered
}

fn no_place(board: &Board, image: &Image) -> Check {
    let id = &board.profile.id;
    let writable = |p: &&Partition| p.writable && p.keep.is_none();
    let names: Vec<_> = board
        .partitions
        .iter()
        .filter(writable)
        .map(|p| p.name.as_str())
        .collect();
    match image.format.as_str() {
        "qnap-recovery" => Check::fail(
            "board",
            format!(
                "this is a QNAP recovery image of {}, for another board than {id}",
                Size(image.size)
            ),
            "get the image for this box; --part writes it as it is",
        )
        .exit(Exit::Unsupported),
        "qpkg" => Check::fail(
            "partition",
            "this is a QNAP package, which is not written as it is",
            "flasher qpkg extract takes the images out of it",
        ),
        "synology-pat" => Check::fail(
            "board",
            format!("{id} does not take images from a Synology .pat"),
            "flasher pat extract takes the images out of it",
        )
        .exit(Exit::Unsupported),
        format => Check::fail(
            "partition",
            format!("nothing says where a {format} image goes on {id}"),
            format!("say where with --part; this box has {}", names.join(", ")),
        ),
    }
}

fn named<'a>(board: &'a Board, request: &Request) -> Result<Vec<&'a Partition>, Check> {
    let mut named: Vec<&Partition> = Vec::new();
    for name in &request.parts {
        let partition = board
            .partition(name)
            .map_err(|what| Check::fail("partition", what, "flasher devices lists the partitions"))?;
        if named.iter().any(|other| other.mtd == partition.mtd) {
            return Err(Check::fail(
                "partition",
                format!("{} is named twice", partition.label()),
                "name each partition once",
            ));
        }
        named.push(partition);
    }
    Ok(named)
}

/// Parts whose partitions are known; `wanted` leaves some of them alone.
fn slices(board: &Board, parts: &Slices<'_>, wanted: impl Fn(&Partition) -> bool) -> Result<Vec<Write>, Check> {
    let mut writes = Vec::new();
    for (name, range) in parts {
        let partition = board
            .partition(name)
            .map_err(|what| Check::fail("partition", what, "flasher devices lists the partitions"))?;
        if wanted(partition) {
            writes.push(write(partition, range.clone())?);
        }
    }
    Ok(writes)
}

/// A raw image over partitions in the given order, each but the last filled to its end.
fn pour(partitions: &[&Partition], image: &Image) -> Result<Vec<Write>, Check> {
    let room: u64 = partitions.iter().map(|partition| partition.capacity()).sum();
    if image.payload > room {
        return Err(too_long(partitions, image.payload));
    }
    let mut at = 0;
    let mut writes = Vec::new();
    for partition in partitions {
        let take = partition.capacity().min(image.payload - at);
        if take == 0 {
            return Err(Check::fail(
                "size",
                format!("the image ends before {} begins", partition.label()),
                "leave that partition out of --part",
            ));
        }
        writes.push(write(partition, at..at + take)?);
        at += take;
    }
    Ok(writes)
}

fn too_long(partitions: &[&Partition], size: u64) -> Check {
    let room: u64 = partitions.iter().map(|partition| partition.capacity()).sum();
    let name = |partition: &&Partition| match partition.bad.len() {
        0 => partition.label(),
        bad => format!(
            "{} ({bad} of its {} erase blocks are bad)",
            partition.label(),
            partition.geometry.block_count()
        ),
    };
    let names = partitions.iter().map(name).collect::<Vec<_>>().join(", ");
    Check::fail(
        "size",
        format!(
            "{} bytes do not fit {names}, which holds {}: {} bytes too many",
            Grouped(size),
            Grouped(room),
            Grouped(size - room)
        ),
        "use a smaller image, or name every partition it covers with --part",
    )
}

fn write(partition: &Partition, range: Range<u64>) -> Result<Write, Check> {
    let length = range.end - range.start;
    let room = partition.capacity();
    if length > room {
        return Err(too_long(&[partition], length));
    }
    let mut write = Write::new(partition, 0, range);
    // The boot loader is what is left when all else fails.
    write.recovery = partition.recovery || partition.keep == Some(Keep::Bootloader);
    Ok(write)
}
