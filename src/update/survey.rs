//! Reads the flash, so that the plan says what is up to date.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::phase::Phase;
use crate::board::Board;
use crate::bytes::hashing::Hashing;
use crate::bytes::store::Store;
use crate::flash;
use crate::plan::{Step, Write};
use crate::report::Reporter;

/// The writes, each with what was found out about it. The checksum is made meanwhile where something differs.
///
/// # Errors
/// Flash that cannot be read.
pub(super) fn survey(
    board: &Board,
    writes: Vec<Write>,
    store: &Store,
    hashing: &mut Option<Hashing>,
    (later, reporter): (&dyn Fn(&Write) -> bool, &mut Reporter),
) -> Result<Vec<Step>> {
    // What will have another shape by then cannot be compared now.
    if writes.iter().any(later) {
        let (unread, others): (Vec<_>, Vec<_>) = writes.iter().cloned().partition(later);
        let mut read = survey(board, others, store, hashing, (&|_| false, reporter))?.into_iter();
        let mut step = |write: Write| match unread.contains(&write) {
            true => Some(Step::unread(write)),
            false => read.next(),
        };
        return Ok(writes.into_iter().filter_map(&mut step).collect());
    }
    let total = writes.iter().map(Write::bytes).sum();
    let open = |write: &Write| {
        let partition = board
            .get(write.to.id)
            .ok_or_else(|| Failure::system(format_args!("{} is not there any more", write.to.label())))?;
        board.open(partition)
    };
    let surveys = flash::survey(&writes, store, hashing, open, |done| {
        reporter.progress(Phase::Comparing, done, total)
    })?;
    let steps = writes.into_iter().zip(surveys).map(|(write, survey)| Step {
        write,
        survey: Some(survey),
    });
    Ok(steps.collect())
}
