//! `recovery`: images for the boot loader's own recovery mode, a verb a file. The network side of it is in `host`.

#![forbid(unsafe_code)]

mod boards;
mod check;
mod copies;
mod create;
mod name;

use crate::base::error::{Exit, Result};
use crate::cli::recovery::Recovery;
use crate::report::Reporter;

/// Runs one of them.
///
/// # Errors
/// Those of the verb.
pub fn run(verb: &Recovery, reporter: &mut Reporter) -> Result<Exit> {
    match verb {
        Recovery::Create(options) => create::run(options, reporter),
        Recovery::Check { image } => check::run(image, reporter),
        Recovery::Boards => boards::run(reporter),
        Recovery::Name { at, from } => name::run(at, from.as_deref(), reporter),
    }
}
