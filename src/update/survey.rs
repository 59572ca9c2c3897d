//! Reads the flash, so that the plan says what is up to date.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::board::Board;
use crate::bytes::store::Store;
use crate::flash;
use crate::plan::{Step, Write};
use crate::report::Reporter;

/// The writes, each with what was found out about it.
///
/// # Errors
/// Flash that cannot be read.
pub(super) fn survey(board: &Board, writes: Vec<Write>, store: &Store, reporter: &mut Reporter) -> Result<Vec<Step>> {
    let total = writes.iter().map(Write::bytes).sum();
    let open = |write: &Write| {
        let partition = board
            .get(write.to.id)
            .ok_or_else(|| Failure::system(format_args!("{} is not there any more", write.to.label())))?;
        board.open(partition)
    };
    let surveys = flash::survey(&writes, store, open, |done| reporter.progress("comparing", done, total))?;
    let steps = writes.into_iter().zip(surveys).map(|(write, survey)| Step {
        write,
        survey: Some(survey),
    });
    Ok(steps.collect())
}
