//! A directory that `backup` made, read as an image with a part for each partition.

#![forbid(unsafe_code)]

mod by_hand;
mod names;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::format::Format;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::units::hex;
use crate::image::{FileKind, Image, Part};
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use by_hand::{Hand, by_hand};
use names::parse_name;

pub use by_hand::Numbered;
pub use names::{SUMS, file_name, listing};

/// The copy of one partition.
pub struct Member {
    /// The number of the partition.
    pub mtd: u32,
    /// Its name, as far as a file name can tell.
    pub partition: String,
    /// The file.
    pub path: PathBuf,
    /// The SHA-256 that it is to have, in lower-case hexadecimal digits; unknown of a copy that was made by hand.
    pub sha256: Option<String>,
}

/// The copies in a directory, in the order of their numbers.
pub struct Backup {
    members: Vec<Member>,
    /// What looks like a copy and is none that is used, with the reason.
    unused: Vec<String>,
}

fn bad(dir: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::ImageBad,
        Code::Backup,
        format_args!("backup {}: {what}", dir.display()),
    )
    .hint("flasher backup DIR makes a backup that can be restored")
}

impl Backup {
    /// Reads which copies there are. Where there is a list of checksums, only those that it lists count. A directory without
    /// one may have copies that were made by hand, as `cat /dev/mtdblock1 >mtd1`: those are of the partitions of this box with
    /// the same numbers, if their lengths are the same too.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] without a list or such files, [`Exit::ImageBad`] for a list that makes no sense and for
    /// copies of other partitions.
    pub fn open(dir: &Path, here: &[Numbered]) -> Result<Backup> {
        let sums = dir.join(SUMS);
        // A list that is there and cannot be read, or a link into nothing, is one that vouches for nothing.
        let none = fs::symlink_metadata(&sums).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if none && let Some(backup) = by_hand(dir, here)? {
            return Ok(backup);
        }
        let text = files::read_plain(&sums, files::TEXT).map_err(|error| {
            let failed =
                |what: &dyn Display| Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, format_args!("{what}"));
            match error.kind() {
                ErrorKind::NotADirectory => failed(&format_args!("backup {}: it is a file", dir.display())).hint(
                    "name the directory that the backup is in; flasher apply PARTITION=FILE … takes single files",
                ),
                _ => failed(&format_args!("{}: {error}", sums.display()))
                    .hint("flasher backup DIR makes a backup that can be restored"),
            }
        })?;
        let mut backup = Backup {
            members: Vec::new(),
            unused: Vec::new(),
        };
        let mut listed = Vec::new();
        for line in listing(&text) {
            let (sha256, name) =
                line.ok_or_else(|| bad(dir, format_args!("{SUMS} has a line without checksum and name")))?;
            listed.push(name.clone());
            let member = match (parse_name(&name), Hand::parse(&name)) {
                (Some((mtd, partition)), _) => Member {
                    mtd,
                    partition: partition.to_owned(),
                    path: dir.join(lossless::path(&name)),
                    sha256: Some(sha256),
                },
                (None, Some(hand)) if here.iter().any(|partition| partition.mtd == hand.mtd) => Member {
                    sha256: Some(sha256),
                    ..hand.member(dir, here)?
                },
                _ => {
                    backup.leave(&name, "it is not a copy of a partition of this box");
                    continue;
                }
            };
            backup.members.push(member);
        }
        for (name, _) in names_in(dir)?.iter().filter(|(name, _)| !listed.contains(name)) {
            backup.leave(name, "SHA256SUMS does not list it");
        }
        backup.finish(dir)
    }

    /// Notes what is not used. Kept files lie beside the copies, and are put back by hand.
    fn leave(&mut self, name: &str, why: &str) {
        if name != SUMS {
            self.unused.push(format!("{}: {why}", Quoted(name)));
        }
    }

    fn finish(mut self, dir: &Path) -> Result<Backup> {
        self.members.sort_unstable_by_key(|member| member.mtd);
        let twice = self.members.windows(2).find(|pair| pair[0].mtd == pair[1].mtd);
        if let Some([one, other]) = twice {
            let what = format_args!(
                "{} and {} are copies of the same partition",
                one.path.display(),
                other.path.display()
            );
            return Err(bad(dir, what).hint("take one of the two away"));
        }
        match self.members.is_empty() {
            true => Err(bad(dir, format_args!("{SUMS} lists no partition"))),
            false => Ok(self),
        }
    }

    /// The copies, in the order of their numbers.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Bytes of all copies.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`].
    pub fn length(&self) -> Result<u64> {
        self.members.iter().try_fold(0u64, |sum, member| {
            let about = fs::metadata(&member.path).map_err(|error| {
                let what = format_args!("{}: {error}", member.path.display());
                Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, what)
            })?;
            Ok(sum.saturating_add(about.len()))
        })
    }

    /// Copies everything into `sink`, one behind the other, each checked against its checksum.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] or, for a copy that is not what was listed, [`Exit::ImageBad`].
    pub fn copy(self, sink: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<Image> {
        let by_hand = self.members.iter().any(|member| member.sha256.is_none());
        let mut all = Sha256::new();
        let mut parts = Vec::new();
        let mut at = 0;
        let mut buffer = vec![0; 64 << 10];
        for member in self.members {
            let name = member.path.display().to_string();
            let unreadable = |error: std::io::Error| {
                Failure::new(
                    Exit::ImageUnreadable,
                    Code::ImageUnreadable,
                    format_args!("{name}: {error}"),
                )
            };
            let mut file = files::open_plain(&member.path).map_err(unreadable)?;
            let mut own = Sha256::new();
            let offset = at;
            loop {
                let got = file.read(&mut buffer).map_err(unreadable)?;
                if got == 0 {
                    break;
                }
                own.update(&buffer[..got]);
                all.update(&buffer[..got]);
                sink.write_all(&buffer[..got]).map_err(|error| {
                    Failure::system(format_args!("{name}: no room for it in RAM: {error}"))
                        .hint("restore fewer partitions at a time with --part")
                })?;
                at += got as u64;
                progress(at);
            }
            if member.sha256.is_some_and(|wanted| hex(&own.finalize()) != wanted) {
                return Err(Failure::new(
                    Exit::ImageBad,
                    Code::Backup,
                    format_args!("{name} is not what {SUMS} lists"),
                )
                .hint("use another backup"));
            }
            let file = member.path.file_name().map(|name| name.to_string_lossy().into_owned());
            parts.push(Part {
                name: member.partition,
                member: file,
                offset,
                size: at - offset,
                content: None,
                file: FileKind::default(),
            });
        }
        Ok(Image {
            size: at,
            sha256: hex(&all.finalize()),
            payload: at,
            parts,
            unused: self.unused,
            by_hand,
            ..Image::nothing(Format::Backup)
        })
    }
}

/// The names in a directory, and whether each is a plain file or a link to one.
fn names_in(dir: &Path) -> Result<Vec<(String, bool)>> {
    let unreadable = |error: std::io::Error| {
        let what = format_args!("{}: {error}", dir.display());
        Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, what)
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let plain = entry.path().is_file();
        names.push((lossless::text(&entry.file_name().into_vec()), plain));
    }
    names.sort_unstable();
    Ok(names)
}

/// The number of the partition that a copy of this file name is of.
pub fn number(file: &str) -> Option<u32> {
    let hand = || Hand::parse(file).map(|hand| hand.mtd);
    parse_name(file).map(|(mtd, _)| mtd).or_else(hand)
}
