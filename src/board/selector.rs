//! Which box is meant, and which of its partitions.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// Which box is meant: the one we run on, or a simulated one; and what it is said to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Where {
    /// The directory of a simulated box.
    pub sim: Option<PathBuf>,
    /// A board id or the file of a profile; recognised by its signs when absent.
    pub board: Option<String>,
}
