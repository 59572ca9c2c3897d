//! A directory that `backup` made, read as an image with a part for each partition.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::format::Format;
use crate::base::quoted::Quoted;
use crate::base::units::{Grouped, hex};
use crate::image::{FileKind, Image, Part};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The list of checksums, as `sha256sum` writes and reads it.
pub const SUMS: &str = "SHA256SUMS";

/// The file name of a partition's copy. A slash in a partition's name would lead elsewhere.
pub fn file_name(mtd: u32, name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c == '/' || c.is_control() { '_' } else { c })
        .collect();
    format!("mtd{mtd}.{name}.bin")
}

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
}

/// A partition of the box, as a backup by hand names it.
pub struct Numbered {
    /// Its number.
    pub mtd: u32,
    /// Its name.
    pub name: String,
    /// Lengths that a copy of it has, in bytes.
    pub sizes: Vec<u64>,
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
    /// Reads which copies there are. Only those that are listed with a checksum count. A directory without a list may have
    /// copies that were made by hand, as `cat /dev/mtdblock1 >mtd1`: those are of the partitions of this box with the same
    /// numbers, if their lengths are the same too.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] without a list or such files, [`Exit::ImageBad`] for a list that makes no sense and for
    /// copies of other partitions.
    pub fn open(dir: &Path, here: &[Numbered]) -> Result<Backup> {
        let sums = dir.join(SUMS);
        if !sums.exists()
            && let Some(backup) = by_hand(dir, here)?
        {
            return Ok(backup);
        }
        let text = fs::read_to_string(&sums).map_err(|error| {
            Failure::new(
                Exit::ImageUnreadable,
                Code::ImageUnreadable,
                format_args!("{}: {error}", sums.display()),
            )
            .hint("flasher backup DIR makes a backup that can be restored")
        })?;
        let mut members = Vec::new();
        for line in text.lines() {
            let (sha256, name) = line
                .split_once("  ")
                .ok_or_else(|| bad(dir, format_args!("{SUMS} has a line without checksum and name")))?;
            let Some((mtd, partition)) = parse_name(name) else {
                continue;
            };
            members.push(Member {
                mtd,
                partition: partition.to_owned(),
                path: dir.join(name),
                sha256: Some(sha256.to_ascii_lowercase()),
            });
        }
        members.sort_by_key(|member| member.mtd);
        match members.is_empty() {
            true => Err(bad(dir, format_args!("{SUMS} lists no partition"))),
            false => Ok(Backup { members }),
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
        self.members
            .iter()
            .map(|member| fs::metadata(&member.path).map(|metadata| metadata.len()))
            .sum::<std::io::Result<u64>>()
            .map_err(|error| Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, error))
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
            let mut file = File::open(&member.path).map_err(unreadable)?;
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
            parts.push(Part {
                name: member.partition,
                member: None,
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
            by_hand,
            ..Image::nothing(Format::Backup)
        })
    }
}

/// Files `mtd0`, `mtd1`, … or `mtd0.bin`, `mtd1.bin`, …; `None` where there are none.
fn by_hand(dir: &Path, here: &[Numbered]) -> Result<Option<Backup>> {
    let mut members = Vec::new();
    for partition in here {
        let names = ["", ".bin"].map(|ending| dir.join(format!("mtd{}{ending}", partition.mtd)));
        let mut there = names.into_iter().filter(|path| path.is_file());
        let Some(path) = there.next() else {
            continue;
        };
        if let Some(other) = there.next() {
            let what = format_args!(
                "{} and {} are copies of the same partition",
                path.display(),
                other.display()
            );
            return Err(bad(dir, what).hint("take one of the two away"));
        }
        let length = fs::metadata(&path)
            .map(|about| about.len())
            .map_err(|error| bad(dir, error))?;
        if !partition.sizes.contains(&length) {
            let what = format_args!(
                "{} has {} bytes, but mtd{} {} has {} here: it is the copy of another partition or cut off",
                path.display(),
                Grouped(length),
                partition.mtd,
                Quoted(&partition.name),
                Grouped(partition.sizes.first().copied().unwrap_or_default())
            );
            return Err(bad(dir, what).hint(
                "flasher devices lists the partitions of this box; flasher apply PARTITION=FILE … takes single files",
            ));
        }
        members.push(Member {
            mtd: partition.mtd,
            partition: partition.name.clone(),
            path,
            sha256: None,
        });
    }
    members.sort_by_key(|member| member.mtd);
    Ok((!members.is_empty()).then_some(Backup { members }))
}

/// `mtd4.U-Boot Config.bin` → 4, `U-Boot Config`.
fn parse_name(name: &str) -> Option<(u32, &str)> {
    if name.contains('/') {
        return None;
    }
    let (number, rest) = name.strip_prefix("mtd")?.split_once('.')?;
    Some((number.parse().ok()?, rest.strip_suffix(".bin")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_partitions_and_nowhere_else() {
        assert_eq!(parse_name(&file_name(4, "U-Boot Config")), Some((4, "U-Boot Config")));
        assert_eq!(file_name(1, "../etc"), "mtd1..._etc.bin");
        assert_eq!(parse_name("mtd1.../../etc/passwd.bin"), None);
        assert_eq!(parse_name("SHA256SUMS"), None);
    }
}
