//! The files that are pushed: read once, so that what was hashed here is what is sent, and named as they will be on the box.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::lossless;
use crate::base::units::Grouped;
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::cli::Apply;
use crate::image::signature::SUFFIXES;
use std::io::ErrorKind;
use std::path::Path;

/// What else goes there.
const OURS: [&str; 4] = ["flasher", "key.pub", "board.json", "SHA256SUMS"];
/// Bytes of the longest file that goes beside an image.
const LONGEST: u64 = 64 << 10;

/// A file.
pub struct Image {
    /// Its partition, where that was named.
    pub partition: Option<String>,
    /// Its name in the directory on the box.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// A small file that goes into the directory on the box.
#[derive(Debug, PartialEq, Eq)]
pub struct Beside {
    /// Its name there.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Everything that is sent.
pub struct Images {
    /// In the order in which the box wants them.
    pub images: Vec<Image>,
    /// Signatures, a key, checksums, a profile.
    pub beside: Vec<Beside>,
}

impl Images {
    /// Reads them, and holds them against `--size` and `--sha256` here already.
    ///
    /// # Errors
    /// A file that cannot be read, or is not the one that was asked for.
    pub fn read(options: &Apply) -> Result<Images> {
        let alone = [(None, options.image.as_str())];
        let several = options
            .files
            .iter()
            .map(|file| (Some(file.partition.clone()), file.image.as_str()));
        let operands: Vec<_> = match options.files.is_empty() {
            true => alone.into_iter().collect(),
            false => several.collect(),
        };
        let mut all = Images {
            images: Vec::new(),
            beside: Vec::new(),
        };
        for (partition, path) in operands {
            all.one(partition, path, options)?;
        }
        if options.trust.sha256.is_some() {
            let line = |image: &Image| format!("{}  {}\n", image.sha256, image.name);
            all.add(
                "SHA256SUMS",
                all.images.iter().map(line).collect::<String>().into_bytes(),
            );
        }
        if let Some(key) = &options.trust.key {
            let bytes = read(key)?.ok_or_else(|| {
                Failure::usage(format_args!("--key {}: no such file", key.display())).hint("check the path")
            })?;
            all.add("key.pub", bytes);
        }
        // As where it is read, anything else is the id of a board.
        if let Some(board) = options.at.board.as_ref().filter(|board| board.contains(['/', '.'])) {
            let bytes = read(&lossless::path(board))?
                .ok_or_else(|| Failure::usage(format_args!("--board {board}: no such file")).hint("check the path"))?;
            all.add("board.json", bytes);
        }
        Ok(all)
    }

    /// Bytes of all of them.
    pub fn size(&self) -> u64 {
        self.images.iter().map(|image| image.bytes.len() as u64).sum()
    }

    /// What `--board` says on the box, whose directory is this: the file that goes there, or an id.
    pub fn board(&self, options: &Apply, directory: &str) -> Option<String> {
        match self.has("board.json") {
            true => Some(format!("{directory}/board.json")),
            false => options.at.board.clone(),
        }
    }

    /// Whether this file goes beside the images.
    pub fn has(&self, name: &str) -> bool {
        self.beside.iter().any(|file| file.name == name)
    }

    fn one(&mut self, partition: Option<String>, path: &str, options: &Apply) -> Result<()> {
        let mut source = Source::fetch(path, &options.trust.access)?;
        if let Some(size) = options.trust.size.filter(|_| options.files.is_empty()) {
            source = source.of_size(size)?;
        }
        let wanted = match &options.trust.sha256 {
            Some(sum) => Some(sum.wanted(path)?),
            None => None,
        };
        let (store, sha256) = source.into_memory()?;
        let Store::Memory(bytes) = store else {
            return Err(Failure::new(Exit::Bug, Code::Bug, "an image that is not in memory"));
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != sha256) {
            return Err(Failure::new(
                Exit::ImageBad,
                Code::Sha256,
                format_args!(
                    "image {path} ({} bytes) has the SHA-256 {sha256}, and --sha256 says {wanted}",
                    Grouped(bytes.len() as u64)
                ),
            )
            .hint("get the image again"));
        }
        let name = self.name(path);
        for suffix in SUFFIXES {
            if !path.contains("://")
                && let Some(bytes) = read(&lossless::path(&format!("{path}{suffix}")))?
            {
                self.add(&format!("{name}{suffix}"), bytes);
            }
        }
        self.images.push(Image {
            partition,
            name,
            bytes,
            sha256,
        });
        Ok(())
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.beside.push(Beside {
            name: name.to_owned(),
            bytes,
        });
    }

    /// The last part of a path, or what can stand for it in a message and a list of checksums, and nobody else's: neither that of
    /// another file, nor that of its signature.
    fn name(&self, path: &str) -> String {
        let last = path.rsplit('/').next().unwrap_or_default();
        let plain = |c: char| match c.is_ascii_alphanumeric() || "._+-".contains(c) {
            true => c,
            false => '_',
        };
        let last: String = last.chars().take(64).map(plain).collect();
        let name = match last.starts_with(['.', '-']) || last.is_empty() {
            true => format!("image{last}"),
            false => last,
        };
        let signs = |one: &str, other: &str| SUFFIXES.iter().any(|suffix| one.strip_suffix(suffix) == Some(other));
        let images = self.images.iter().map(|image| &*image.name);
        let beside = self.beside.iter().map(|file| &*file.name);
        let known: Vec<&str> = OURS.into_iter().chain(images).chain(beside).collect();
        let is_free = |name: &String| {
            let clashes = |other: &str| other == name || signs(other, name) || signs(name, other);
            !known.iter().any(|other| clashes(other))
        };
        let numbered = (self.images.len()..).map(|number| format!("{number}-{name}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(is_free).unwrap_or(name)
    }
}

/// A small file, or `None` where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match files::read_plain(path, LONGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format_args!("{}: {error}", path.display())).hint("check the path")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::checks::request::Checksum;
    use crate::cli::File;

    fn of(paths: &[&str]) -> Apply {
        Apply {
            files: paths
                .iter()
                .map(|path| File {
                    partition: "p".to_owned(),
                    image: (*path).to_owned(),
                })
                .collect(),
            ..Apply::default()
        }
    }

    #[test]
    fn names_are_plain_and_each_is_there_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let paths = ["a/x.bin", "b/x.bin", "it's", ".hidden", "-n", "flasher", "key.pub"].map(file);
        std::fs::write(format!("{}.minisig", paths[1]), "signed").unwrap();
        let images = Images::read(&of(&paths.each_ref().map(String::as_str))).unwrap();
        let names: Vec<_> = images.images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "x.bin",
                "1-x.bin",
                "it_s",
                "image.hidden",
                "image-n",
                "5-flasher",
                "6-key.pub"
            ]
        );
        assert!(images.has("1-x.bin.minisig") && images.beside.len() == 1);
        // A name that was made is nobody's either, and what signs one image is no other.
        for (paths, expected) in [
            (["c/2-y.bin", "a/y.bin", "b/y.bin"], ["2-y.bin", "y.bin", "3-y.bin"]),
            (["a/z.sig", "b/z", "c/z.sig"], ["z.sig", "1-z", "2-z.sig"]),
        ] {
            let images = Images::read(&of(&paths.map(file).each_ref().map(String::as_str))).unwrap();
            let names: Vec<_> = images.images.iter().map(|image| image.name.as_str()).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn what_is_asked_of_the_image_is_asked_here() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "image").unwrap();
        let mut options = Apply {
            image: file.path().to_str().unwrap().to_owned(),
            ..Apply::default()
        };
        options.trust.sha256 = Checksum::of("0".repeat(64));
        assert_eq!(Images::read(&options).err().unwrap().code, Code::Sha256);
        let sum = Images::read(&Apply::default()).err().map(|failure| failure.exit);
        assert_eq!(sum, Some(Exit::ImageUnreadable));
        options.trust = crate::checks::request::Trust {
            size: Some(4),
            ..Default::default()
        };
        assert_eq!(Images::read(&options).err().unwrap().code, Code::Size);
        options.trust.size = Some(5);
        assert_eq!(Images::read(&options).unwrap().size(), 5);
    }
}
