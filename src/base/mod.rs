//! What everything else stands on: errors, units, quoting, checksums, and the words that the code compares.

#![forbid(unsafe_code)]

pub mod bad_data;
pub mod checksum;
pub mod clock;
pub mod error;
pub mod json;
pub mod mac;
pub mod machine;
pub mod outcome;
pub mod quoted;
pub mod units;
