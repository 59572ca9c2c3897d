//! What would be written, as plain data. Nothing here touches the box.
//!
//! [`layout`] says which bytes go where, [`judge`] whether that is right; together they make a [`Plan`],
//! which `--dry-run` prints, the hand-off carries and `flash` executes. There is no second way to decide
//! what is written.

#![forbid(unsafe_code)]

mod time;

use crate::board::Partition;
use crate::image::ubi;
use crate::slots::Switch;
use mtd_rs::Geometry;
use serde::{Deserialize, Serialize};
use std::ops::Range;

pub use time::{Pace, seconds};

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
    /// The slot of the profile that images without `--part` go to.
    pub slot: Option<usize>,
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
    pub exit: Option<crate::base::error::Exit>,
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
    pub fn exit(mut self, exit: crate::base::error::Exit) -> Check {
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
    /// Where in the partition it begins, in bytes: the start of an erase block.
    pub offset: u64,
    /// Bytes of the image.
    pub length: u64,
    /// Erase blocks that hold them.
    pub erase_blocks: u64,
    /// How many of those are right already; unknown before the flash was read.
    pub unchanged: Option<u64>,
    /// Where these begin, ascending. Known only to the process that has compared, and believed when it writes while it still
    /// holds the lock; whoever is handed the plan compares for himself.
    #[serde(skip)]
    pub right: Vec<u64>,
    /// Where in the image its bytes begin.
    pub source: u64,
    /// The first erase block makes the box bootable: invalidated first, made valid last.
    pub boot: bool,
    /// Offsets of bad blocks in the partition, which are passed over.
    pub bad: Vec<u64>,
    /// Size of the partition in bytes, to be found again before writing.
    pub size: u64,
    /// Its largest erase block in bytes, likewise.
    pub erase_size: u32,
    /// Present where the image is an UBI: then the whole partition is written, each erase block keeps its own erase
    /// counter, and those behind the image's end hold nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ubi: Option<ubi::Layout>,
    /// Whether blank pages at the end of an erase block are left as the erase leaves them: JFFS2 and UBI program them
    /// later, and on NAND no page takes a second program.
    #[serde(default)]
    pub leave_blank: bool,
    /// Whether everything behind the image's end is made blank: JFFS2 and UBIFS take what they find there for a part of
    /// themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blank_rest: bool,
    /// Whether it is emptied and filled anew from its beginning: a volume that UBI replaces only as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// It is the way back when everything else fails, so it is written when all else is verified.
    #[serde(default)]
    pub recovery: bool,
    /// Good erase blocks of NAND beyond those that are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<u64>,
    /// Reads that ECC could not correct while it was compared.
    #[serde(default)]
    pub uncorrectable: u32,
}

/// One erase block of a [`Write`] and the bytes of the image it is to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockStep {
    /// The erase block in the partition.
    pub block: Range<u64>,
    /// The bytes of the image; shorter than the block at the end, where the rest keeps its content, or is blank.
    pub image: Range<u64>,
    /// As [`Write::ubi`].
    pub ubi: Option<ubi::Layout>,
    /// As [`Write::leave_blank`].
    pub leave_blank: bool,
    /// As [`Write::blank_rest`].
    pub blank_rest: bool,
}

impl BlockStep {
    /// Bytes of the block that the plan decides on.
    pub fn bytes(&self) -> u64 {
        match self.ubi.is_some() || self.blank_rest {
            true => self.block.end - self.block.start,
            false => self.image.end - self.image.start,
        }
    }
}

impl Write {
    /// Bytes of an image, bound for the partition from `offset` on, with nothing yet known of what they are.
    pub fn new(partition: &Partition, offset: u64, image: Range<u64>) -> Write {
        let mut write = Write {
            partition: partition.name.clone(),
            mtd: partition.mtd,
            offset,
            length: image.end - image.start,
            erase_blocks: 0,
            unchanged: None,
            right: Vec::new(),
            source: image.start,
            boot: false,
            bad: partition.bad.clone(),
            size: partition.geometry.size,
            erase_size: partition.geometry.erase_size,
            ubi: None,
            leave_blank: false,
            blank_rest: false,
            whole: partition
                .volume
                .as_ref()
                .is_some_and(|volume| volume.info.only_as_a_whole()),
            recovery: false,
            spare: None,
            uncorrectable: 0,
        };
        write.erase_blocks = write.blocks(&partition.geometry).count() as u64;
        write
    }

    /// Bytes of the partition that the plan decides on.
    pub fn bytes(&self) -> u64 {
        match self.fills() {
            true => self.erase_blocks * u64::from(self.erase_size),
            false => self.length,
        }
    }

    /// Whether the plan decides on all of the partition, the image's end or not.
    pub fn fills(&self) -> bool {
        self.ubi.is_some() || self.blank_rest
    }

    /// The blocks in ascending order. A pure function of plan and geometry.
    pub fn blocks<'a>(&'a self, geometry: &'a Geometry) -> impl Iterator<Item = BlockStep> + 'a {
        let end = self.source + self.length;
        let mut at = self.source;
        geometry
            .blocks()
            .filter(|block| block.start >= self.offset && !self.bad.contains(&block.start))
            .map_while(move |block| {
                let take = (block.end - block.start).min(end - at);
                let image = at..at + take;
                at += take;
                (take > 0 || self.fills()).then_some(BlockStep {
                    block,
                    image,
                    ubi: self.ubi,
                    leave_blank: self.leave_blank,
                    blank_rest: self.blank_rest,
                })
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
    /// What is taken beside that for the old content, to put it back if the new one cannot be written. Optional: it is
    /// all of it, or none where that is too much.
    pub rollback: u64,
}

/// What the image is, in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// The word of `inspect`.
    pub format: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal SHA-256; empty as long as nothing asks for it.
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
    /// About how long it takes, in seconds.
    pub seconds: u64,
    /// What happens to the slots, on a box that has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Switch>,
}

impl Plan {
    /// Erase blocks of all writes.
    pub fn erase_blocks(&self) -> u64 {
        self.writes.iter().map(|write| write.erase_blocks).sum()
    }

    /// Bytes of the erase blocks that will change, as far as is known.
    pub fn changing(writes: &[Write]) -> u64 {
        let blocks = |write: &Write| write.erase_blocks - write.unchanged.unwrap_or_default();
        writes
            .iter()
            .map(|write| blocks(write) * u64::from(write.erase_size))
            .sum()
    }

    /// Whether the flash is known to be as the image wants it.
    pub fn nothing_to_do(&self) -> bool {
        self.slot.is_none()
            && self
                .writes
                .iter()
                .all(|write| write.unchanged == Some(write.erase_blocks))
    }

    /// Every write, those of the environment among them.
    pub fn touched(&self) -> Vec<Write> {
        touched(&self.writes, self.slot.as_ref())
    }
}

/// The writes, and those of the environment behind them.
pub fn touched(writes: &[Write], slot: Option<&Switch>) -> Vec<Write> {
    let environment = slot.into_iter().flat_map(|slot| &slot.environment.writes);
    writes.iter().chain(environment).cloned().collect()
}
