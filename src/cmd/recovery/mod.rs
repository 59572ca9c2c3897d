//! `recovery`: images for the boot loader's own recovery mode, and the network side of it. A verb a file.

#![forbid(unsafe_code)]

mod boards;
mod check;
#[cfg(feature = "host")]
mod config;
mod copies;
mod create;
mod name;
#[cfg(feature = "host")]
mod network;
#[cfg(feature = "host")]
mod serve;

use crate::cli::recovery::Recovery;
use crate::error::{Exit, Failure, Result};
use crate::recovery::check::Report;
use crate::report::Reporter;
use std::io;

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
        #[cfg(feature = "host")]
        Recovery::Serve(network) => serve::run(network, reporter),
        #[cfg(feature = "host")]
        Recovery::Config { network, server } => config::run(network, *server, reporter),
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, "image-unreadable", error)
}

/// The checks of a recovery image have one name for `--force`.
const CHECK: &str = "content";

/// Refuses an image with something wrong in it, unless that is forced.
fn accept(image: &str, report: &Report, force: &[String], reporter: &mut Reporter) -> Result<()> {
    if let Some(other) = force.iter().find(|name| *name != CHECK) {
        return Err(Failure::usage(format_args!(
            "--force={other}: only {CHECK} can be overridden here"
        )));
    }
    if report.ok {
        return Ok(());
    }
    if force.is_empty() {
        return Err(improper(image, &report.problems, true));
    }
    for problem in &report.problems {
        reporter.warning(problem);
    }
    Ok(())
}

fn improper(image: &str, problems: &[String], forceable: bool) -> Failure {
    let hint = match forceable {
        true => "use an image that starts; --force=content overrides this",
        false => "flasher recovery create makes a proper one",
    };
    Failure::new(
        Exit::ImageBad,
        "recovery-image",
        format_args!("{image} is no proper recovery image: {}", problems.join("; ")),
    )
    .hint(hint)
}
