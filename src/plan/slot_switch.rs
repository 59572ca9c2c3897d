//! What is planned with the slots of a box that has two places for its firmware.

#![forbid(unsafe_code)]

use super::{Write, told};
use serde::Serialize;

/// The slot that is written, and the writes that make it boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotSwitch {
    /// The slot that runs and is left alone.
    pub active: String,
    /// The slot that is written and boots then.
    pub written: String,
    /// The writes of the environment that make it boot, done when everything else is verified.
    #[serde(serialize_with = "told::writes")]
    pub environment: Vec<Write>,
}
