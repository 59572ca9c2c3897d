//! What would be written, as plain data. Nothing here touches the box.
//!
//! `layout` says which bytes go where, `checks` whether that is right; `update::prepare` makes a [`Plan`] of it once, which
//! `plan` prints, the hand-off carries and `flash` executes. There is no second way to decide what is written, and a plan
//! never changes after its verdict.

#![forbid(unsafe_code)]

mod check;
mod image;
mod kept_files;
mod slot_switch;
mod survey;
mod time;
pub(crate) mod told;
mod volumes;
mod write;

use mtd_rs::PartitionId;
use serde::Serialize;

pub use check::{Check, Status};
pub use image::{ImageFile, ImageSummary, Taken};
pub use kept_files::{Form, KeptFile, KeptFiles};
pub use slot_switch::SlotSwitch;
pub use survey::{Step, Survey};
pub use time::{Pace, seconds};
pub use volumes::{DATA, SizedVolume, VolumeChanges};
pub use write::{BlockStep, Destination, Method, Order, Rest, Write};

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
    /// Each of the files that it was delivered as, and each member of an archive that was looked into.
    pub images: Vec<ImageFile>,
    /// Every check.
    pub checks: Vec<Check>,
    /// Every write, in the order of writing.
    #[serde(rename = "writes")]
    pub steps: Vec<Step>,
    /// What happens to the volumes of a UBI around that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumeChanges>,
    /// Memory.
    pub ram: Ram,
    /// The user's files that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeptFiles>,
    /// About how long it takes, in seconds.
    pub seconds: u64,
    /// What happens to the slots, on a box that has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotSwitch>,
}

impl Plan {
    /// The writes, in the order of writing.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.steps.iter().map(|step| &step.write)
    }

    /// Every write, those of the environment among them.
    pub fn touched(&self) -> impl Iterator<Item = &Write> {
        self.writes().chain(self.slot.iter().flat_map(|slot| &slot.environment))
    }

    /// Erase blocks of all writes.
    pub fn erase_blocks(&self) -> u64 {
        self.writes().map(|write| write.erase_blocks).sum()
    }

    /// Whether the flash is known to be as the image wants it.
    pub fn nothing_to_do(&self) -> bool {
        self.slot.is_none() && self.volumes.is_none() && self.steps.iter().all(Step::is_up_to_date)
    }
}

/// The partitions that these writes change, each once.
pub fn destinations<'w>(writes: impl IntoIterator<Item = &'w Write>) -> Vec<PartitionId> {
    let mut ids: Vec<_> = writes.into_iter().map(|write| write.to.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Identities cross the hand-off as the text that the kernel uses for them: `mtd3`, `ubi0_1`.
mod id_as_text {
    use mtd_rs::PartitionId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(id: &PartitionId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PartitionId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom("neither mtdN nor ubiN_M"))
    }
}
