//! The main job on a simulated box, as a user would type it: `cargo run --example demo`.

use flasher::report::Reporter;
use flasher::{cli, cmd};
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

const MIB: usize = 1 << 20;

/// Firmware of no use but to be told apart.
fn firmware(length: usize, word: &str) -> Vec<u8> {
    word.bytes().cycle().take(length).collect()
}

/// Says the command and runs it in this process, as `main` would.
fn flasher(line: &str) -> bool {
    println!("\n$ flasher {line}");
    let words = line.split(' ').map(OsString::from);
    cli::parse(words).is_ok_and(|(global, verb)| cmd::run(verb, "", &mut Reporter::new(&global)).is_ok())
}

fn main() -> ExitCode {
    let dir = std::env::temp_dir().join(format!("flasher-demo-{}", std::process::id()));
    let (sim, image) = (dir.join("box"), dir.join("image.bin"));
    let (sim_name, image_name) = (sim.display(), image.display());

    // A QNAP TS-109 runs firmware A; its chip also holds what is nobody's business.
    let made = flasher(&format!("sim create qnap-ts109 {sim_name}"));
    let old = firmware(8 * MIB, "firmware A ");
    let new = firmware(3 * MIB + 4321, "firmware B ");
    let chip = sim.join("flash.bin");
    let ready = fs::write(&chip, &old).is_ok() && fs::write(&image, &new).is_ok();

    let options = format!("--sim {sim_name} --part Kernel,RootFS1 {image_name}");
    let done = made
        && ready
        && flasher(&format!("devices --sim {sim_name}"))
        && flasher(&format!("plan {options}"))
        && flasher(&format!("apply -y {options}"))
        && flasher(&format!("verify {options}"))
        && flasher(&format!("status --sim {sim_name}"));

    let after = fs::read(&chip).unwrap_or_default();
    let right = done && after.starts_with(&new) && after.get(new.len()..) == old.get(new.len()..);
    let _ = fs::remove_dir_all(&dir);
    match right {
        true => {
            println!("\nThe planned bytes are the image's, every other byte of the chip is as it was.");
            ExitCode::SUCCESS
        }
        false => {
            println!("\nThe demo failed.");
            ExitCode::FAILURE
        }
    }
}
