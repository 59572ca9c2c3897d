//! Which bytes of the image go into which partition, and how.
//!
//! Here box and image meet, and nowhere else. Nothing is touched.

#![forbid(unsafe_code)]

mod accepts;
mod chip_dump;
mod choice;
mod left_out;
pub(crate) mod members;
mod method;

use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::quoted::{Quoted, one_line};
use crate::base::units::{Grouped, Size};
use crate::board::profile::Protection;
use crate::board::{Board, Partition};
use crate::bytes::store::Store;
use crate::image::backup::{self, file_name};
use crate::image::content::{self, Content};
use crate::image::{FileKind, Image, Part};
use crate::plan::told::number;
use crate::plan::{Check, Write};
use std::io;
use std::ops::Range;

use left_out::Bound;

pub use accepts::accepted;
pub use choice::Choice;
pub use left_out::LeftOut;
pub use method::{needed, spared};

/// What the layout depends on beside box and image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// `--part`.
    pub parts: &'a [Choice],
    /// The slot of the profile that images without `--part` go to.
    pub slot: Option<usize>,
}

/// A write, and what the bytes at its start are.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The write.
    pub write: Write,
    /// What it brings, if that is known.
    pub content: Option<Content>,
    /// What is known of it as a file of its own.
    pub file: FileKind,
}

/// An image that is laid out over the box.
#[derive(Clone, Debug, Default)]
pub struct LaidOut {
    /// What goes where, in the order of writing.
    pub placed: Vec<Placed>,
    /// Parts of the image that are not written although nobody chose others.
    pub left_out: Vec<LeftOut>,
    /// Whether the bytes are one run that was read from a chip across partitions.
    pub dump: bool,
    /// What the image is for this box, where that is more than it says itself.
    pub taken_as: Option<Image>,
}

/// Lays the image out over the box. Where that is not possible a check says why.
///
/// # Errors
/// Those of reading the image.
pub fn lay_out(
    board: &Board,
    image: &Image,
    store: &Store,
    request: &Request<'_>,
) -> io::Result<Result<LaidOut, Check>> {
    if image.problem.is_some() {
        return Ok(Ok(LaidOut::default()));
    }
    let taken_as = chip_dump::chip_dump(board, image, store)?;
    let image = taken_as.as_ref().unwrap_or(image);
    let (writes, mut left_out) = match divide(board, image, request) {
        Ok(divided) => divided,
        Err(check) => return Ok(Err(check)),
    };
    let sequential = image.parts.len() == 1 && writes.len() > 1;
    let dump = sequential || image.format == Format::ChipDump;
    if image.format == Format::ChipDump && request.parts.is_empty() {
        left_out.extend(chip_dump::between(&board.profile, store)?);
    }
    let placed = writes
        .into_iter()
        .map(|write| place(board, image, store, write))
        .collect::<io::Result<Vec<_>>>()?;
    let (last, mut placed): (Vec<_>, Vec<_>) = placed.into_iter().partition(|placed| placed.write.order.recovery);
    placed.extend(last);
    Ok(Ok(LaidOut {
        placed,
        left_out,
        dump,
        taken_as,
    }))
}

/// What the bytes of a write are, and so how it is done. A raw image is looked at beyond the write's end, so that something
/// too long for its partition is called that and not damaged.
fn place(board: &Board, image: &Image, store: &Store, write: Write) -> io::Result<Placed> {
    let end = match image.parts.as_slice() {
        [only] => only.range().end,
        _ => write.source.end,
    };
    // What was found when the image was opened need not be found again: a kernel is read for its checksum.
    let range = write.source.start..end;
    let known = image.parts.iter().find(|part| part.range() == range);
    let within = image
        .parts
        .iter()
        .find(|part| part.range().contains(&write.source.start));
    let file = FileKind {
        ramdisk: known.is_some_and(|part| part.file.ramdisk),
        as_is: within.and_then(|part| part.file.as_is),
    };
    let content = match known.and_then(|part| part.content.clone()) {
        Some(content) => Some(content),
        None => content::look(store, range)?,
    };
    let write = match board.get(write.to.id) {
        Some(partition) => {
            let content = content.as_ref();
            let ramdisk = file.ramdisk || content.is_some_and(|content| content.role == Role::Ramdisk);
            spared(method::decided(write, partition, content, ramdisk), partition)
        }
        None => write,
    };
    Ok(Placed { write, content, file })
}

fn divide(board: &Board, image: &Image, request: &Request<'_>) -> Result<(Vec<Write>, Vec<LeftOut>), Check> {
    if image.format == Format::Files {
        return Ok((of_files(board, image)?, Vec::new()));
    }
    if request.parts.iter().any(|choice| choice.member.is_some()) {
        return Ok((of_members(board, image, request.parts)?, Vec::new()));
    }
    if image.format == Format::Backup {
        return of_backup(board, image, request);
    }
    let mut accepted = known_slices(board, image);
    // An archive is never poured over partitions as it is.
    if accepted.is_none() && image.as_is.is_none() && (members::is_archive(image) || image.format == Format::Qpkg) {
        return Err(no_place(board, image));
    }
    // The copy of a chip has both slots.
    let slot = request.slot.filter(|_| image.format != Format::ChipDump);
    for (name, _) in accepted.iter_mut().flatten() {
        *name = board.profile.in_slot(name, slot);
    }
    if request.parts.is_empty() {
        let Some(parts) = accepted else {
            return Err(no_place(board, image));
        };
        let (written, left_out) = left_out::unprotected(bound(board, parts)?);
        return Ok((slices(written)?, left_out));
    }
    let chosen = chosen(board, image, request, accepted)?;
    Ok((chosen, Vec::new()))
}

/// What `--part` names. Of an image whose parts are known it chooses; any other is written over the partitions in order.
fn chosen(
    board: &Board,
    image: &Image,
    request: &Request<'_>,
    accepted: Option<Slices<'_>>,
) -> Result<Vec<Write>, Check> {
    let named = named(board, request.parts)?;
    let is = |partition: &Partition, name: &str| board.named(name).is_ok_and(|other| other.id == partition.id);
    let has = |partition: &Partition, parts: &Slices<'_>| parts.iter().any(|(name, _)| is(partition, name));
    let chooses = |parts: &Slices<'_>| {
        members::is_archive(image) || parts.len() > 1 && named.iter().all(|partition| has(partition, parts))
    };
    match accepted {
        Some(parts) if chooses(&parts) => of_named(image, bound(board, parts)?, &named),
        _ => sequential(&named, image),
    }
}

/// Of parts whose partitions are known those that are named, each of which has to be there.
fn of_named(image: &Image, mut parts: Vec<Bound<'_>>, named: &[&Partition]) -> Result<Vec<Write>, Check> {
    let has = |partition: &Partition| parts.iter().any(|(other, _)| other.id == partition.id);
    if let Some(missing) = named.iter().find(|partition| !has(partition)) {
        return Err(Check::fail(
            CheckId::Partition,
            format!("the {} has nothing for {}", image.format, missing.label()),
            "leave that partition out of --part",
        ));
    }
    parts.retain(|(partition, _)| named.iter().any(|named| named.id == partition.id));
    slices(parts)
}

/// Each file goes to the partition that was typed with it.
fn of_files(board: &Board, image: &Image) -> Result<Vec<Write>, Check> {
    let partitions = typed(board, &mut image.parts.iter().map(|part| part.name.as_str()))?;
    let ranges = image.parts.iter().map(Part::range);
    slices(partitions.into_iter().zip(ranges).collect())
}

/// Members of an archive go to the partitions that were typed with them.
fn of_members(board: &Board, image: &Image, choices: &[Choice]) -> Result<Vec<Write>, Check> {
    let chosen = members::chosen(image, choices)?;
    let ranges = chosen.into_iter().map(|index| image.parts[index].range());
    slices(named(board, choices)?.into_iter().zip(ranges).collect())
}

type Slices<'a> = Vec<(&'a str, Range<u64>)>;

fn slice(part: &Part) -> (&str, Range<u64>) {
    (&part.name, part.range())
}

/// The parts of an image that this board knows where to put.
fn known_slices<'a>(board: &'a Board, image: &'a Image) -> Option<Slices<'a>> {
    // Parts that are named as the partitions are.
    let same_names = || {
        let here = |part: &&Part| board.profile.partition(&part.name).is_some() || board.named(&part.name).is_ok();
        let parts: Vec<_> = image.parts.iter().filter(here).map(slice).collect();
        (!parts.is_empty()).then_some(parts)
    };
    if image.format == Format::ChipDump {
        return same_names();
    }
    if image.format == Format::SysupgradeTar {
        return same_names().filter(|parts| parts.len() == image.parts.len());
    }
    let accepts = accepts::accepted(&board.profile, image)?;
    if let Some(choices) = members::mapped(accepts) {
        let chosen = members::chosen(image, &choices).ok()?;
        let partitions = accepts.parts.iter().filter_map(|part| part.split('=').next());
        let ranges = chosen.into_iter().map(|index| image.parts[index].range());
        return Some(partitions.zip(ranges).collect());
    }
    match accepts.parts.as_slice() {
        // Beside the images an archive has programs and settings, which are for others.
        wanted if image.format == Format::SynologyPat => {
            let wanted = image.parts.iter().filter(|part| wanted.contains(&part.name));
            Some(wanted.map(slice).collect())
        }
        [only] => Some(vec![(only.as_str(), 0..image.payload)]),
        all => {
            let known = |part| Some(slice(part)).filter(|(name, _)| all.iter().any(|known| known == name));
            image.parts.iter().map(known).collect()
        }
    }
}

/// What of a backup is written, and what is left out.
fn of_backup(board: &Board, image: &Image, request: &Request<'_>) -> Result<(Vec<Write>, Vec<LeftOut>), Check> {
    let parts = backed_up(board, image)?;
    if request.parts.is_empty() {
        let (written, left_out) = left_out::of_backup(board, parts);
        return Ok((slices(written)?, left_out));
    }
    let chosen = of_named(image, parts, &named(board, request.parts)?)?;
    Ok((chosen, Vec::new()))
}

/// A backup names its partitions itself, as far as a file name can, and numbers them. Where several that are here would have the
/// same file name the number tells, if every number of the backup is that of a partition with the name that the copy has: then
/// the box is numbered as it was.
fn backed_up<'b>(board: &'b Board, image: &Image) -> Result<Vec<Bound<'b>>, Check> {
    let same = |partition: &Partition, part: &Part| file_name(0, &partition.name) == file_name(0, &part.name);
    let numbered = |part: &Part| {
        let wanted = backup::number(part.member.as_deref()?)?;
        let mut all = board.partitions.iter();
        all.find(|partition| number(partition.id) == wanted && same(partition, part))
    };
    let as_it_was = image.parts.iter().all(|part| numbered(part).is_some());
    let of = |part: &Part| {
        let fit: Vec<&Partition> = board
            .partitions
            .iter()
            .filter(|partition| same(partition, part))
            .collect();
        match (fit.as_slice(), numbered(part)) {
            ([one], _) => Ok((*one, part.range())),
            ([_, ..], Some(one)) if as_it_was => Ok((one, part.range())),
            ([one, other, ..], _) => Err(unknown(format!(
                "{} of the backup may be {} or {}",
                Quoted(&part.name),
                one.label(),
                other.label()
            ))),
            ([], _) => board.named(&part.name).map(|one| (one, part.range())).map_err(unknown),
        }
    };
    image.parts.iter().map(of).collect()
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
    match image.format {
        Format::QnapRecovery => Check::fail(
            CheckId::Board,
            format!(
                "this is a QNAP recovery image of {}, for another board than {id}",
                Size(image.size)
            ),
            "get the image for this box; --part writes it as it is",
        )
        .exit(Exit::Unsupported),
        Format::Qpkg => Check::fail(
            CheckId::Partition,
            "this is a QNAP package, which is not written as it is",
            "flasher qpkg extract takes the images out of it",
        ),
        Format::Tar | Format::SysupgradeTar => Check::fail(
            CheckId::Partition,
            format!(
                "this is a {}, which is not written as it is, and nothing says where its members go on {id}",
                image.format
            ),
            members::how(image, &names),
        ),
        Format::SynologyPat => Check::fail(
            CheckId::Board,
            format!("{id} does not take images from a Synology .pat"),
            "flasher pat extract takes the images out of it",
        )
        .exit(Exit::Unsupported),
        Format::Factory => Check::fail(
            CheckId::Partition,
            format!(
                "this is not written as it is: {}",
                image
                    .parts
                    .first()
                    .and_then(|part| Some(part.content.as_ref()?.described()))
                    .unwrap_or_default()
            ),
            "get the image that the system on this box installs",
        ),
        format => Check::fail(
            CheckId::Partition,
            format!("nothing says where a {format} image goes on {id}"),
            format!("say where with --part; this box has {}", one_line(&names.join(", "))),
        ),
    }
}

fn named<'b>(board: &'b Board, choices: &[Choice]) -> Result<Vec<&'b Partition>, Check> {
    typed(board, &mut choices.iter().map(|choice| choice.partition.as_str()))
}

/// The partitions that a user typed, each once.
fn typed<'b>(board: &'b Board, names: &mut dyn Iterator<Item = &str>) -> Result<Vec<&'b Partition>, Check> {
    let mut named: Vec<&Partition> = Vec::new();
    for name in names {
        let partition = board.partition(name).map_err(unknown)?;
        if named.iter().any(|other| other.id == partition.id) {
            return Err(Check::fail(
                CheckId::Partition,
                format!("{} is named twice", partition.label()),
                "name each partition once",
            ));
        }
        named.push(partition);
    }
    Ok(named)
}

/// The partitions that the parts name.
fn bound<'b>(board: &'b Board, parts: Slices<'_>) -> Result<Vec<Bound<'b>>, Check> {
    let of = |(name, range)| Ok((board.named(name).map_err(unknown)?, range));
    parts.into_iter().map(of).collect()
}

fn unknown(what: String) -> Check {
    Check::fail(CheckId::Partition, what, "flasher devices lists the partitions")
}

/// Parts whose partitions are known.
fn slices(parts: Vec<Bound<'_>>) -> Result<Vec<Write>, Check> {
    parts
        .into_iter()
        .map(|(partition, range)| write(partition, range))
        .collect()
}

/// A raw image over partitions in the given order, each but the last filled to its end.
fn sequential(partitions: &[&Partition], image: &Image) -> Result<Vec<Write>, Check> {
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
                CheckId::Size,
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
        CheckId::Size,
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
    let mut write = Write::new(partition.into(), &partition.geometry, 0, range);
    // The boot loader is what is left when all else fails.
    write.order.recovery = partition.recovery || partition.keep == Some(Protection::Bootloader);
    Ok(write)
}
