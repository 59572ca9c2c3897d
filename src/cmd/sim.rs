//! `sim create BOARD DIR`.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Result};
use crate::base::shell;
use crate::base::units::Size;
use crate::board::sim;
use crate::report::Reporter;
use std::path::Path;

/// Makes a simulated box.
///
/// # Errors
/// Those of [`sim::create`].
pub fn run(board: &str, dir: &Path, reporter: &mut Reporter) -> Result<Exit> {
    let profile = sim::create(board, dir)?;
    match reporter.json() {
        true => reporter.object(&profile),
        false => reporter.line(&format!(
            "{}: a simulated {} with {} of flash, all of it blank\nnext: flasher devices --sim {}",
            dir.display(),
            profile.id,
            Size(profile.chip.size),
            shell::typed(dir)
        )),
    }
    Ok(Exit::Done)
}
