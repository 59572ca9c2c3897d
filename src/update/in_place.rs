//! The way without a takeover: nothing uses the partitions, and they are written while the system runs.

#![forbid(unsafe_code)]

use super::execute::{Execution, held, targets};
use super::policy::policy;
use super::prepare::Prepared;
use super::stage::StagedImage;
use crate::base::error::Result;
use crate::base::outcome::{Outcome, Stopped};
use crate::board::{Board, Proof};
use crate::cli::Apply;
use crate::keep::{self, Task};
use crate::plan::Plan;
use crate::report::Reporter;
use std::path::Path;

/// Where it happens.
pub(super) struct Place<'a> {
    /// The box.
    pub board: &'a Board,
    /// Where the tar of kept files is meanwhile.
    pub directory: &'a Path,
    /// That nobody else is at the flash.
    pub proof: Proof,
}

/// Saves what the plan keeps.
pub(super) fn save(plan: &Plan, options: &Apply, directory: &Path) -> Result<Option<Task>> {
    plan.keep
        .as_ref()
        .map(|kept| keep::save(kept, directory, options.backup.as_deref()))
        .transpose()
}

/// On the box that we run on: proves that nothing uses the partitions, and writes.
pub(super) fn on_this_box(
    (board, directory): (&Board, &Path),
    prepared: &Prepared,
    staged: &StagedImage,
    options: &Apply,
    reporter: &mut Reporter,
) -> std::result::Result<Outcome, Stopped> {
    let files = save(&prepared.plan, options, directory)?;
    stages::signals::ignore_hangups();
    if let Err(error) = stages::memory::protect() {
        reporter.warning(format_args!("memory could not be locked: {error}"));
    }
    let targets = targets(board, prepared.plan.touched(), files.as_ref());
    let proof = stages::prove_unheld_in_place(&board.map, &targets).map_err(|holders| held(&holders))?;
    let place = Place {
        board,
        directory,
        proof: Proof::Unheld(proof),
    };
    execute(&place, prepared, staged, (options, files), reporter)
}

/// Writes, against a proof that is there.
pub(super) fn write(
    place: &Place<'_>,
    prepared: &Prepared,
    staged: &StagedImage,
    options: &Apply,
    reporter: &mut Reporter,
) -> std::result::Result<Outcome, Stopped> {
    let files = save(&prepared.plan, options, place.directory)?;
    execute(place, prepared, staged, (options, files), reporter)
}

fn execute(
    place: &Place<'_>,
    prepared: &Prepared,
    staged: &StagedImage,
    (options, files): (&Apply, Option<Task>),
    reporter: &mut Reporter,
) -> std::result::Result<Outcome, Stopped> {
    let plan = &prepared.plan;
    let execution = Execution {
        board: place.board,
        steps: &plan.steps,
        sha256: &plan.image.sha256,
        store: &staged.store,
        policy: policy(place.board, &plan.image.sha256, options.on_fault, reporter),
        proof: &place.proof,
        change: prepared.change.as_ref(),
        slot: plan.slot.as_ref(),
        files: files.as_ref(),
        directory: place.directory,
    };
    let outcome = execution.run(reporter)?;
    reporter.stage(format_args!("written and verified: {}", outcome.tally));
    Ok(outcome)
}
