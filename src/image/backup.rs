//! A directory that `backup` made, read as an image with a part for each partition.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::digits;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::format::Format;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::units::{Grouped, hex};
use crate::image::{FileKind, Image, Part};
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The list of checksums, as `sha256sum` writes and reads it.
pub const SUMS: &str = "SHA256SUMS";

/// The file name of a partition's copy. A slash in a partition's name would lead elsewhere, and a stick with FAT or NTFS takes no
/// file that is called like `0:APPSBL` (`vfat_bad_char`, fs/fat/namei_vfat.c).
pub fn file_name(mtd: u32, name: &str) -> String {
    let takes = |c: char| !c.is_control() && !"/\\:*?\"<>|".contains(c);
    let name: String = name.chars().map(|c| if takes(c) { c } else { '_' }).collect();
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
    /// What looks like a copy and is none that is used, with the reason.
    unused: Vec<String>,
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
        for (name, _) in names(dir)?.iter().filter(|(name, _)| !listed.contains(name)) {
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

/// Files that are called as copies by hand are; `None` where there are none.
fn by_hand(dir: &Path, here: &[Numbered]) -> Result<Option<Backup>> {
    let mut backup = Backup {
        members: Vec::new(),
        unused: Vec::new(),
    };
    for (name, plain) in names(dir)? {
        match Hand::parse(&name) {
            _ if !plain => backup.leave(&name, "it is not a plain file"),
            Some(hand) if here.iter().any(|partition| partition.mtd == hand.mtd) => {
                backup.members.push(hand.member(dir, here)?);
            }
            Some(hand) => backup.leave(&name, &format!("there is no mtd{} here", hand.mtd)),
            None => backup.leave(&name, "it is not called as a copy of a partition is, mtdN"),
        }
    }
    match backup.members.is_empty() {
        true => Ok(None),
        false => backup.finish(dir).map(Some),
    }
}

/// The name of a copy that was made by hand: `mtd0`, `mtdblock0`, `mtd0.bin`, `mtd0_u-boot.img`, `mtd0-u-boot`.
struct Hand<'n> {
    file: &'n str,
    mtd: u32,
    /// What it says of the partition's name.
    partition: &'n str,
}

impl<'n> Hand<'n> {
    fn parse(file: &'n str) -> Option<Hand<'n>> {
        // It would lead elsewhere.
        if file.contains('/') {
            return None;
        }
        let stem = [".bin", ".img", ".raw", ".dd", ".dump"]
            .iter()
            .find_map(|ending| file.strip_suffix(ending))
            .unwrap_or(file);
        let rest = stem.strip_prefix("mtdblock").or_else(|| stem.strip_prefix("mtd"))?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, name) = rest.split_at(digits);
        let partition = match name.is_empty() {
            true => name,
            // With a dot it is one of `backup`, for which its list is missing.
            false => name.strip_prefix(['_', '-'])?,
        };
        Some(Hand {
            file,
            mtd: number.parse().ok()?,
            partition,
        })
    }

    /// The copy, if it can be one of the partition of this number.
    fn member(&self, dir: &Path, here: &[Numbered]) -> Result<Member> {
        let path = dir.join(lossless::path(self.file));
        let partition = here.iter().find(|partition| partition.mtd == self.mtd);
        let partition = partition.ok_or_else(|| bad(dir, format_args!("there is no mtd{} here", self.mtd)))?;
        let plain = |name: &str| -> String { name.chars().filter(char::is_ascii_alphanumeric).collect() };
        if !self.partition.is_empty() && !plain(self.partition).eq_ignore_ascii_case(&plain(&partition.name)) {
            let what = format_args!(
                "{} is called a copy of another partition than mtd{} {}",
                path.display(),
                partition.mtd,
                Quoted(&partition.name)
            );
            return Err(
                bad(dir, what).hint("rename it if it is one; flasher apply PARTITION=FILE … takes single files")
            );
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
        Ok(Member {
            mtd: partition.mtd,
            partition: partition.name.clone(),
            path,
            sha256: None,
        })
    }
}

/// The names in a directory, and whether each is a plain file or a link to one.
fn names(dir: &Path) -> Result<Vec<(String, bool)>> {
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

/// The lines of a list of checksums, each with the sum in lower case and the name: as `sha256sum` writes them, also with `-b`
/// and of `./NAME`. `None` for a line that is none.
pub fn listing(text: &[u8]) -> impl Iterator<Item = Option<(String, String)>> + '_ {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| {
            // An editor of another system may have ended its lines.
            let line = lossless::text(line.strip_suffix(b"\r").unwrap_or(line));
            let (sum, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
            let name = name.strip_prefix("./").unwrap_or(name);
            Some((sum.to_ascii_lowercase(), name.to_owned()))
        })
}

/// The number of the partition that a copy of this file name is of.
pub fn number(file: &str) -> Option<u32> {
    let hand = || Hand::parse(file).map(|hand| hand.mtd);
    parse_name(file).map(|(mtd, _)| mtd).or_else(hand)
}

/// `mtd4.U-Boot Config.bin` → 4, `U-Boot Config`.
fn parse_name(name: &str) -> Option<(u32, &str)> {
    if name.contains('/') {
        return None;
    }
    let (number, rest) = name.strip_prefix("mtd")?.split_once('.')?;
    Some((digits::decimal(number)?, rest.strip_suffix(".bin")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_partitions_and_nowhere_else() {
        assert_eq!(parse_name(&file_name(4, "U-Boot Config")), Some((4, "U-Boot Config")));
        assert_eq!(file_name(1, "../etc"), "mtd1..._etc.bin");
        assert_eq!(file_name(2, "0:APPS\\BL*?\"<>|\n"), "mtd2.0_APPS_BL_______.bin");
        assert_eq!(parse_name("mtd1.../../etc/passwd.bin"), None);
        assert_eq!(parse_name("SHA256SUMS"), None);
    }

    #[test]
    fn copies_by_hand_are_known_by_their_names() {
        let of = |file| Hand::parse(file).map(|hand| (hand.mtd, hand.partition.to_owned()));
        for (file, mtd, partition) in [
            ("mtd0", 0, ""),
            ("mtd12.bin", 12, ""),
            ("mtdblock3", 3, ""),
            ("mtdblock3.img", 3, ""),
            ("mtd1_u-boot.bin", 1, "u-boot"),
            ("mtd1-NAS Config.dd", 1, "NAS Config"),
        ] {
            assert_eq!(of(file), Some((mtd, partition.to_owned())), "{file}");
        }
        for file in [
            "mtd1.Kernel.bin",
            "mtd",
            "mtdx",
            "mtd1x",
            "keep.tar",
            "SHA256SUMS",
            "mtd99999999999",
            "mtd1_../Kernel",
        ] {
            assert_eq!(of(file), None, "{file}");
        }
    }

    #[test]
    fn lists_are_read_as_sha256sum_writes_them() {
        let text = b"AB  mtd0\ncd *mtd1.Kernel.bin\r\nef  ./mtd2\n\n01  M\xfcller\n";
        let all: Option<Vec<_>> = listing(text).collect();
        let of = |sum: &str, name: &str| (sum.to_owned(), name.to_owned());
        let latin1 = lossless::text(b"M\xfcller");
        assert_eq!(
            all,
            Some(vec![
                of("ab", "mtd0"),
                of("cd", "mtd1.Kernel.bin"),
                of("ef", "mtd2"),
                of("01", &latin1)
            ])
        );
        assert_eq!(listing(b"nonsense\n").next(), Some(None));
    }
}
