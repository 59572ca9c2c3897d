//! Numbers that consist of digits: what std reads may have a sign in front of them.
#![forbid(unsafe_code)]

use std::str::FromStr;

/// A number of decimal digits alone; `None` also where it is too large.
pub(crate) fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.parse()
        .ok()
        .filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
}
