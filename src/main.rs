//! Maps an error to a message and an exit code, and does nothing else.

#![forbid(unsafe_code)]

use flasher::base::error::{Exit, Result};
use flasher::base::heap;
use flasher::report::{Global, Reporter, Verbosity};
use flasher::{cli, cmd, update};
use stages::Wakeup;
use std::process::ExitCode;

fn main() -> ExitCode {
    heap::keep_blocks();
    stages::signals::survive_file_limit();
    match stages::wake() {
        Wakeup::NotPidOne => (),
        Wakeup::Marker => stages::init_marker(),
        Wakeup::Validator(answer) => {
            println!("{answer}");
            return ExitCode::SUCCESS;
        }
        Wakeup::TakenOver(pid_one) => update::pid_one::run(*pid_one),
        Wakeup::Prepared(root) => root.enter(),
        Wakeup::NothingToDo(why) => stages::boot_on(&why),
    }
    if cmd::updater::is_meant() {
        // What the update page does with our output is unknown; it has files of its own to look at.
        let mut reporter = Reporter::new(&Global {
            verbosity: Verbosity::Quiet,
            ..Global::default()
        });
        return exit(cmd::updater::run(std::env::args_os().skip(1), &mut reporter));
    }
    let (global, verb) = match cli::parse(std::env::args_os().skip(1)) {
        Ok(parsed) => parsed,
        Err(failure) => return exit(cmd::misused(std::env::args_os().skip(1), failure)),
    };
    log_to_stderr(global.verbosity);
    let mut reporter = Reporter::new(&global);
    exit(cmd::run(verb, version::VERSION, &mut reporter))
}

fn exit(result: Result<Exit>) -> ExitCode {
    ExitCode::from(u8::from(result.unwrap_or_else(|failure| failure.exit)))
}

/// `RUST_LOG` has the last word.
fn log_to_stderr(verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Quiet => log::LevelFilter::Error,
        Verbosity::Normal => log::LevelFilter::Warn,
        Verbosity::Verbose => log::LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .parse_default_env()
        .init();
}
