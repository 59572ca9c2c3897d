//! The main job on a simulated box, as a user would type it: `cargo run --example demo` is `flasher demo`.

use flasher::report::Reporter;
use flasher::{cli, cmd};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done =
        cli::parse(["demo".into()]).is_ok_and(|(global, verb)| cmd::run(verb, "", &mut Reporter::new(&global)).is_ok());
    match done {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
