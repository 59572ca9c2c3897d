//! What stands in for [`super::disk`] in a binary without the feature `disk`.

#![forbid(unsafe_code)]

use crate::error::Result;
use std::path::PathBuf;

/// None.
pub fn disks() -> Vec<PathBuf> {
    Vec::new()
}

/// Kept nowhere.
///
/// # Errors
/// None.
pub fn save(_: &str) -> Result<bool> {
    Ok(false)
}

/// None.
pub fn load() -> Option<String> {
    None
}
