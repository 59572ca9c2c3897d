//! The first thing that a newcomer types.

use crate::simbox::flasher;

#[test]
fn the_demo_goes_from_the_first_look_to_the_record() {
    let run = flasher(&["demo"]).exits(0);
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
