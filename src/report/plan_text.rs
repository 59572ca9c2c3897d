//! A plan for people.

#![forbid(unsafe_code)]

use super::Verbosity;
use crate::base::check_id::CheckId;
use crate::base::units::{Blocks, Seconds, Size};
use crate::plan::{Plan, Status};

/// What is shown of it at this verbosity.
pub(super) fn plan_text(plan: &Plan, verbosity: Verbosity) -> String {
    let mut lines = vec![format!("image: {} · {}", plan.image.format, Size(plan.image.size))];
    if !plan.image.sha256.is_empty() {
        lines[0].push_str(&format!(" · sha256 {}", plan.image.sha256));
    }
    lines[0].push_str(&plan.image.taken.to_string());
    // One alone is the image itself.
    if plan.images.len() > 1 {
        lines.extend(plan.images.iter().map(|file| format!("file: {file}")));
    }
    lines.push(format!("board: {} · route: {}", plan.board, plan.route.as_str()));
    for step in &plan.steps {
        let write = &step.write;
        let unchanged = match step.unchanged() {
            Some(unchanged) => format!(", {unchanged} of them already correct"),
            None => String::new(),
        };
        lines.push(format!(
            "write: {} to {}, {}{unchanged}",
            Size(write.length()),
            write.to.label(),
            Blocks(write.erase_blocks)
        ));
    }
    if let Some(volumes) = &plan.volumes {
        lines.extend(volumes.lines());
    }
    if let Some(keep) = &plan.keep {
        lines.extend(keep.lines());
    }
    if plan.valid && !plan.nothing_to_do() {
        lines.push(format!(
            "takes: about {}; old content kept in RAM meanwhile: {}",
            Seconds(plan.seconds),
            match plan.ram.rollback {
                0 => "none, so it cannot be put back".to_owned(),
                bytes => Size(bytes).to_string(),
            }
        ));
    }
    if let Some(slot) = &plan.slot {
        lines.push(format!(
            "slot: {} runs, {} is written and boots then",
            slot.active, slot.written
        ));
    }
    for check in &plan.checks {
        let word = match check.status {
            // A watchdog is shown always: it is what could end the update.
            Status::Pass if verbosity < Verbosity::Verbose && check.name != CheckId::Watchdog => continue,
            Status::Pass => "pass",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        lines.push(format!("check: {word} {}: {}", check.name, check.text));
    }
    lines.push(
        match plan.valid {
            true => "verdict: ready",
            false => "verdict: refused",
        }
        .to_owned(),
    );
    lines.join("\n")
}
