//! Names that need not be UTF-8, as texts that do not lose a byte.
//!
//! A file's name is bytes. Most of what is done with one is done with texts, so each byte that is none of UTF-8's becomes one
//! character of Unicode's last private block (U+10FF80 to U+10FFFF), and becomes that byte again where it meets the file system
//! or an archive. A name that has such a character itself keeps it byte by byte.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Stands before the value of a byte.
const BASE: u32 = 0x10_ff00;

/// The byte that this character stands for.
pub fn byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(BASE)?)
        .ok()
        .filter(|byte| *byte >= 0x80)
}

/// The text of a name.
pub fn text(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    let stand_in = |byte: &u8| char::from_u32(BASE + u32::from(*byte));
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            match byte(c) {
                Some(_) => text.extend(bytes.iter().filter_map(stand_in)),
                None => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().filter_map(stand_in));
    }
    text
}

/// The text of a path.
pub fn of(path: &Path) -> String {
    text(path.as_os_str().as_bytes())
}

/// The name of a text.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(byte) => name.push(byte),
            None => name.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    name
}

/// The path of a text.
pub fn path(text: &str) -> PathBuf {
    OsString::from_vec(bytes(text)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_lost() {
        for name in [
            &b"plain"[..],
            "Größe".as_bytes(),
            b"M\xfcller/\x80\xff",
            "\u{10ff80}x\u{10ffff}\u{10ff7f}".as_bytes(),
            b"\xf4\x8f\xbe",
            b"",
        ] {
            let text = text(name);
            assert_eq!(bytes(&text), name, "{text:?}");
            assert!(path(&text).as_os_str().as_encoded_bytes() == name);
        }
        assert_eq!(text(b"Gr\xc3\xb6\xc3\x9fe"), "Größe");
    }
}
