//! A range in JSON, `{"start": 0, "end": 1}`, for fields `#[serde(with = "range")]`: serde's own code for it knows the fields by their
//! names only, and [`stages::json`] gives it none.

#![forbid(unsafe_code)]

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Range;

#[derive(Serialize, Deserialize)]
struct Ends {
    start: u64,
    end: u64,
}

pub fn serialize<S: Serializer>(range: &Range<u64>, to: S) -> Result<S::Ok, S::Error> {
    let Range { start, end } = *range;
    Ends { start, end }.serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Range<u64>, D::Error> {
    Ends::deserialize(from).map(|Ends { start, end }| start..end)
}
