//! A directory with the copies of a box's partitions.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::units::Grouped;
use crate::image::backup::{Backup, SUMS};
use crate::recovery::{Layout, Slot};
use std::path::{Path, PathBuf};
use std::{fs, io};

pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| {
        Failure::new(
            Exit::ImageUnreadable,
            Code::ImageUnreadable,
            format_args!("{}: {error}", path.display()),
        )
    }
}

pub(super) fn length(path: &Path) -> Result<u64> {
    let about = fs::metadata(path).map_err(at(path))?;
    match about.is_file() {
        true => Ok(about.len()),
        false => Err(at(path)(io::Error::other("it is not a plain file"))),
    }
}

/// The copy of one partition.
pub(super) struct Copy {
    mtd: u32,
    pub(super) path: PathBuf,
    size: u64,
    pub(super) sha256: Option<String>,
}

impl Copy {
    /// Asks for exactly the size of the slot.
    pub(super) fn of(&self, slot: &Slot) -> Result<&Copy> {
        let wanted = slot.partition.size;
        match self.size == wanted {
            true => Ok(self),
            false => Err(Failure::new(
                Exit::ImageBad,
                Code::Size,
                format_args!(
                    "{} has {} bytes, but {} has {}",
                    self.path.display(),
                    Grouped(self.size),
                    slot.label(),
                    Grouped(wanted)
                ),
            )
            .hint("use a whole backup of one box")),
        }
    }
}

/// A directory of copies: what `backup` makes, or files called `mtd0`, `mtd1`, ….
pub(super) struct Copies {
    dir: PathBuf,
    copies: Vec<Copy>,
}

impl Copies {
    /// Looks which copies there are.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] without any.
    pub(super) fn open(dir: &Path) -> Result<Copies> {
        let mut copies = Vec::new();
        if dir.join(SUMS).exists() {
            for member in Backup::open(dir, &[])?.members() {
                copies.push(Copy {
                    mtd: member.mtd,
                    size: length(&member.path)?,
                    path: member.path.clone(),
                    sha256: member.sha256.clone(),
                });
            }
        } else {
            fs::read_dir(dir).map_err(at(dir))?;
            for mtd in 0..6 {
                let path = dir.join(format!("mtd{mtd}"));
                if path.is_file() {
                    copies.push(Copy {
                        mtd,
                        size: length(&path)?,
                        path,
                        sha256: None,
                    });
                }
            }
        }
        Ok(Copies {
            dir: dir.to_owned(),
            copies,
        })
    }

    /// The files that they are, with the list of their checksums.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let copies = self.copies.iter().map(|copy| copy.path.clone());
        copies.chain([self.dir.join(SUMS)])
    }

    /// The copy of that partition.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] when it is not there.
    pub(super) fn get(&self, mtd: u32) -> Result<&Copy> {
        self.copies.iter().find(|copy| copy.mtd == mtd).ok_or_else(|| {
            Failure::new(
                Exit::ImageUnreadable,
                Code::ImageUnreadable,
                format_args!("{} has no copy of mtd{mtd}", self.dir.display()),
            )
            .hint("flasher backup DIR copies every partition; a file of another tool is to be called mtdN")
        })
    }

    /// The kind of box they are of. The second ramdisk tells: every recipe needs it, and its size differs.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] without it, [`Exit::Unsupported`] for a size that no known box has.
    pub(super) fn layout(&self) -> Result<Layout> {
        let copy = self.get(3)?;
        let fits = |layout: &Layout| layout.slot(3).is_some_and(|slot| slot.partition.size == copy.size);
        Layout::all()?.into_iter().find(fits).ok_or_else(|| {
            Failure::new(
                Exit::Unsupported,
                Code::Board,
                format_args!(
                    "{} has {} bytes, as on no box with a recovery mode that is known",
                    copy.path.display(),
                    Grouped(copy.size)
                ),
            )
            .hint("say what box it is with --board; flasher recovery boards lists them")
        })
    }
}
