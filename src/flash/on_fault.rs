//! How faults of the flash are met.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// How faults of the flash are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnFault {
    /// Keep the old content in RAM while there is room, and put it back when the new one cannot be written.
    pub rollback: bool,
    /// Mark NAND blocks bad that fail for good, and use the next.
    pub mark_bad: bool,
}

impl Default for OnFault {
    fn default() -> OnFault {
        OnFault {
            rollback: true,
            mark_bad: false,
        }
    }
}
