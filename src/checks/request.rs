//! What the user asked for, as far as the plan depends on it.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::files;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::bytes::access::Access;
use nix::unistd::geteuid;
use std::path::{Path, PathBuf};

/// What must be true of the image besides being whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The public key whose signature the image must carry.
    pub key: Option<PathBuf>,
    /// The SHA-256 the image must have.
    pub sha256: Option<Checksum>,
    /// The length that it must have, in bytes.
    pub size: Option<u64>,
    /// How it is reached where it is a URL.
    pub access: Access,
    /// A key has to be there whose signature it must carry: nobody else says what it is.
    pub signed: bool,
}

/// A SHA-256, or where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// 64 lower-case hexadecimal digits.
    Hex(String),
    /// A file as `sha256sum` writes it.
    Listed(PathBuf),
}

impl Checksum {
    /// The value of `--sha256`; `None` for a checksum that is none. A file that is named like one is written with `./` in
    /// front.
    pub fn of(text: String) -> Option<Checksum> {
        match is_sha256(&text) {
            true => Some(Checksum::Hex(text.to_ascii_lowercase())),
            false if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
            false => Some(Checksum::Listed(lossless::path(&text))),
        }
    }

    /// The SHA-256 for this file. In a list of several it is found by its name; the only one of a list counts for a file of
    /// whatever name, which it then has to be of.
    ///
    /// # Errors
    /// A list that cannot be read, or does not say it.
    pub fn wanted(&self, image: &str) -> Result<String> {
        let path = match self {
            Checksum::Hex(sum) => return Ok(sum.clone()),
            Checksum::Listed(path) => path,
        };
        let bad = |what: &dyn std::fmt::Display| {
            Failure::usage(format_args!("--sha256 {}: {what}", path.display())).hint(
                "--sha256 takes 64 hexadecimal digits, or a file as sha256sum writes it; that of root is root's alone",
            )
        };
        // Who is not root believes his own files, whoever else is in his group.
        let read = match geteuid().is_root() {
            true => files::read,
            false => files::read_plain,
        };
        let text = read(path, files::TEXT).map_err(|error| bad(&error))?;
        let text = lossless::text(&text);
        let lines: Vec<_> = text.lines().filter_map(line).collect();
        let name = Path::new(image)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(image);
        let same = |listed: &str| Path::new(listed).file_name().is_some_and(|listed| listed == name);
        let mut sums: Vec<_> = match lines.as_slice() {
            [] => return Err(bad(&"there is no SHA-256 in it")),
            [(sum, _)] => vec![sum.clone()],
            several => several
                .iter()
                .filter(|(_, listed)| same(listed))
                .map(|(sum, _)| sum.clone())
                .collect(),
        };
        sums.dedup();
        match (sums.pop(), sums.is_empty()) {
            (Some(sum), true) => Ok(sum),
            (None, _) => Err(bad(&format_args!("{} is not listed in it", Quoted(name)))),
            (Some(_), false) => Err(bad(&format_args!("{} is listed in it more than once", Quoted(name)))),
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A line of `sha256sum`, with `--tag` or as `openssl dgst` writes it: checksum and name.
fn line(line: &str) -> Option<(String, &str)> {
    let line = line.trim_start_matches('\u{feff}');
    let tagged = ["SHA256", "SHA2-256"].iter().find_map(|tag| line.strip_prefix(tag));
    let (sum, name) = match tagged.and_then(|rest| rest.trim_start().strip_prefix('(')) {
        Some(rest) => rest
            .rsplit_once(')')
            .map(|(name, sum)| (sum.trim_start_matches([' ', '=']), name))?,
        None => {
            // A backslash says that the name has escapes in it.
            let line = line.strip_prefix('\\').unwrap_or(line);
            let (sum, name) = line.split_once(' ').unwrap_or((line, ""));
            (sum, name.strip_prefix(['*', ' ']).unwrap_or(name))
        }
    };
    let sum = sum.trim();
    is_sha256(sum).then(|| (sum.to_ascii_lowercase(), name.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_list_of_sha256sum_says_the_checksum_of_each_file() {
        let (one, two) = ("1".repeat(64), "A".repeat(64));
        let file = tempfile::NamedTempFile::new().unwrap();
        let list = |text: String| {
            std::fs::write(file.path(), text).unwrap();
            Checksum::of(file.path().display().to_string()).unwrap()
        };
        let both = list(format!("{one}  out/kernel.bin\n{two} *rootfs.bin\n"));
        assert_eq!(both.wanted("/tmp/kernel.bin").unwrap(), one);
        assert_eq!(both.wanted("rootfs.bin").unwrap(), two.to_ascii_lowercase());
        assert!(both.wanted("other.bin").unwrap_err().to_string().contains("not listed"));
        let openssl = list(format!("\u{feff}SHA2-256(a.bin)= {one}\r\nSHA256(b.bin)= {two}\r\n"));
        assert_eq!(openssl.wanted("a.bin").unwrap(), one);
        let tagged = list(format!("SHA256 (a.bin) = {one}\nSHA256 (b.bin) = {two}\n"));
        assert_eq!(tagged.wanted("a.bin").unwrap(), one);
        // The only one, under whatever name; a bare checksum too.
        assert_eq!(list(format!("{one}  firmware.bin\n")).wanted("-").unwrap(), one);
        assert_eq!(list(format!("{two}\n")).wanted("x").unwrap(), two.to_ascii_lowercase());
        let twice = list(format!("{one}  x\n{two}  x\n"));
        assert!(twice.wanted("x").unwrap_err().to_string().contains("more than once"));
        assert!(list("hello\n".to_owned()).wanted("x").is_err());
        assert_eq!(
            Checksum::of(two.clone()).unwrap().wanted("x").unwrap(),
            two.to_ascii_lowercase()
        );
        assert!(Checksum::of("/nowhere".to_owned()).unwrap().wanted("x").is_err());
        assert_eq!(Checksum::of("12".to_owned()), None);
    }
}
