//! What everything else stands on: errors, units, quoting, checksums, and the words that the code compares.

#![forbid(unsafe_code)]

pub(crate) mod bad_data;
pub(crate) mod boot;
pub mod check_id;
pub mod checksum;
pub(crate) mod clock;
pub mod code;
pub(crate) mod elf;
pub mod error;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod glob;
pub mod heap;
pub(crate) mod json;
pub(crate) mod label;
pub(crate) mod lossless;
#[cfg(feature = "host")]
pub(crate) mod mac;
pub(crate) mod machine;
pub mod outcome;
pub(crate) mod quoted;
pub(crate) mod shell;
pub(crate) mod sizes;
pub(crate) mod suggest;
pub mod units;
pub(crate) mod words;
