//! What the engine is given, and what it tells meanwhile.

#![forbid(unsafe_code)]

use crate::base::phase::Phase;
use crate::plan::Write;
use mtd_rs::Flash;

/// Bytes of the image dealt with so far in this phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which phase.
    pub phase: Phase,
    /// Bytes.
    pub done: u64,
    /// Bytes of all writes.
    pub total: u64,
}

/// A write with the flash it goes to.
pub struct Target {
    /// What is planned.
    pub write: Write,
    /// Where the erase blocks begin that were found to be up to date under the lock that is still held, ascending.
    pub up_to_date: Vec<u64>,
    /// The partition, opened for writing.
    pub flash: Box<dyn Flash>,
}

/// How faults are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of old content that may be kept in RAM to be put back; 0 keeps none.
    pub keep_old: u64,
    /// Whether a NAND block that fails for good is marked bad, its content going to the next good one.
    pub mark_bad: bool,
}

/// Called with the progress after each block.
pub type Observer<'o> = &'o mut dyn FnMut(Progress);
