//! Words for a shell.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A word that every shell takes for one, whatever is in it.
pub fn quoted(word: impl AsRef<OsStr>) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in word.as_ref().as_bytes() {
        match byte {
            b'\'' => bytes.extend(b"'\\''"),
            other => bytes.push(*other),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}
