//! What a run took.

#![forbid(unsafe_code)]

use super::error::Failure;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Counters of a run, in erase blocks where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Erased.
    pub erased: u64,
    /// Right already and left alone.
    pub unchanged: u64,
    /// Tries beyond the first.
    pub retried: u64,
    /// Bits that ECC corrected when the flash was read.
    #[serde(default)]
    pub corrected: u32,
    /// Reads that ECC could not correct.
    #[serde(default)]
    pub uncorrectable: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} erase blocks erased, {} unchanged, {} retried",
            self.erased, self.unchanged, self.retried
        )?;
        match self.corrected | self.uncorrectable {
            0 => Ok(()),
            _ => write!(
                f,
                "; ECC corrected {} bits and failed in {} reads",
                self.corrected, self.uncorrectable
            ),
        }
    }
}

/// The engine gave up.
#[derive(Debug)]
pub struct Stopped {
    /// Why, with device and offset, and what is on the flash now.
    pub failure: Failure,
    /// How far it came.
    pub tally: Tally,
}

/// What became of the files, for record and outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// `pending`, `restored` or `failed`.
    pub state: String,
    /// The place.
    pub to: String,
    /// How many files, links and directories.
    pub files: u64,
    /// Why it failed, and where the tar is.
    pub text: String,
}

/// For people.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} in {}", self.state, self.files, self.to)?;
        match self.text.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.text),
        }
    }
}
