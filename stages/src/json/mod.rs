//! Reads JSON into what serde derives, and writes it. `serde_json` does this too; but it copies its reading of numbers, lists
//! and objects into the code of every type, and takes each struct also as a list of its fields. This one has them once:
//! 4 % of a device binary less. Tests hold the two against each other.
//!
//! Structs of std, such as `Range` and `Duration`, cannot be read: serde's own code for them knows their fields by their names only,
//! and here names are looked up once for all types.
//!
//! Numbers are integers of 64 bits. One with a fraction or an exponent is passed over where nobody asks for it, and is else
//! an error.

#![forbid(unsafe_code)]

mod de;
mod error;
mod ser;
mod text;

pub use error::Error;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a value from the whole of `text`.
///
/// # Errors
/// What is wrong with the text, and at which line and column.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let mut reader = text::Reader::new(text);
    let value = T::deserialize(&mut reader);
    let value = value.and_then(|value| reader.finish().map(|()| value));
    value.map_err(|error| reader.place(error))
}

/// Writes a value in one line, without its end.
///
/// # Errors
/// A number with a fraction, and what has names that are not text.
pub fn write(value: &impl Serialize) -> Result<String, Error> {
    let mut writer = ser::Writer::default();
    value.serialize(&mut writer)?;
    Ok(writer.text)
}

#[cfg(test)]
mod tests;
