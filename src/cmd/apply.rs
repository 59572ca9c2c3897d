//! `apply IMAGE`, and `restore DIR` through it.

#![forbid(unsafe_code)]

use super::plan;
use crate::base::error::{Exit, Result};
use crate::cli::Apply;
use crate::report::Reporter;
use crate::update::{self, stage::ImageSource};

/// Runs the verb and reports its outcome.
///
/// # Errors
/// What was reported.
pub fn run(options: &Apply, from: ImageSource, reporter: &mut Reporter) -> Result<Exit> {
    match options.dry_run {
        true => plan::run(options, from, reporter),
        false => update::apply(options, from, reporter),
    }
}
