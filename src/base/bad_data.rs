//! Data from outside that is damaged or hostile.

#![forbid(unsafe_code)]

use std::io;

/// What is wrong with outside data, as an [`io::Error`] of kind `InvalidData`.
pub fn bad(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}
