//! What everything else stands on: errors, units, quoting, checksums, and the words that the code compares.

#![forbid(unsafe_code)]

pub(crate) mod bad_data;
pub(crate) mod boot;
pub mod check_id;
pub mod checksum;
pub(crate) mod clock;
pub mod code;
pub(crate) mod digits;
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
pub mod phase;
pub(crate) mod quoted;
pub(crate) mod random;
pub(crate) mod range;
pub(crate) mod shell;
pub(crate) mod sizes;
pub(crate) mod suggest;
pub mod units;
pub(crate) mod words;

/// Asserts that each of these words stands in a page of `docs`, as code.
#[cfg(test)]
pub(crate) fn documented(page: &str, words: impl IntoIterator<Item: std::fmt::Display>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let words = words.into_iter().map(|word| format!("`{word}`"));
    let missing: Vec<_> = words.filter(|word| !text.contains(word)).collect();
    assert!(missing.is_empty(), "{page}: {missing:?}");
}
