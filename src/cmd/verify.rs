//! `verify IMAGE`: the flash against the image.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::{Exit, Result};
use crate::checks;
use crate::cli::Apply;
use crate::plan::Step;
use crate::report::Reporter;
use crate::update::{self, prepare::Purpose, stage::ImageSource};
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    same: bool,
    writes: &'a [Step],
}

/// Compares; exit code 0 same, 1 different.
///
/// # Errors
/// An image that does not fit this box, or flash that cannot be read.
pub fn run(options: &Apply, reporter: &mut Reporter) -> Result<Exit> {
    let (_, plan) = update::plan_only(options, ImageSource::Image, Purpose::Compare, reporter)?;
    if let Some(refusal) = checks::refusal(&plan) {
        return Err(refusal);
    }
    for check in plan.checks.iter().filter(|check| check.name == CheckId::Unused) {
        reporter.warning(&check.text);
    }
    let same = plan.steps.iter().all(Step::is_up_to_date);
    if reporter.json() {
        reporter.object(&Report {
            same,
            writes: &plan.steps,
        });
    } else {
        for step in &plan.steps {
            let write = &step.write;
            reporter.line(&format!(
                "{}: {} of {} erase blocks differ",
                write.to.label(),
                write.erase_blocks - step.unchanged().unwrap_or_default(),
                write.erase_blocks
            ));
        }
        reporter.line(if same { "same" } else { "different" });
    }
    Ok(match same {
        true => Exit::Done,
        false => Exit::Different,
    })
}
