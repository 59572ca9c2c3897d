//! The busybox that a rescue shell is made of: one that needs nothing beside itself.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::elf::is_static;
use crate::base::error::{Exit, Failure, Result};
use std::path::Path;

/// Where it is.
///
/// # Errors
/// [`Exit::Refused`] where there is none, or where each needs libraries that the RAM root has not.
pub(crate) fn find() -> Result<String> {
    let mut what = "there is no busybox to keep for a rescue shell";
    for path in ["/bin/busybox", "/sbin/busybox", "/usr/bin/busybox"] {
        match is_static(Path::new(path)) {
            Ok(true) => return Ok(path.to_owned()),
            Ok(false) => what = "the busybox of this box is no static one, and could not start in the rescue",
            Err(_) => (),
        }
    }
    Err(Failure::new(Exit::Refused, Code::RescueShell, what)
        .hint("put a static busybox in /usr/bin/busybox, or leave --rescue-shell out"))
}
