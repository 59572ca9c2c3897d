//! `verify IMAGE`: the flash against the image.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::{Exit, Result};
use crate::checks;
use crate::cli::Apply;
use crate::plan::Step;
use crate::report::Reporter;
use crate::slots;
use crate::update::{self, prepare::Purpose, stage::ImageSource};
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    same: bool,
    writes: &'a [Step],
    #[serde(flatten)]
    slot: Option<slots::Compared>,
}

/// Compares; exit code 0 same, 1 different.
///
/// # Errors
/// An image that does not fit this box, or flash that cannot be read.
pub fn run(options: &Apply, reporter: &mut Reporter) -> Result<Exit> {
    let (board, plan) = update::plan_only(options, ImageSource::Image, Purpose::Compare, reporter)?;
    if let Some(refusal) = checks::refusal(&plan) {
        return Err(refusal);
    }
    for check in plan.checks.iter().filter(|check| check.name == CheckId::Unused) {
        reporter.warning(&check.text);
    }
    let same = plan.steps.iter().all(Step::is_up_to_date);
    let writes: Vec<_> = plan.steps.iter().map(|step| &step.write).collect();
    let slot = slots::compared(&board, options.env_config.as_deref(), &writes);
    if let Some(slots::Compared { slot, boots, runs }) = &slot
        && (boots.as_ref() != Some(slot) || runs.is_some())
    {
        let or = |name: &Option<String>, other: &str| name.as_deref().unwrap_or(other).to_owned();
        reporter.warning(format_args!(
            "slot {slot} is compared; slot {} boots, and slot {} runs",
            or(boots, "unknown"),
            or(runs, &or(boots, "unknown"))
        ));
    }
    if reporter.json() {
        reporter.object(&Report {
            same,
            writes: &plan.steps,
            slot,
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
