//! What everything else stands on: errors, units, quoting, checksums, and the words that the code compares.

#![forbid(unsafe_code)]

pub mod bad_data;
pub mod check_id;
pub mod checksum;
pub mod clock;
pub mod code;
pub mod elf;
pub mod error;
pub mod files;
pub mod format;
pub mod heap;
pub mod json;
pub mod label;
pub mod mac;
pub mod machine;
pub mod outcome;
pub mod quoted;
pub mod units;
pub mod words;
