//! `recovery create`: the partitions one behind the other, as the boot loader wants them.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::files;
use crate::base::files::{Readers, Unfinished};
use crate::base::format::Format;
use crate::base::lossless;
use crate::base::machine::Role;
use crate::base::phase::Phase;
use crate::base::shell;
use crate::base::units::{Grouped, Size, hex};
use crate::board::profile::Profile;
use crate::board::usable;
use crate::board::{Board, Partition};
use crate::bytes::packed::ARCHIVE;
use crate::bytes::store::Store;
use crate::cli::recovery::Create;
use crate::cmd::recovery::copies::{Copies, Copy, at, length};
use crate::image::backup::SUMS;
use crate::image::{self, Reading};
use crate::recovery::refusal::{accept, unreadable};
use crate::recovery::{Layout, Mode, Slot, boards, check};
use crate::report::Reporter;
use crate::update::backup::read_out;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

#[derive(Serialize)]
struct Report<'a> {
    image: String,
    board: &'a str,
    size: u64,
    sha256: &'a str,
    names: &'a [String],
    parts: Vec<PartReport<'a>>,
}

#[derive(Serialize)]
struct PartReport<'a> {
    mtd: u32,
    name: &'a str,
    source: String,
}

/// Where the bytes of a slot come from.
enum Piece<'a> {
    Flash(&'a Board, &'a Partition),
    Copy(&'a Copy),
    /// So many bytes, filled up with zeros, as `dd conv=sync` does.
    Padded(&'a Path, u64),
}

/// Makes the image.
///
/// # Errors
/// Sources that are missing, too long or damaged, and an image that no box would start from.
pub fn run(options: &Create, reporter: &mut Reporter) -> Result<Exit> {
    match &options.from {
        None => {
            usable::root(options.at.sim.is_some())?;
            let board = Board::discover(&options.at)?;
            usable::usable(&board)?;
            let layout = Layout::wanted(&board.profile)?;
            let pieces = pieces(&layout, |slot| Ok(Piece::Flash(&board, of_this_box(&board, slot)?)))?;
            make(options, &layout, &pieces, reporter)
        }
        Some(dir) => {
            let copies = Copies::open(dir)?;
            let layout = match &options.at.board {
                Some(board) => Layout::wanted(&Profile::find(board)?)?,
                None => copies.layout()?,
            };
            let installer = options.installer.as_ref();
            is_none_of_its_sources(options, &copies)?;
            let pieces = pieces(&layout, |slot| match (installer, slot.partition.mtd) {
                (Some((kernel, _)), 1) => padded(kernel, "kernel", slot),
                (Some((_, initrd)), 2) => padded(initrd, "initial ramdisk", slot),
                (_, mtd) => copies.get(mtd)?.of(slot).map(Piece::Copy),
            })?;
            if let Some((_, initrd)) = installer
                && !options.force.contains(&CheckId::Content)
            {
                is_ramdisk(initrd)?;
            }
            make(options, &layout, &pieces, reporter)
        }
    }
}

/// Refuses to write over what the image is made of, which may be the only copy of it.
fn is_none_of_its_sources(options: &Create, copies: &Copies) -> Result<()> {
    let given = options.installer.iter();
    let given = given.flat_map(|(kernel, initrd)| [kernel.clone(), initrd.clone()]);
    let mut sources = copies.files().chain(given);
    match sources.any(|file| files::same(&file, &options.output)) {
        false => Ok(()),
        true => Err(Failure::usage(format_args!(
            "{} is one of the files that the image is to be made of",
            options.output.display()
        ))
        .hint("give the image another name")),
    }
}

type Pieces<'a> = Vec<(&'a Slot, Piece<'a>)>;

/// All sources are looked at before the first byte is written.
fn pieces<'a>(layout: &'a Layout, mut of: impl FnMut(&'a Slot) -> Result<Piece<'a>>) -> Result<Pieces<'a>> {
    layout.slots.iter().map(|slot| Ok((slot, of(slot)?))).collect()
}

fn of_this_box<'a>(board: &'a Board, slot: &Slot) -> Result<&'a Partition> {
    board
        .partition(&slot.partition.name)
        .ok()
        .filter(|partition| partition.capacity() == slot.partition.size)
        .ok_or_else(|| {
            Failure::new(
                Exit::Unsupported,
                Code::Partition,
                format_args!("this box has no {} of {}", slot.label(), Size(slot.partition.size)),
            )
            .hint("flasher devices")
        })
}

fn padded<'a>(path: &'a Path, what: &str, slot: &Slot) -> Result<Piece<'a>> {
    let size = length(path)?;
    let room = slot.partition.size;
    if size > room {
        return Err(Failure::new(
            Exit::Refused,
            Code::Size,
            format_args!(
                "the {what} {} has {} bytes and {} holds {}: {} bytes too many",
                path.display(),
                Grouped(size),
                slot.label(),
                Grouped(room),
                Grouped(size - room)
            ),
        )
        .hint("use the installer of an older release, whose kernel is smaller"));
    }
    match size {
        0 => Err(Failure::new(
            Exit::ImageBad,
            Code::ImageEmpty,
            format_args!("the {what} {} is empty", path.display()),
        )
        .hint("copy it again")),
        _ => Ok(Piece::Padded(path, size)),
    }
}

/// Whether the kernel would take the file for its initial ramdisk.
fn is_ramdisk(path: &Path) -> Result<()> {
    let store = File::open(path).and_then(Store::file).map_err(at(path))?;
    let reading = Reading {
        room: ARCHIVE,
        ..Reading::default()
    };
    let (_, image) = image::open(store, String::new(), &reading).map_err(at(path))?;
    let content = image.parts.first().and_then(|part| part.content.as_ref());
    let role = content.is_some_and(|content| content.role == Role::Ramdisk && content.problem.is_none());
    if role || [Format::Ramdisk, Format::Cpio].contains(&image.format) && image.problem.is_none() {
        return Ok(());
    }
    let what = match &image.problem {
        Some(problem) => problem.clone(),
        None => format!("it is {}", image.format.described()),
    };
    Err(Failure::new(
        Exit::ImageBad,
        Code::RecoveryImage,
        format_args!("{} is not an initial ramdisk: {what}", path.display()),
    )
    .hint("name the installer's initrd; --force=content if you know better"))
}

fn make(options: &Create, layout: &Layout, pieces: &Pieces<'_>, reporter: &mut Reporter) -> Result<Exit> {
    let into_dir = options.output.is_dir();
    let target = match into_dir {
        // The name that the box asks for is known when it is made.
        true => &options.output.join("recovery"),
        false => named(&options.output)?,
    };
    let mut image = Unfinished::new(target, Readers::Everyone)?;
    let out = &mut image.file;
    let total = layout.size();
    let mut done = 0;
    for (slot, piece) in pieces {
        let mut progress = |bytes| {
            done += bytes;
            reporter.progress(Phase::Copying, done, total);
        };
        match piece {
            Piece::Flash(board, partition) => {
                read_out(board, partition, out, &mut progress)?;
            }
            Piece::Copy(copy) => append(&copy.path, slot.partition.size, slot, out, copy.sha256.as_deref())?,
            Piece::Padded(path, size) => append(path, *size, slot, out, None)?,
        }
    }
    let store = image.file.try_clone().and_then(Store::file).context(target.display())?;
    let sha256 = store.sha256(&mut |_| ()).context(target.display())?;
    let report = check::check(&store, sha256)?.map_err(unreadable)?;
    for problem in accept("the image", &report, &options.force)? {
        reporter.warning(problem);
    }
    match (into_dir, report.names.as_slice()) {
        (false, _) => (),
        (true, [name]) => image.rename(name),
        (true, _) => {
            return Err(
                Failure::usage("the boot loader configuration does not tell the name that this box asks for").hint(
                    "give the image a name: that of a TS-219P+ is F_TS-219P+; flasher recovery boards lists the others",
                ),
            );
        }
    }
    let path = image.finish().context(target.display())?;
    say(&path, layout, pieces, &report, reporter);
    Ok(Exit::Done)
}

fn named(output: &Path) -> Result<&Path> {
    match output.file_name().and_then(|name| name.to_str()) {
        Some(_) => Ok(output),
        None => Err(
            Failure::usage(format_args!("{} is not a name for a file", output.display()))
                .hint("give the image a name, in UTF-8"),
        ),
    }
}

/// Copies a file and fills its slot up with zeros; its length was looked at before and must still be the same.
fn append(path: &Path, length: u64, slot: &Slot, out: &mut File, sha256: Option<&str>) -> Result<()> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let changed = || {
        Failure::new(
            Exit::ImageUnreadable,
            Code::ImageChanged,
            format_args!("{} changed while it was being read", path.display()),
        )
    };
    let mut left = length;
    loop {
        let got = file.read(&mut buffer).map_err(at(path))?;
        if got == 0 {
            break;
        }
        left = left.checked_sub(got as u64).ok_or_else(changed)?;
        hash.update(&buffer[..got]);
        out.write_all(&buffer[..got]).context("recovery image")?;
    }
    if left > 0 {
        return Err(changed());
    }
    if sha256.is_some_and(|listed| listed != hex(&hash.finalize())) {
        return Err(Failure::new(
            Exit::ImageBad,
            Code::Backup,
            format_args!("{} is not what {SUMS} lists", path.display()),
        )
        .hint("use another backup"));
    }
    let room = slot.partition.size - length;
    io::copy(&mut io::repeat(0).take(room), out).context("recovery image")?;
    Ok(())
}

fn say(path: &Path, layout: &Layout, pieces: &Pieces<'_>, report: &check::Report, reporter: &mut Reporter) {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let source = |piece: &Piece<'_>| match piece {
        Piece::Flash(..) => "this box".to_owned(),
        Piece::Copy(copy) => copy.path.display().to_string(),
        Piece::Padded(path, _) => path.display().to_string(),
    };
    if reporter.json() {
        return reporter.object(&Report {
            image: lossless::of(path),
            board: &layout.board,
            size: report.size,
            sha256: &report.sha256,
            names: &report.names,
            parts: pieces
                .iter()
                .map(|(slot, piece)| PartReport {
                    mtd: slot.partition.mtd,
                    name: &slot.partition.name,
                    source: source(piece),
                })
                .collect(),
        });
    }
    for (slot, piece) in pieces {
        reporter.detail(format_args!("{} from {}", slot.label(), source(piece)));
    }
    reporter.line(&format!(
        "{}: {}, a recovery image for {}\nsha256 {}",
        path.display(),
        Size(report.size),
        layout.board,
        report.sha256
    ));
    let asked = match (layout.mode(), report.names.as_slice()) {
        (Mode::Fixed, _) => format!("the box asks for {}", boards::FIXED),
        (Mode::Dhcp, [one]) => format!("the box takes a name that begins with {one}"),
        (Mode::Dhcp, _) => "the boot loader configuration does not tell the name that the box takes (that of a \
                            TS-219P+ is F_TS-219P+): flasher recovery boards"
            .to_owned(),
    };
    reporter.line(&asked);
    let fits = match layout.mode() {
        Mode::Fixed => file == boards::FIXED,
        Mode::Dhcp => report.names.iter().any(|name| file.starts_with(name.as_str())),
    };
    if !fits && !report.names.is_empty() {
        reporter.line("flasher recovery serve gives it that name by itself; for another server rename it");
    }
    reporter.line(&format!("next: flasher recovery serve {}", shell::typed(path)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Its length was looked at when all sources were.
    #[test]
    fn a_file_that_became_shorter_or_longer_is_not_filled_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel");
        std::fs::write(&path, [1; 1000]).unwrap();
        let layout = Layout::all().unwrap().remove(0);
        let slot = layout.slot(1).unwrap();
        for (length, whole) in [(1000, true), (1001, false), (999, false)] {
            let mut out = File::create(dir.path().join("image")).unwrap();
            let result = append(&path, length, slot, &mut out, None);
            assert_eq!(result.is_ok(), whole, "{length}");
            let written = out.metadata().unwrap().len();
            assert_eq!(written == slot.partition.size, whole, "{length}: {written}");
        }
    }
}
