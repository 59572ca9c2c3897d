//! Maps an error to a message and an exit code, and does nothing else.

#![forbid(unsafe_code)]

use flasher::error::{Exit, Result};
use flasher::report::Reporter;
use flasher::{cli, cmd};
use stages::Wakeup;
use std::process::ExitCode;

fn main() -> ExitCode {
    match stages::wake() {
        Wakeup::NotPidOne => (),
        Wakeup::Marker => stages::init_marker(),
        Wakeup::TakenOver(pid_one) => cmd::pid_one::run(*pid_one),
        Wakeup::Prepared(root) => root.enter(),
        Wakeup::NothingToDo(why) => stages::boot_on(&why),
    }
    if cmd::updater::is_meant() {
        // What the update page does with our output is unknown; it has files of its own to look at.
        let mut reporter = Reporter::new(&cli::Global {
            verbosity: cli::Verbosity::Quiet,
            ..cli::Global::default()
        });
        return exit(cmd::updater::run(std::env::args_os().skip(1), &mut reporter));
    }
    let (global, verb) = match cli::parse(std::env::args_os().skip(1)) {
        Ok(parsed) => parsed,
        Err(failure) => return exit(cmd::misused(std::env::args_os().skip(1), failure)),
    };
    log_to_stderr(global.verbosity);
    let mut reporter = Reporter::new(&global);
    exit(cmd::run(verb, &mut reporter))
}

fn exit(result: Result<Exit>) -> ExitCode {
    ExitCode::from(u8::from(result.unwrap_or_else(|failure| failure.exit)))
}

/// `RUST_LOG` has the last word.
fn log_to_stderr(verbosity: cli::Verbosity) {
    let level = match verbosity {
        cli::Verbosity::Quiet => log::LevelFilter::Error,
        cli::Verbosity::Normal => log::LevelFilter::Warn,
        cli::Verbosity::Verbose => log::LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .parse_default_env()
        .init();
}
