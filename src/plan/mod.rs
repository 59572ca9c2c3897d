//! What would be written, as plain data. Nothing here touches the box.
//!
//! [`layout`] says which bytes go where, [`judge`] whether that is right; together they make a [`Plan`],
//! which `--dry-run` prints, the hand-off carries and `flash` executes. There is no second way to decide
//! what is written.

#![forbid(unsafe_code)]

mod judge;
mod layout;
mod metadata;

use mtd_rs::Geometry;
use serde::{Deserialize, Serialize};
use std::ops::Range;

pub use judge::judge;
pub use layout::layout;
pub use metadata::metadata;

/// How the flash will be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Nothing uses the partitions: they are written while the system runs.
    InPlace,
    /// The box is taken over first.
    Staged,
}

impl Route {
    /// The word of `plan` and `devices`.
    pub fn as_str(self) -> &'static str {
        match self {
            Route::InPlace => "in-place",
            Route::Staged => "staged",
        }
    }
}

/// What the user asked for, as far as the plan depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `--part`.
    pub parts: Vec<String>,
    /// `--force`.
    pub force: Vec<String>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Worth knowing, or a failure that was forced.
    Warn,
    /// A reason not to start.
    Fail,
}

/// A check of preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, also for `--force`.
    pub name: String,
    /// What it found.
    pub status: Status,
    /// Whether `--force=NAME` overrides it.
    pub forceable: bool,
    /// What it found, in words.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
    /// The exit code if this is what stops us.
    #[serde(skip)]
    pub exit: Option<crate::error::Exit>,
}

impl Check {
    /// A check that passed.
    pub fn pass(name: &str, text: impl Into<String>) -> Check {
        Check {
            name: name.to_owned(),
            status: Status::Pass,
            forceable: false,
            text: text.into(),
            remedy: None,
            exit: None,
        }
    }

    /// Something worth knowing.
    pub fn warn(name: &str, text: impl Into<String>) -> Check {
        Check {
            status: Status::Warn,
            ..Check::pass(name, text)
        }
    }

    /// A reason not to start, with what to do about it.
    pub fn fail(name: &str, text: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check {
            status: Status::Fail,
            remedy: Some(remedy.into()),
            ..Check::pass(name, text)
        }
    }

    /// `--force=NAME` overrides it.
    pub fn forceable(mut self) -> Check {
        self.forceable = true;
        self
    }

    /// The exit code if this is what stops us, other than 78.
    pub fn exit(mut self, exit: crate::error::Exit) -> Check {
        self.exit = Some(exit);
        self
    }
}

/// A run of the image that goes into one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The partition's name.
    pub partition: String,
    /// Its number.
    pub mtd: u32,
    /// Where in the partition it begins, in bytes.
    pub offset: u64,
    /// Bytes of the image.
    pub length: u64,
    /// Erase blocks that hold them.
    pub erase_blocks: u64,
    /// How many of those are right already; unknown before the flash was read.
    pub unchanged: Option<u64>,
    /// Where in the image its bytes begin.
    pub source: u64,
    /// The first erase block makes the box bootable: invalidated first, made valid last (law 9).
    pub boot: bool,
    /// Offsets of bad blocks in the partition, which are passed over.
    pub bad: Vec<u64>,
    /// Size of the partition in bytes, to be found again before writing.
    pub size: u64,
    /// Its largest erase block in bytes, likewise.
    pub erase_size: u32,
}

/// One erase block of a [`Write`] and the bytes of the image it is to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStep {
    /// The erase block in the partition.
    pub block: Range<u64>,
    /// The bytes of the image; shorter than the block at the end, where the rest keeps its content.
    pub image: Range<u64>,
}

impl Write {
    /// The blocks in ascending order. A pure function of plan and geometry.
    pub fn blocks<'a>(&'a self, geometry: &'a Geometry) -> impl Iterator<Item = BlockStep> + 'a {
        let end = self.source + self.length;
        let mut at = self.source;
        geometry
            .blocks()
            .filter(|block| !self.bad.contains(&block.start))
            .map_while(move |block| {
                let take = (block.end - block.start).min(end - at);
                let image = at..at + take;
                at += take;
                (take > 0).then_some(BlockStep { block, image })
            })
    }
}

/// What RAM the update needs and what there is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ram {
    /// The image as it was delivered and what the update needs beside it.
    pub needed: u64,
    /// What can be had without stopping anything.
    pub available: u64,
}

/// What the image is, in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// The word of `inspect`.
    pub format: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
}

/// The whole plan with the verdict of its checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Whether it may be executed.
    pub valid: bool,
    /// How the flash is reached.
    pub route: Route,
    /// The board's id.
    pub board: String,
    /// The image.
    pub image: ImageSummary,
    /// Every check.
    pub checks: Vec<Check>,
    /// Every write, in the order of writing.
    pub writes: Vec<Write>,
    /// Memory.
    pub ram: Ram,
    /// The user's files that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<crate::keep::Keeping>,
}

impl Plan {
    /// Erase blocks of all writes.
    pub fn erase_blocks(&self) -> u64 {
        self.writes.iter().map(|write| write.erase_blocks).sum()
    }

    /// Whether the flash is known to be as the image wants it.
    pub fn nothing_to_do(&self) -> bool {
        self.writes
            .iter()
            .all(|write| write.unchanged == Some(write.erase_blocks))
    }
}
