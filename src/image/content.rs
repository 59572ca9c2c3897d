//! What a run of bytes is: a kernel, a file system, or nothing known.
//!
//! The running kernel is never asked: a mount of the new file system by the old kernel fails for the wrong reasons,
//! such as a compression that only the new kernel has (OpenIPC/companion #191). Everything here reads the bytes only.

#![forbid(unsafe_code)]

use crate::base::format::{Format, Nature};
use crate::base::machine::Role;
use crate::base::machine::{Arch, Cpu, Order};
use crate::bytes::store::Store;
use crate::image::{cramfs, fit, foreign, jffs2, squashfs, trx, ubi, ubifs, uimage};
use serde::Serialize;
use std::io;
use std::ops::Range;

/// What was found at the head of a run of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// The format that was recognised.
    pub format: Format,
    /// What it is for.
    pub role: Role,
    /// Bytes that it says it needs, header included.
    pub length: u64,
    /// The processor it is for, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// The byte order of the processor it is for, where it depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The erase block size that it was made for, in bytes, where it depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erase_size: Option<u32>,
    /// The page size that it was made for, in bytes, where it depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
    /// What its erase blocks have in common, of UBI.
    #[serde(skip)]
    pub ubi: Option<ubi::Layout>,
    /// A name or version that it carries.
    pub title: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Content {
    /// One that says nothing but what it is.
    pub(super) fn new(format: Format, role: Role) -> Content {
        Content {
            format,
            role,
            length: 0,
            arch: None,
            order: None,
            erase_size: None,
            page_size: None,
            ubi: None,
            title: String::new(),
            problem: None,
        }
    }

    /// Why this cannot run on a box with that processor, if so.
    pub fn foreign_to(&self, cpu: Cpu) -> Option<String> {
        let arch = self.arch.filter(|arch| *arch != cpu.arch);
        let order = self.order.filter(|order| *order != cpu.order);
        let name = self.format.as_str();
        match (arch, order) {
            (Some(arch), _) => Some(format!(
                "the {name} is for {} processors, this box has {}",
                arch.as_str(),
                cpu.arch.as_str()
            )),
            (None, Some(order)) => Some(format!(
                "the {name} is for {} boxes, this one is {}",
                order.as_str(),
                cpu.order.as_str()
            )),
            (None, None) => None,
        }
    }
}

/// A recogniser: `None` when the bytes are not of its kind.
type Recognise = fn(&Store, &Range<u64>) -> io::Result<Option<Content>>;

/// In this order: what has a checksum or a structure of its own, then what only begins as something.
const FORMATS: [Recognise; 9] = [
    uimage::recognise,
    squashfs::recognise,
    cramfs::recognise,
    jffs2::recognise,
    fit::recognise,
    trx::recognise,
    ubi::recognise,
    ubifs::recognise,
    foreign::recognise,
];

/// Says what the bytes in this range of the image are, `None` for nothing known.
///
/// # Errors
/// Those of reading the store.
pub fn look(store: &Store, range: Range<u64>) -> io::Result<Option<Content>> {
    for recognise in FORMATS {
        if let Some(mut content) = recognise(store, &range)? {
            let room = range.end - range.start;
            // A footer says of the whole file that it is for a vendor's own installer.
            if content.format.nature() == Nature::Flash
                && content.length < room
                && let Some(format) = foreign::of_tail(store, &range)?
            {
                return Ok(Some(foreign::content(format)));
            }
            if content.length > room && content.problem.is_none() {
                content.problem = Some(format!(
                    "the {} says it has {} bytes, but only {room} are there",
                    content.format.as_str(),
                    content.length
                ));
            }
            return Ok(Some(content));
        }
    }
    Ok(None)
}
