//! The first thing that a newcomer types.

use crate::simbox::{Run, flasher};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

#[test]
fn the_demo_goes_from_the_first_look_to_the_record() {
    // Temporary files may be anywhere.
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("a b");
    std::fs::create_dir(&temporary).unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_flasher"))
        .arg("demo")
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let run = Run::from(demo).exits(0);
    let mut rest = run.out.as_str();
    for text in [
        "$ flasher sim create qnap-ts219",
        "$ flasher devices",
        "$ flasher backup",
        "$ flasher recovery create",
        "$ flasher plan",
        "verdict: ready",
        "$ flasher apply -y",
        "written and verified",
        "$ flasher verify",
        "same",
        "$ flasher status",
        "ok: flash written",
        "every other byte of the chip is as it was",
    ] {
        let at = rest
            .find(text)
            .unwrap_or_else(|| panic!("{text:?} is missing or late: {run:?}"));
        rest = &rest[at + text.len()..];
    }
    let warnings: Vec<_> = run
        .out
        .lines()
        .chain(run.err.lines())
        .filter(|line| line.contains("warn"))
        .collect();
    let expected = |line: &&str| line.contains("there is no key") || line.contains("is not written: protected: ");
    assert!(!warnings.is_empty() && warnings.iter().all(expected), "{warnings:?}");
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind_and_one_with_operands_is_a_slip() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_flasher"))
        .arg("demo")
        .env("TMPDIR", dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("$ flasher devices") && output.read_line(&mut said).unwrap() > 0 {}
    let pid = nix::unistd::Pid::from_raw(i32::try_from(demo.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGINT).unwrap();
    output.read_to_string(&mut said).unwrap();
    assert_eq!(demo.wait().unwrap().signal(), Some(2), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let run = flasher(&["demo", "qnap-ts219"]).exits(64);
    assert!(run.err.contains("takes no operand"), "{run:?}");
}
