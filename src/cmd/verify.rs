//! `verify IMAGE`: the flash against the image.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Result};
use crate::board::usable;
use crate::board::{Board, volumes};
use crate::checks;
use crate::cli::Apply;
use crate::cmd::apply;
use crate::plan::{Status, Write};
use crate::report::Reporter;
use crate::update::stage::Looked;
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    same: bool,
    writes: &'a [Write],
}

/// Compares; exit code 0 same, 1 different.
///
/// # Errors
/// An image that does not fit this box, or flash that cannot be read.
pub fn run(options: &Apply, reporter: &mut Reporter) -> Result<Exit> {
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    let look = Looked::at(options, &board, apply::From::Image, None)?;
    let mut plan = look.plan(&board, options, None, &mut |_| Ok(()))?;
    // Comparing touches nothing: that a partition is read-only or in use is no reason against it.
    const MATTERS: [&str; 7] = ["sha256", "signature", "image", "board", "partition", "size", "overlap"];
    for check in &mut plan.checks {
        if !MATTERS.contains(&check.name.as_str()) && check.status == Status::Fail {
            check.status = Status::Warn;
        }
    }
    if let Some(refusal) = checks::refusal(&plan) {
        return Err(refusal);
    }
    let mut writes = plan.writes;
    apply::survey(&board, &mut writes, &look.store, reporter)?;
    let same = writes.iter().all(|write| write.unchanged == Some(write.erase_blocks));
    if reporter.json() {
        reporter.object(&Report { same, writes: &writes });
    } else {
        for write in &writes {
            let unchanged = write.unchanged.unwrap_or_default();
            reporter.line(&format!(
                "{}: {} of {} erase blocks differ",
                volumes::label(write.mtd, &write.partition),
                write.erase_blocks - unchanged,
                write.erase_blocks
            ));
        }
        reporter.line(if same { "same" } else { "different" });
    }
    Ok(match same {
        true => Exit::Done,
        false => Exit::Different,
    })
}
