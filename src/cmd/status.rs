//! `status`: what the last update did.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Result};
use crate::base::quoted::Shown;
use crate::board::Board;
use crate::board::selector::Where;
use crate::report::Reporter;
use crate::{record, slots};

/// Prints the last outcome.
///
/// # Errors
/// A box that cannot be read.
pub fn run(at: &Where, reporter: &mut Reporter) -> Result<Exit> {
    let board = Board::discover(at)?;
    let mut record = record::load(&board)?;
    let slots = slots::state(&board);
    record.slot = slots.as_ref().and_then(|state| state.active.clone());
    if reporter.json() {
        reporter.object(&record);
        return Ok(Exit::Done);
    }
    // Without a record there is only its text.
    let mut line = match record.code {
        Code::None => String::new(),
        code => format!("{}: flash {}, {code}", record.result, record.harm),
    };
    if let Some(finished) = &record.finished {
        line.push_str(&format!(", {finished}"));
    }
    if let Some(sha256) = &record.image_sha256 {
        line.push_str(&format!("\nimage sha256 {sha256}\n{}", record.tally));
    }
    if !record.stages.is_empty() {
        line.push('\n');
        line.push_str(&record.stages);
    }
    if let Some(action) = &record.action {
        line.push_str(&format!(
            "\nupdate {} of the server, try {}",
            Shown(&action.id),
            action.attempt
        ));
    }
    if let Some(kept) = &record.kept {
        line.push_str(&format!("\nkept files: {kept}"));
    }
    if !record.text.is_empty() {
        line.push_str(&format!("\n{}", record.text));
    }
    if let Some(slots) = &slots {
        line.push_str(&format!("\n{}", slots.text()));
    }
    reporter.line(line.trim_start());
    Ok(Exit::Done)
}
