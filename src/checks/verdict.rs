//! The verdict over all checks.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use crate::base::suggest::did_you_mean;
use crate::plan::{Check, Plan, Status};

/// The checks that a user names for `--force`. A known check that never yields is no error here: it goes on to fail.
///
/// # Errors
/// [`Exit::Usage`] for a name that no check has.
pub fn known(names: &[String]) -> Result<Vec<CheckId>> {
    let of = |name: &String| {
        CheckId::from_word(name).ok_or_else(|| {
            let all: Vec<_> = CheckId::ALL.iter().map(|check| check.as_str()).collect();
            let meant = did_you_mean("", name, &mut all.iter().copied());
            Failure::usage(format_args!("there is no check {} to force{meant}", Quoted(name)))
                .hint(format!("the checks are {}", all.join(", ")))
        })
    };
    names.iter().map(of).collect()
}

/// Overrides the checks that were named, and answers whether nothing stands against the writes then.
pub fn verdict(checks: Vec<Check>, force: &[CheckId]) -> (Vec<Check>, bool) {
    let checks: Vec<_> = checks
        .into_iter()
        .map(|check| check.forced(force, " (forced)"))
        .collect();
    let valid = checks.iter().all(|check| check.status != Status::Fail);
    (checks, valid)
}

/// The failure of a plan that may not be executed: its first check that failed.
pub fn refusal(plan: &Plan) -> Option<Failure> {
    let check = plan.checks.iter().find(|check| check.status == Status::Fail)?;
    let failure = Failure::new(
        check.exit.unwrap_or(Exit::Refused),
        Code::from(check.name),
        format_args!("refused by check {}: {}", check.name, check.text),
    );
    Some(match &check.remedy {
        Some(remedy) => failure.hint(remedy.clone()),
        None => failure,
    })
}
