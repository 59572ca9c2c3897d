//! What an image is, found by its content and never by its name.
//!
//! [`inspect`] looks at the bytes and says what they are; which of them go where is for `plan` to decide.

#![forbid(unsafe_code)]

pub mod backup;
pub mod content;
mod cramfs;
mod jffs2;
pub mod known;
pub mod pat;
pub mod pieces;
pub mod posix_cksum;
mod qnap_recovery;
#[cfg(feature = "host")]
pub mod qpkg_archives;
pub mod signature;
pub mod source;
mod squashfs;
pub mod store;
pub mod tar;
pub mod uimage;
#[cfg(feature = "host")]
pub mod unpack;
pub mod unpacked_pat;

use content::Content;
use serde::Serialize;
use std::io;
use std::ops::Range;
use store::Store;

/// An image that is at hand, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The word for its kind: `uimage`, `squashfs`, `qnap-recovery`, …, `raw` when it is none of them.
    pub format: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal SHA-256 of all of it.
    pub sha256: String,
    /// Its parts in the order of their bytes; a single one unless the format has several.
    pub parts: Vec<Part>,
}

/// A piece of an image that belongs into one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The partition it is meant for where the format says so, else what it is.
    pub name: String,
    /// Where it begins, in bytes of the image.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
    /// What its first bytes say it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

impl Part {
    /// Its bytes in the image.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size
    }

    /// Whether nothing that can be checked is wrong with it.
    pub fn ok(&self) -> bool {
        self.content.as_ref().is_none_or(|content| content.problem.is_none())
    }
}

/// A format with several parts that is recognised as a whole.
struct Layout {
    format: &'static str,
    parts: Vec<(&'static str, Range<u64>)>,
}

/// Says what the bytes are.
///
/// # Errors
/// Those of reading the store.
pub fn inspect(store: &Store, sha256: String) -> io::Result<Image> {
    let size = store.len();
    let layout = qnap_recovery::recognise(store)?;
    let (format, ranges) = match layout {
        Some(layout) => (Some(layout.format), layout.parts),
        None => (None, vec![("", 0..size)]),
    };
    let mut parts = Vec::new();
    for (name, range) in ranges {
        let content = content::look(store, range.clone())?;
        let name = match (name, &content) {
            ("", Some(content)) => content.role.as_str(),
            ("", None) => "raw",
            (name, _) => name,
        };
        parts.push(Part {
            name: name.to_owned(),
            offset: range.start,
            size: range.end - range.start,
            content,
        });
    }
    let format = format.unwrap_or_else(|| match parts.first().and_then(|part| part.content.as_ref()) {
        Some(content) => content.format.as_str(),
        None => "raw",
    });
    Ok(Image {
        format: format.to_owned(),
        size,
        sha256,
        parts,
    })
}
