//! `plan IMAGE`: the checks and the writes that `apply` would do. Touches nothing.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Result};
use crate::checks;
use crate::cli::Apply;
use crate::report::Reporter;
use crate::update::{self, prepare::Purpose, stage::ImageSource};

/// Prints the plan. The exit code is that of the refusal `apply` would end with.
///
/// # Errors
/// What was reported.
pub fn run(options: &Apply, from: ImageSource, reporter: &mut Reporter) -> Result<Exit> {
    let plan = match update::plan_only(options, from, Purpose::Show, reporter) {
        Ok((_, plan)) => plan,
        Err(failure) => {
            reporter.failure(&failure);
            return Err(failure);
        }
    };
    match reporter.json() {
        true => reporter.object(&plan),
        false => reporter.plan(&plan),
    }
    match checks::refusal(&plan) {
        None => {
            if reporter.quiet() {
                reporter.result("verdict: ready");
            }
            Ok(Exit::Done)
        }
        Some(refusal) => {
            // The object has it already, where that has arrived.
            if !reporter.json() || reporter.lost().is_some() {
                reporter.failure(&refusal);
            }
            Err(refusal)
        }
    }
}
