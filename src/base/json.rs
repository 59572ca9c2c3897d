//! The one way to read and to write JSON: every further kind of reader or writer is a copy of all the code that serde
//! derives.

#![forbid(unsafe_code)]

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a value from the whole of `text`.
///
/// # Errors
/// What is wrong with the text, and where.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    stages::json::parse(text).map_err(|error| error.to_string())
}

/// Writes a value in one line, without its end.
///
/// # Errors
/// As [`stages::json::write`].
pub fn write(value: &impl Serialize) -> Result<String, String> {
    stages::json::write(value).map_err(|error| error.to_string())
}
