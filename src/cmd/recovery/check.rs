//! `recovery check IMAGE`.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Result};
use crate::base::units::Size;
use crate::bytes::source::Source;
use crate::recovery::boards::DEVICES;
use crate::recovery::check::Report;
use crate::recovery::refusal::unreadable;
use crate::recovery::{boards, check};
use crate::report::Reporter;

/// Prints what was found; exit code 65 for an image that is not to be given to a box.
///
/// # Errors
/// An image that cannot be read.
pub fn run(image: &str, reporter: &mut Reporter) -> Result<Exit> {
    let (store, sha256) = Source::open(image)?.in_place()?;
    let report = check::check(&store, sha256)?.map_err(unreadable)?;
    match reporter.json() {
        true => reporter.object(&report),
        false => text(image, &report, reporter),
    }
    Ok(match report.ok {
        true => Exit::Done,
        false => Exit::ImageBad,
    })
}

fn text(image: &str, report: &Report, reporter: &mut Reporter) {
    let board = report.board.as_deref().unwrap_or("no board");
    reporter.line(&format!(
        "{image}: {}, for {board}\nsha256 {}",
        Size(report.size),
        report.sha256
    ));
    for part in &report.parts {
        let fate = match part.fate {
            "depends" => "written by some boot loaders, ignored by others",
            fate => fate,
        };
        let content = part.content.as_ref().map(|content| {
            let state = content.problem.as_deref().unwrap_or("checked");
            format!(": {} {}, {state}", content.format.as_str(), content.title)
        });
        reporter.line(&format!(
            "  0x{:07x} {:>8}  mtd{} {}, {fate}{}",
            part.offset,
            Size(part.size).to_string(),
            part.mtd,
            part.name,
            content.unwrap_or_default()
        ));
    }
    if report.ignored > 0 {
        reporter.line(&format!("  the last {} are ignored", Size(report.ignored)));
    }
    if !report.names.is_empty() {
        reporter.line(&format!("name: {}", report.names.join(" or ")));
    }
    if !report.devices.is_empty() {
        reporter.line(&format!("boxes: {}", report.devices.join(", ")));
    }
    for name in &report.names {
        if boards::asking_for(name).next().is_none() {
            reporter.line(&format!(
                "  {name} is in none of the {} rows of: flasher recovery boards",
                DEVICES.len()
            ));
        }
    }
    for problem in &report.problems {
        reporter.line(&format!("WRONG: {problem}"));
    }
    reporter.line(match report.ok {
        true => "verdict: a proper recovery image",
        false => "verdict: not to be given to a box",
    });
}
