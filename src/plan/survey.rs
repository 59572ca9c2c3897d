//! What reading the flash found out about a write, before anything is written.

#![forbid(unsafe_code)]

use super::Write;

/// What is on the flash already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Where the erase blocks begin that are as the image wants them, ascending. Known only to the process that has compared,
    /// and believed when it writes while it still holds the lock.
    pub up_to_date: Vec<u64>,
    /// Reads that ECC could not correct meanwhile.
    pub uncorrectable: u32,
}

/// A write, and what was found out about it if the flash was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The write.
    pub write: Write,
    /// What is there already; unknown before the flash was read.
    pub survey: Option<Survey>,
}

impl Step {
    /// A write of which nothing is known yet.
    pub fn unread(write: Write) -> Step {
        Step { write, survey: None }
    }

    /// Erase blocks that are as the image wants them; unknown before the flash was read.
    pub fn unchanged(&self) -> Option<u64> {
        self.survey.as_ref().map(|survey| survey.up_to_date.len() as u64)
    }

    /// Whether all of it is known to be up to date.
    pub fn is_up_to_date(&self) -> bool {
        self.unchanged() == Some(self.write.erase_blocks)
    }

    /// Bytes of the erase blocks that will change, as far as is known.
    pub fn changing(&self) -> u64 {
        let blocks = self.write.erase_blocks - self.unchanged().unwrap_or_default().min(self.write.erase_blocks);
        blocks * u64::from(self.write.to.erase_size)
    }
}
