//! How a run ended: the one type that report, record and hand-off carry.

#![forbid(unsafe_code)]

use super::code::Code;
use super::error::{Exit, Failure, Harm};
use super::units::Blocks;
use super::words::words;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Counters of a run, in erase blocks where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Erased.
    pub erased: u64,
    /// Up to date already, and left alone.
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

impl Tally {
    /// Adds what another run took.
    pub fn add(&mut self, other: Tally) {
        self.erased += other.erased;
        self.unchanged += other.unchanged;
        self.retried += other.retried;
        self.corrected = self.corrected.saturating_add(other.corrected);
        self.uncorrectable = self.uncorrectable.saturating_add(other.uncorrectable);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} erased, {} unchanged, {} retried",
            Blocks(self.erased),
            self.unchanged,
            self.retried
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

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The exit code; [`Exit::Done`] where all went well.
    pub exit: Exit,
    /// What is left behind.
    pub harm: Harm,
    /// One word for programs.
    pub code: Code,
    /// What failed, in words; empty where all went well.
    #[serde(skip)]
    pub text: String,
    /// What it took.
    #[serde(flatten)]
    pub tally: Tally,
    /// What became of the files that were to be kept.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub kept: Option<Fate>,
    /// Bytes of old content that were kept in RAM meanwhile.
    #[serde(skip)]
    pub old_content: u64,
}

impl Outcome {
    /// An end that left the flash alone because nothing else was to be done here.
    pub fn untouched(code: Code) -> Outcome {
        Outcome {
            exit: Exit::Done,
            harm: Harm::Untouched,
            code,
            text: String::new(),
            tally: Tally::default(),
            kept: None,
            old_content: 0,
        }
    }

    /// Everything is written and verified.
    pub fn written(tally: Tally) -> Outcome {
        Outcome {
            harm: Harm::Written,
            tally,
            ..Outcome::untouched(Code::Written)
        }
    }

    /// A failure, and how far it came.
    pub fn failed(failure: &Failure, tally: Tally) -> Outcome {
        Outcome {
            exit: failure.exit,
            harm: failure.harm,
            code: failure.code,
            text: failure.what.clone(),
            tally,
            kept: None,
            old_content: 0,
        }
    }

    /// Whether all went well.
    pub fn is_ok(&self) -> bool {
        self.exit == Exit::Done
    }
}

/// A run that could not be ended well.
#[derive(Debug)]
pub struct Stopped {
    /// Why, with device and offset, and what is on the flash now.
    pub failure: Failure,
    /// How far it came.
    pub tally: Tally,
}

impl From<Failure> for Stopped {
    /// Before anything was done.
    fn from(failure: Failure) -> Stopped {
        Stopped {
            failure,
            tally: Tally::default(),
        }
    }
}

words! {
    /// How files stand that were to be kept.
    pub enum KeptState or Unknown {
        /// Not put back yet, or a power cut kept them from it.
        Pending = "pending",
        /// Put back, and read back.
        Restored = "restored",
        /// Not put back.
        Failed = "failed",
        /// A word of another version of flasher.
        Unknown = "unknown",
    }
}

/// What became of the files, for record and outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// How they stand.
    pub state: KeptState,
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
