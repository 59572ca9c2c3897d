//! The verbs, a file each.

#![forbid(unsafe_code)]

pub(crate) mod apply;
pub(crate) mod backup;
#[cfg(feature = "host")]
mod demo;
pub(crate) mod devices;
pub(crate) mod env;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod recovery;
pub(crate) mod sim;
pub(crate) mod status;
pub mod updater;
pub(crate) mod verify;

use crate::base::error::{Exit, Failure, Result};
use crate::cli;
use crate::cli::Verb;
use crate::poll;
use crate::report::{Global, Reporter};
use crate::update::{self, end, stage::ImageSource};
use std::ffi::OsString;

/// Reports words that make no command. Even here an `apply` ends with its result, for programs that wait for it.
///
/// # Errors
/// The failure, for its exit code.
pub fn misused(words: impl IntoIterator<Item = OsString>, failure: Failure) -> Result<Exit> {
    let words: Vec<_> = words.into_iter().collect();
    let mut reporter = Reporter::new(&Global {
        format: cli::format(&words),
        ..Global::default()
    });
    match words
        .iter()
        .any(|word| ["apply", "restore", "push", "poll"].iter().any(|verb| word == verb))
    {
        true => end::report(Err(failure.into()), &mut reporter),
        false => {
            reporter.failure(&failure);
            Err(failure)
        }
    }
}

/// Runs a verb. Everything that is to be said has been said when it returns. The version is the program's, which knows
/// from which commit it was made.
///
/// # Errors
/// The failure that was reported, for its exit code.
pub fn run(verb: Verb, version: &str, reporter: &mut Reporter) -> Result<Exit> {
    // What changes the flash is not undone by an answer that got lost.
    let changes = match &verb {
        Verb::Apply(options) | Verb::Restore(options) => !options.dry_run,
        Verb::Env(options) => !options.set.is_empty() && !options.dry_run,
        Verb::Poll(_) => true,
        _ => false,
    };
    let result = dispatch(verb, version, reporter);
    match reporter.lost() {
        Some(error) if !changes && result.is_ok() => {
            let failure = Failure::system(format_args!("standard output: {error}"));
            reporter.failure(&failure);
            Err(failure)
        }
        _ => result,
    }
}

fn dispatch(verb: Verb, version: &str, reporter: &mut Reporter) -> Result<Exit> {
    let result = match verb {
        // These have an outcome of their own to report.
        Verb::Apply(options) => return apply::run(&options, ImageSource::Image, reporter),
        Verb::Restore(options) => return apply::run(&options, ImageSource::Backup, reporter),
        Verb::Poll(options) => return poll::run(&options, version, reporter),
        Verb::Env(options) if !options.set.is_empty() => return update::set_environment(&options, reporter),
        Verb::Env(options) => env::show(&options, reporter),
        Verb::Inspect { image, access, typed } => inspect::run(&image, &access, &typed, reporter),
        Verb::Verify(options) => verify::run(&options, reporter),
        Verb::Devices { at, profile } => devices::run(&at, profile, reporter),
        Verb::Backup(options) => backup::run(&options, reporter),
        Verb::Status(at) => status::run(&at, reporter),
        Verb::SimCreate { board, dir } => sim::run(&board, &dir, reporter),
        Verb::Recovery(verb) => recovery::run(&verb, reporter),
        #[cfg(feature = "host")]
        Verb::Push(options) => return crate::host::push::run(&options, version, reporter),
        #[cfg(feature = "host")]
        Verb::Network(verb) => crate::host::recovery::run(verb, reporter),
        #[cfg(feature = "host")]
        Verb::Pat(verb) => crate::host::pat::run(verb, reporter),
        #[cfg(feature = "host")]
        Verb::QpkgExtract { file, dir } => crate::host::qpkg::extract(&file, &dir, reporter),
        #[cfg(feature = "host")]
        Verb::Demo => demo::run(version, reporter),
        #[cfg(feature = "host")]
        Verb::Manual(what) => crate::host::manual::run(what, reporter),
        Verb::Version => {
            reporter.line(&format!("flasher {version}"));
            Ok(Exit::Done)
        }
        Verb::Print(text) => {
            reporter.line(&text);
            Ok(Exit::Done)
        }
    };
    if let Err(failure) = &result {
        reporter.failure(failure);
    }
    result
}
