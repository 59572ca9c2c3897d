//! Archives on a workstation: opened whether packed with gzip or not, and unpacked into a directory of their own.
//!
//! What an archive says is not believed: [`super::tar`] refuses names that lead elsewhere, links, devices and names that
//! come twice, all of it before the first file is made.

#![forbid(unsafe_code)]

use super::store::Store;
use super::tar::Member;
use crate::error::{Context, Exit, Failure, Result};
use crate::units::Size;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// What a packed archive may unpack to: more than any firmware has, less than a disk.
const LIMIT: u64 = 2 << 30;

/// The first bytes of gzip with its only method (RFC 1952).
pub const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// The bytes of a store as a stream.
pub struct Stream<'a> {
    store: &'a Store,
    left: Range<u64>,
}

impl<'a> Stream<'a> {
    /// Of these bytes.
    pub fn new(store: &'a Store, range: Range<u64>) -> Stream<'a> {
        Stream { store, left: range }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let take = buffer.len().min((self.left.end - self.left.start) as usize);
        self.store.read_exact_at(self.left.start, &mut buffer[..take])?;
        self.left.start += take as u64;
        Ok(take)
    }
}

/// Whether gzip begins here.
///
/// # Errors
/// Those of reading.
pub fn is_gzip(store: &Store, range: &Range<u64>) -> io::Result<bool> {
    let mut head = [0; GZIP.len()];
    Ok(store.read_head(range, &mut head)? && head == GZIP)
}

/// Unpacks gzip into a file without a name. What follows the gzip stream is left alone.
///
/// # Errors
/// [`Exit::ImageBad`] for what is no gzip, is damaged, or unpacks to too much.
pub fn gunzip(store: &Store, range: Range<u64>) -> Result<Store> {
    let path = std::env::temp_dir().join(format!("flasher-{}.unpacked", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .context(path.display())?;
    fs::remove_file(&path).context(path.display())?;
    let mut plain = flate2::bufread::GzDecoder::new(io::BufReader::new(Stream::new(store, range))).take(LIMIT + 1);
    let length = io::copy(&mut plain, &mut file).map_err(|error| bad(format_args!("gzip: {error}")))?;
    match length > LIMIT {
        true => Err(bad(format_args!("gzip: it unpacks to more than {}", Size(LIMIT)))),
        false => Store::file(file).context("unpacked archive"),
    }
}

/// The failure of an archive that is damaged or hostile.
pub fn bad(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::ImageBad, "archive", what).hint("get the file again")
}

/// Makes the directory, which must be new or empty: so nothing in it can lead elsewhere.
///
/// # Errors
/// [`Exit::Usage`] for one that has something in it.
pub fn fresh_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .context(dir.display())?;
    match fs::read_dir(dir).context(dir.display())?.next() {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format_args!("{} is not empty", dir.display())).hint("name a new directory")),
    }
}

/// Writes these members below the directory.
///
/// # Errors
/// Files that cannot be made, such as one whose name is also that of a directory.
pub fn unpack(store: &Store, members: &[Member], dir: &Path) -> Result<()> {
    for member in members {
        let path = dir.join(&member.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(member.mode | 0o600)
            .open(&path)
            .context(path.display())?;
        let mut result = Ok(());
        store
            .scan(member.data.clone(), |chunk| {
                if result.is_ok() {
                    result = file.write_all(chunk);
                }
            })
            .and(result)
            .context(path.display())?;
    }
    Ok(())
}
