//! Where an image comes from, and its way into memory: read once, hashed on the way unless that is left for later, refused
//! if it is empty, cut off or changing.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::lossless;
use crate::base::shell;
use crate::base::units::{Size, hex};
use crate::bytes::access::{Access, Hurried, PATIENCE, Request};
use crate::bytes::budget::{Budget, Memory};
use crate::bytes::on_disk::Pieces;
use crate::bytes::pull::Pull;
use crate::bytes::store::Store;
use crate::bytes::unusable::{changed, cut_off, no_ram, other_size, spoiled, too_long, unreadable};
use crate::bytes::url;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

/// An image that has not been read yet.
pub struct Source {
    name: String,
    reader: Reader,
    /// Bytes, where known beforehand.
    length: Option<u64>,
    hash: Option<Sha256>,
    /// The SHA-256 that its sender says it has.
    said: Option<String>,
}

enum Reader {
    File(File, Metadata),
    Stream(Box<dyn Pull>),
}

/// Bytes that are left of standard input, where it is a file: `<image.bin`.
fn redirected() -> Option<u64> {
    let mut file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let about = file.metadata().ok().filter(Metadata::is_file)?;
    about.len().checked_sub(file.stream_position().ok()?)
}

/// Bytes read at a time: small, because it is locked memory on a box that has little.
const CHUNK: usize = 64 << 10;
/// Bytes of the longest image: more than any flash has, and no more than a processor of 32 bits can count. A length that is said is held
/// against it before anything is made of it.
const LONGEST: u64 = u32::MAX as u64;

impl Source {
    /// As [`Source::fetch`], without credentials.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`].
    pub fn open(image: &str) -> Result<Source> {
        Source::fetch(image, &Access::default())
    }

    /// Opens a path, `-` for standard input, or a URL. What is not `http://` is fetched by a program of the box.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`].
    pub fn fetch(image: &str, access: &Access) -> Result<Source> {
        if image == "-" {
            let stream: Box<dyn Pull> = match stages::rescue::is_on() {
                true => Box::new(Hurried(io::stdin(), Instant::now() + PATIENCE)),
                false => Box::new(io::stdin()),
            };
            return Source::new("standard input", Reader::Stream(stream), redirected());
        }
        if image.contains("://") {
            return open_url(image, access);
        }
        let unreadable = |what: &dyn std::fmt::Display| {
            Failure::new(
                Exit::ImageUnreadable,
                Code::ImageUnreadable,
                format_args!("image {image}: {what}"),
            )
            .hint("check the path; - reads standard input")
        };
        let file = File::open(lossless::path(image)).map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        if metadata.is_dir() {
            return Err(unreadable(&"it is a directory"));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Source::new(image, Reader::File(file, metadata), length)
    }

    fn new(name: &str, reader: Reader, length: Option<u64>) -> Result<Source> {
        let source = Source {
            name: name.into(),
            reader,
            length,
            hash: Some(Sha256::new()),
            said: None,
        };
        source.limited()
    }

    /// A stream of this length and with this checksum.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] for one that is longer than any flash.
    pub fn sent(name: &str, stream: Box<dyn Pull>, length: u64, sha256: String) -> Result<Source> {
        Ok(Source {
            said: Some(sha256),
            ..Source::new(name, Reader::Stream(stream), Some(length))?
        })
    }

    /// Itself, unless it says that it is longer than any flash: a sparse file, or a server that lies.
    fn limited(self) -> Result<Source> {
        match self.length {
            Some(length) if length > LONGEST => Err(Failure::new(
                Exit::ImageUnreadable,
                Code::ImageUnreadable,
                format_args!(
                    "image {} says that it has {length} bytes, which is more than any flash",
                    self.name
                ),
            )
            .hint("get the image again")),
            _ => Ok(self),
        }
    }

    /// Leaves the checksum to [`Store::sha256`]: it is empty until then. A processor of these boxes hashes more slowly than
    /// it reads flash, and what is on the flash already is found by comparing.
    pub fn unhashed(self) -> Source {
        match self.said {
            Some(_) => self,
            None => Source { hash: None, ..self },
        }
    }

    /// Whether it is a file, which can be read again.
    pub fn is_file(&self) -> bool {
        matches!(&self.reader, Reader::File(_, about) if about.is_file())
    }

    /// The same, which has to be this many bytes.
    ///
    /// # Errors
    /// [`Exit::ImageBad`] for one that is known to have another length.
    pub fn of_size(self, size: u64) -> Result<Source> {
        match self.length {
            Some(length) if length != size => Err(other_size(&self.name, length, size)),
            _ => Source {
                length: Some(size),
                ..self
            }
            .limited(),
        }
    }

    /// The mount point of the disk that it lies on, and its path there.
    pub fn disk(&self) -> Option<(PathBuf, PathBuf)> {
        match &self.reader {
            Reader::File(file, about) if about.is_file() => stages::disk_of(file),
            _ => None,
        }
    }

    /// Bytes, where known before reading.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Copies everything into `sink` and returns length and SHA-256, if it is not left for later. `progress` is told the bytes so far.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] when reading fails or the file changes meanwhile, [`Exit::ImageBad`]
    /// when it is empty, [`Exit::System`] when the sink is full.
    pub fn copy(self, sink: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(u64, String)> {
        let grows = self.is_file();
        let Source {
            name,
            reader,
            length: expected,
            mut hash,
            said,
        } = self;
        let (mut stream, before): (Box<dyn Pull>, _) = match reader {
            Reader::File(file, metadata) => (
                Box::new(file.try_clone().map_err(Failure::system)?),
                Some((file, metadata)),
            ),
            Reader::Stream(stream) => (stream, None),
        };
        let mut buffer = vec![0; CHUNK];
        let mut length = 0u64;
        loop {
            let got = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(&name, length, &error)),
            };
            if let Some(hash) = &mut hash {
                hash.update(&buffer[..got]);
            }
            sink.write_all(&buffer[..got]).map_err(|error| {
                if error.kind() == io::ErrorKind::OutOfMemory {
                    return no_ram(&name, &error);
                }
                Failure::system(format_args!(
                    "image {name}: no room for it in RAM after {}: {error}",
                    Size(length)
                ))
                .hint("stop services that use much memory, or reboot and try again at once")
            })?;
            length += got as u64;
            // A file that is being written grows as fast as it is read: there would be no end.
            if let Some(expected) = expected.filter(|expected| length > *expected) {
                return Err(match grows {
                    true => changed(&name),
                    false => too_long(&name, expected),
                });
            }
            progress(length);
        }
        if length == 0 {
            return Err(
                Failure::new(Exit::ImageBad, Code::ImageEmpty, format_args!("image {name} is empty"))
                    .hint("copy it to the box again"),
            );
        }
        if let Some((file, before)) = before {
            let after = file.metadata().map_err(Failure::system)?;
            let stamp = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
            if stamp(&before) != stamp(&after) {
                return Err(changed(&name));
            }
        }
        let sha256 = hash.map_or_else(String::new, |hash| hex(&hash.finalize()));
        match (expected, said) {
            (Some(expected), _) if expected != length => Err(cut_off(&name, length, expected)),
            (_, Some(said)) if said != sha256 => Err(spoiled(&name)),
            _ => Ok((length, sha256)),
        }
    }

    /// Reads all of it into memory.
    ///
    /// # Errors
    /// As [`Source::copy`], and [`Exit::Refused`] for what has no room there or no end.
    pub fn into_memory(self) -> Result<(Store<'static>, String)> {
        let mut memory = Memory::of(self.length);
        let (_, sha256) = self.copy(&mut Budget::new(&mut memory, Some(LONGEST), true), &mut |_| ())?;
        Ok((Store::Memory(memory.0), sha256))
    }

    /// Leaves a file where it is, and hashes it unless that is left for later; reads a stream into memory. For the verbs that look.
    ///
    /// # Errors
    /// As [`Source::copy`].
    pub fn in_place(self) -> Result<(Store<'static>, String)> {
        let file = match &self.reader {
            Reader::File(file, about) if about.is_file() => file.try_clone().map_err(Failure::system)?,
            _ => return self.into_memory(),
        };
        if let (None, Some(length @ 1..)) = (&self.hash, self.length) {
            return Ok((Store::File(file, length), String::new()));
        }
        let (length, sha256) = self.copy(&mut io::sink(), &mut |_| ())?;
        Ok((Store::File(file, length), sha256))
    }

    /// Leaves a file where it is to be written from there, and keeps digests of it. `progress` is told the bytes so far.
    ///
    /// # Errors
    /// As [`Source::copy`].
    pub fn on_disk(self, progress: &mut dyn FnMut(u64)) -> Result<(Store<'static>, String)> {
        let Reader::File(file, _) = &self.reader else {
            return self.into_memory();
        };
        let file = file.try_clone().map_err(Failure::system)?;
        let mut pieces = Pieces::default();
        let (_, sha256) = self.copy(&mut pieces, progress)?;
        Ok((Store::Disk(pieces.of(file)), sha256))
    }
}

fn open_url(url: &str, access: &Access) -> Result<Source> {
    let request = Request {
        url,
        access,
        sent: None,
    };
    let (body, length) = url::ask(&request).map_err(|what| {
        Failure::new(
            Exit::ImageUnreadable,
            Code::ImageUnreadable,
            format_args!("image {url}: {what}"),
        )
        .hint(format!("wget -O - {} | flasher inspect -", shell::typed(url)))
    })?;
    let stream: Box<dyn Pull> = match access.until {
        Some(until) => Box::new(Hurried(body, until)),
        None => body,
    };
    Source::new(url, Reader::Stream(stream), length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn stream(bytes: &'static [u8], length: Option<u64>) -> Source {
        Source::new("test", Reader::Stream(Box::new(bytes)), length).unwrap()
    }

    #[test]
    fn a_stream_with_another_checksum_is_refused() {
        let sum = |bytes: &[u8]| hex(&Sha256::digest(bytes));
        let sent = |sha256| {
            Source::sent("test", Box::new(&b"abcd"[..]), 4, sha256)
                .unwrap()
                .unhashed()
        };
        assert_eq!(sent(sum(b"abce")).into_memory().err().unwrap().code, Code::ImageChanged);
        let (_, sha256) = sent(sum(b"abcd")).into_memory().unwrap();
        assert_eq!(sha256, sum(b"abcd"));
    }

    #[test]
    fn an_empty_or_short_stream_is_refused() {
        let error = |source: Source| source.into_memory().err().unwrap().exit;
        assert_eq!(error(stream(b"", None)), Exit::ImageBad);
        assert_eq!(error(stream(b"abc", Some(4))), Exit::ImageUnreadable);
        assert!(stream(b"abcd", Some(4)).into_memory().is_ok());
    }

    /// On these processors it would be counted as 0 bytes.
    #[test]
    fn four_gibibytes_are_refused() {
        let sent = |length| Source::sent("test", Box::new(io::empty()), length, String::new());
        assert!(sent(u64::from(u32::MAX)).is_ok());
        assert!(sent(1 << 32).is_err());
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused() {
        struct Growing<'a>(&'a std::path::Path);
        impl Write for Growing<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let mut file = File::options().append(true).open(self.0)?;
                // Once only, or reading would never end.
                if file.metadata()?.len() < 8 {
                    file.write_all(b"more!")?;
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, "four").unwrap();
        let source = Source::open(path.to_str().unwrap()).unwrap();
        let failure = source.copy(&mut Growing(&path), &mut |_| ()).unwrap_err();
        assert_eq!(failure.code, Code::ImageChanged);
    }
}
