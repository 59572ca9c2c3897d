//! How faults are met in this run, and what the last one left.

#![forbid(unsafe_code)]

use crate::base::error::Harm;
use crate::board::Board;
use crate::checks::OVERHEAD;
use crate::flash::{OnFault, Policy};
use crate::record;
use crate::report::Reporter;

/// Says whether this run goes on where another stopped, and how faults are met. What is up to date is found by comparing,
/// not by believing the record.
pub(super) fn policy(board: &Board, sha256: &str, options: OnFault, reporter: &mut Reporter) -> Policy {
    let interrupted = record::load(board).ok().filter(|last| last.harm == Harm::Partly);
    if let Some(last) = &interrupted {
        let same = last.image_sha256.as_deref() == Some(sha256);
        reporter.stage(format_args!(
            "the last update, {}, was interrupted{}",
            last.finished.as_deref().unwrap_or("some time ago"),
            if same {
                ": this one goes on where it stopped"
            } else {
                "; this one is of another image"
            }
        ));
    }
    // What an interrupted update left is nothing to go back to.
    let keep_old = match options.rollback && interrupted.is_none() {
        true => stages::memory::available()
            .unwrap_or_default()
            .saturating_sub(2 * OVERHEAD),
        false => 0,
    };
    Policy {
        keep_old,
        mark_bad: options.mark_bad,
    }
}
