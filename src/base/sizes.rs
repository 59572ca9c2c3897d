//! Sizes and offsets as people write them in a profile: a number of bytes, `"0x80000"`, `"128K"`, `"16M"`.

#![forbid(unsafe_code)]

use crate::base::digits;
use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};
use std::fmt;

/// The bytes that a text means; `K`, `M` and `G` are powers of 1024, with or without `iB` or `B` behind them.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits::hexadecimal(digits);
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match text[end..].trim_start().to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(unit)
}

/// The shortest of these that means so many bytes.
pub fn written(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
        _ => bytes.to_string(),
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a text like \"0x80000\" or \"128K\"")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
        parse(value).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
    }
}

/// For serde: a field of 64 bits.
pub fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Bytes)
}

/// For serde: a field of 64 bits that may be missing.
pub fn some_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

/// For serde: a field of 32 bits.
pub fn small<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = size(deserializer)?;
    u32::try_from(value).map_err(|_| D::Error::invalid_value(Unexpected::Unsigned(value), &Bytes))
}

/// For serde: a field that need not be there.
pub fn maybe<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    size(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("0x80000", Some(0x8_0000)),
            ("128K", Some(128 << 10)),
            ("128 KiB", Some(128 << 10)),
            ("16M", Some(16 << 20)),
            ("1g", Some(1 << 30)),
            ("", None),
            ("K", None),
            ("12x", None),
            ("-1", None),
            ("0x", None),
            ("0x+1", None),
            ("+1", None),
            ("99999999999999999999", None),
            ("99999999999G", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
        for bytes in [0, 1, 512, 1000, 1024, 0x2d_0000, 16 << 20, 3 << 30] {
            assert_eq!(parse(&written(bytes)), Some(bytes));
        }
    }
}
