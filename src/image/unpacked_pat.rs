//! A `.pat` that was unpacked into a directory, as Synology's boxes do before they start its updater.
//!
//! Synology checks the list before; but only what is listed, and the files may have changed since. So everything is
//! checked again here: what is not listed, or not a plain file, makes the directory bad, and the bytes that are hashed
//! are the bytes that are written.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::format::Format;
use crate::base::quoted::Quoted;
use crate::base::units::hex;
use crate::image::pat::{CHECKSUMS, Line, Sum, VERSION, need_not_be_listed, parse_checksum_syno, setting};
use crate::image::{Image, Part};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The members that go onto the flash, in the order of writing. Everything else is for the disks.
pub const FLASHED: [&str; 3] = ["zImage", "rd.gz", "rd.bin"];
/// Lists are small; bounds memory.
const TEXT: u64 = 256 << 10;
/// No `.pat` has deeper directories (`texts/enu/strings`); bounds the walk.
const DEPTH: usize = 8;

/// The directory.
pub struct UnpackedPat {
    dir: PathBuf,
    lines: Vec<Line>,
    unique: Option<String>,
}

fn bad(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::ImageBad, Code::Pat, what)
        .hint("get the .pat again; flasher pat check tells whether it is whole")
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::ImageUnreadable,
        Code::ImageUnreadable,
        format_args!("{}: {error}", path.display()),
    )
}

/// Opens a plain file, never through a link, and without waiting for a FIFO.
fn open(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| unreadable(path, &error))
}

fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    open(path)?
        .take(TEXT)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl UnpackedPat {
    /// Reads the list and holds the directory's names against it.
    ///
    /// # Errors
    /// [`Exit::ImageBad`] for a file that is not listed, listed and not there, or not a plain file.
    pub fn open(dir: &Path) -> Result<UnpackedPat> {
        let lines = parse_checksum_syno(&text(&dir.join(CHECKSUMS))?).map_err(bad)?;
        let mut there = Vec::new();
        list(dir, "", DEPTH, &mut there)?;
        let listed = |name: &String| lines.iter().any(|line| line.name == *name);
        if let Some(name) = there.iter().find(|name| !need_not_be_listed(name) && !listed(name)) {
            return Err(bad(format_args!("{} is not listed in {CHECKSUMS}", Quoted(name))));
        }
        if let Some(line) = lines.iter().find(|line| !there.contains(&line.name)) {
            return Err(bad(format_args!(
                "{} is listed in {CHECKSUMS} and not there",
                Quoted(&line.name)
            )));
        }
        let unique = match there.iter().any(|name| name == VERSION) {
            true => setting(&text(&dir.join(VERSION))?, "unique"),
            false => None,
        };
        Ok(UnpackedPat {
            dir: dir.to_owned(),
            lines,
            unique,
        })
    }

    fn flashed(&self) -> impl Iterator<Item = &Line> {
        FLASHED
            .iter()
            .filter_map(|name| self.lines.iter().find(|line| line.name == *name))
    }

    /// Bytes that go onto the flash.
    pub fn length(&self) -> u64 {
        self.flashed().map(|line| line.size).sum()
    }

    /// Checks every file against the list, and copies those for the flash into `sink` on the way.
    ///
    /// # Errors
    /// [`Exit::ImageBad`] for a file that is not what is listed; else those of reading and of the sink.
    pub fn copy(mut self, sink: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<Image> {
        let mut all = Sha256::new();
        let mut parts = Vec::new();
        let mut at = 0;
        for line in self.flashed() {
            let mut take = |bytes: &[u8]| {
                all.update(bytes);
                sink.write_all(bytes)?;
                at += bytes.len() as u64;
                progress(at);
                Ok(())
            };
            self.check(line, &mut take)?;
            // The one name of the initial ramdisk in older files.
            let name = if line.name == "rd.bin" { "rd.gz" } else { &line.name };
            parts.push((name.to_owned(), at - line.size, line.size));
        }
        let mut unused = Vec::new();
        for line in self.lines.iter().filter(|line| !FLASHED.contains(&line.name.as_str())) {
            self.check(line, &mut |_| Ok(()))?;
            unused.push(line.name.clone());
        }
        match parts.is_empty() {
            true => Err(bad(format_args!(
                "there is nothing for the flash in it: no {}",
                FLASHED.join(", no ")
            ))),
            false => Ok(Image {
                size: at,
                sha256: hex(&all.finalize()),
                payload: at,
                unused,
                made_for: self.unique.take(),
                parts: parts
                    .into_iter()
                    .map(|(name, offset, size)| Part {
                        name,
                        offset,
                        size,
                        ..Part::default()
                    })
                    .collect(),
                ..Image::nothing(Format::SynologyPat)
            }),
        }
    }

    fn check(&self, line: &Line, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
        let path = self.dir.join(&line.name);
        let mut file = open(&path)?;
        let mut sum = Sum::new(line.size);
        let mut left = line.size;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let got = file.read(&mut buffer).map_err(|error| unreadable(&path, &error))?;
            if got == 0 || got as u64 > left {
                break;
            }
            left -= got as u64;
            sum.update(&buffer[..got]);
            each(&buffer[..got]).map_err(|error| Failure::system(format_args!("{}: {error}", line.name)))?;
        }
        match left == 0 && sum.agrees(line) {
            true => Ok(()),
            false => Err(bad(format_args!(
                "{} is not what {CHECKSUMS} lists",
                Quoted(&line.name)
            ))),
        }
    }
}

/// Every plain file below, by its path from the top.
fn list(dir: &Path, below: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
        let entry = entry.map_err(|error| unreadable(dir, &error))?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(|error| unreadable(dir, &error))?;
        match (kind.is_dir(), kind.is_file()) {
            (true, _) if depth > 0 => list(&entry.path(), &format!("{name}/"), depth - 1, names)?,
            (_, true) => names.push(name),
            _ => return Err(bad(format_args!("{} is not a plain file", Quoted(&name)))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nobody_waits_for_a_list_that_does_not_come() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&dir.path().join(CHECKSUMS), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(UnpackedPat::open(dir.path()).is_err());
    }
}
