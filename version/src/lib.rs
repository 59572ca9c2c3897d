//! The version of flasher, and from which commit it was made where that is known.

#![no_std]
#![forbid(unsafe_code)]

/// `0.1.0 (bef035012345)`; with `, changed` behind the commit where the source was not quite that; `0.1.0` where no commit
/// is known.
pub const VERSION: &str = env!("FLASHER_VERSION");
