//! Reads the flash, so that the plan says what is up to date.

#![forbid(unsafe_code)]

use super::prepare::Wanted;
use crate::base::error::{Failure, Result};
use crate::base::phase::Phase;
use crate::bytes::hashing::Hashing;
use crate::flash;
use crate::plan::{Step, Write};
use crate::report::Reporter;

/// The writes, each with what was found out about it. The checksum is made meanwhile where something differs.
/// What will have another shape by then cannot be compared now.
///
/// # Errors
/// Flash that cannot be read.
pub(super) fn survey(
    wanted: &Wanted<'_>,
    writes: Vec<Write>,
    hashing: &mut Option<Hashing>,
    reporter: &mut Reporter,
) -> Result<Vec<Step>> {
    let volumes = wanted.volumes.as_ref();
    let resized = |write: &Write| volumes.is_some_and(|volumes| volumes.resizes(write.to.id));
    let compared: Vec<Write> = writes.iter().filter(|write| !resized(write)).cloned().collect();
    let total = compared.iter().map(Write::bytes).sum();
    let open = |write: &Write| {
        let board = wanted.board;
        let partition = board
            .get(write.to.id)
            .ok_or_else(|| Failure::system(format_args!("{} is not there any more", write.to.label())))?;
        board.open(partition)
    };
    let surveys = flash::survey(&compared, &wanted.staged.store, hashing, open, |done| {
        reporter.progress(Phase::Comparing, done, total)
    })?;
    let mut surveys = surveys.into_iter();
    let step = |write: Write| match resized(&write) {
        true => Step::unread(write),
        false => Step {
            survey: surveys.next(),
            write,
        },
    };
    Ok(writes.into_iter().map(step).collect())
}
