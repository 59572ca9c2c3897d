//! Bytes that nobody can foresee.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Result};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;

const SOURCE: &str = "/dev/urandom";

/// Fills all of it with bytes of the kernel's.
///
/// # Errors
/// A system without `/dev/urandom`, or with a plain file in its place, which says the same each time.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    let file = File::open(SOURCE).context(SOURCE)?;
    if !file.metadata().context(SOURCE)?.file_type().is_char_device() {
        return Err(Failure::system(format_args!("{SOURCE} is not the kernel's")));
    }
    (&file).read_exact(bytes).context(SOURCE)
}
