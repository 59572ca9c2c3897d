//! Words for a shell.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A word or a path as somebody would type it: in quotes where it needs them.
pub fn typed(word: impl AsRef<OsStr>) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(byte);
    let word = word.as_ref();
    match !word.is_empty() && word.as_bytes().iter().all(plain) {
        true => word.to_string_lossy().into_owned(),
        false => quoted(word).to_string_lossy().into_owned(),
    }
}

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
