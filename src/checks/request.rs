//! What the user asked for, as far as the plan depends on it.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// What must be true of the image besides being whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The public key whose signature the image must carry.
    pub key: Option<PathBuf>,
    /// The SHA-256 the image must have, 64 hexadecimal digits.
    pub sha256: Option<String>,
}
