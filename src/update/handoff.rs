//! What stage one leaves for PID 1 beside the image: the plan, and how the rest is to be done.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Result};
use crate::base::json;
use crate::board::known;
use crate::board::profile::Profile;
use crate::bytes::packed::Packing;
use crate::flash::OnFault;
use crate::keep::Task;
use crate::plan::{VolumeChanges, Write};
use crate::update::members::Member;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where the image is in the RAM root; of several files the others have a number behind it.
const IMAGE: &str = "image";
/// Where the profile is in the RAM root, if it is one of the user's.
const BOARD: &str = "board.json";

/// The job of PID 1.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// What is to be written; nothing is decided anew.
    pub writes: Vec<Write>,
    /// The image's checksum.
    pub sha256: String,
    /// How it is packed, if it is; one for each of several files.
    pub packings: Vec<Option<Packing>>,
    /// Members of an archive that are unpacked.
    pub members: Vec<Member>,
    /// `--board`, when the box was not recognised by itself: an id, or a file of the RAM root.
    pub board: Option<String>,
    /// What becomes of the volumes of a UBI around the writes.
    pub volumes: Option<VolumeChanges>,
    /// `--no-rollback` and `--mark-bad`.
    pub on_fault: OnFault,
    /// The user's files, saved beside the image.
    pub files: Option<Task>,
    /// What was reached before the hand-off.
    pub reached: String,
    /// What the rescue runs for an image that comes over the network; empty without a key.
    pub again: Vec<String>,
}

impl Job {
    /// As it goes into the hand-off.
    ///
    /// # Errors
    /// None that is known; serde could not make JSON of it.
    pub fn pack(&self) -> Result<stages::HandOff> {
        let payload = json::write(self).context("hand-off")?;
        Ok(stages::HandOff::new(payload))
    }

    /// As it came through the hand-off.
    ///
    /// # Errors
    /// A hand-off of another version of flasher.
    pub fn unpack(handoff: &stages::HandOff) -> Result<Job> {
        json::parse(handoff.payload.as_bytes())
            .map_err(|error| Failure::system(format_args!("the hand-off is not ours: {error}")))
    }
}

/// What PID 1 shall know the box by: a built-in id as it is, a profile of the user's by a copy of it in the RAM root.
///
/// # Errors
/// A RAM root that cannot be written.
pub fn board(root: &Path, profile: &Profile, named: Option<&str>) -> Result<Option<String>> {
    match named {
        Some(named) if !known::ids().any(|id| id == named) => {
            let copy = root.join(BOARD);
            let text = json::write(profile).context("board file")?;
            std::fs::write(&copy, text).context(copy.display())?;
            Ok(Some(format!("/{BOARD}")))
        }
        named => Ok(named.map(str::to_owned)),
    }
}

/// The image in a RAM root, or one of its files.
pub fn image_path(root: &Path, index: usize) -> PathBuf {
    match index {
        0 => root.join(IMAGE),
        index => root.join(format!("{IMAGE}.{index}")),
    }
}
