//! Numbers that consist of digits: what std reads may have a sign in front of them.
#![forbid(unsafe_code)]

use std::str::FromStr;

/// A number of decimal digits alone; `None` also where it is too large.
pub fn decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
