//! How a run ended is told once, as the last event.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Result};
use crate::base::outcome::{Outcome, Stopped};
use crate::report::Reporter;

/// Tells it.
///
/// # Errors
/// The failure that was told, for its exit code.
pub fn report(result: std::result::Result<Outcome, Stopped>, reporter: &mut Reporter) -> Result<Exit> {
    match result {
        Ok(outcome) => {
            reporter.outcome(&outcome);
            Ok(Exit::Done)
        }
        Err(Stopped { failure, tally }) => {
            reporter.failure(&failure);
            reporter.outcome(&Outcome::failed(&failure, tally));
            Err(failure)
        }
    }
}
