//! Recovery images that are refused, and what is said then.

#![forbid(unsafe_code)]

use super::check::Report;
use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use std::io;

/// An image or copy that cannot be read.
pub fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, error)
}

/// The checks of a recovery image have one name for `--force`.
const CHECK: CheckId = CheckId::Content;

/// Refuses an image with something wrong in it, unless that is forced. Answers what was overridden.
///
/// # Errors
/// [`Exit::ImageBad`] with everything that is wrong.
pub fn accept<'r>(image: &str, report: &'r Report, force: &[CheckId]) -> Result<&'r [String]> {
    if let Some(other) = force.iter().find(|check| **check != CHECK) {
        return Err(Failure::usage(format_args!(
            "--force={other}: only {CHECK} can be overridden here"
        )));
    }
    if report.ok {
        return Ok(&[]);
    }
    if force.is_empty() {
        return Err(improper(image, &report.problems, true));
    }
    Ok(&report.problems)
}

/// The failure of an image with something wrong in it.
pub fn improper(image: &str, problems: &[String], forceable: bool) -> Failure {
    let hint = match forceable {
        true => "use an image that starts; --force=content overrides this",
        false => "flasher recovery create makes a proper one",
    };
    Failure::new(
        Exit::ImageBad,
        Code::RecoveryImage,
        format_args!("{image} is not a proper recovery image: {}", problems.join("; ")),
    )
    .hint(hint)
}
