//! The way without a takeover: nothing uses the partitions, and they are written while the system runs.

#![forbid(unsafe_code)]

use super::execute::{Execution, held, targets};
use super::note;
use super::policy::policy;
use super::prepare::Prepared;
use super::staged::StagedImage;
use super::volumes;
use crate::base::error::{Failure, Harm, Result};
use crate::base::outcome::{Outcome, Stopped};
use crate::board::{Board, Proof};
use crate::cli::Apply;
use crate::flash::{OnFault, Policy};
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
///
/// # Errors
/// Files that cannot be read, or that grew since they were measured; nothing was touched.
pub fn save(plan: &Plan, options: &Apply, directory: &Path) -> Result<Option<Task>> {
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
    let Some(changes) = &prepared.plan.volumes else {
        let proof = proof(board, prepared, files.as_ref())?;
        let place = Place {
            board,
            directory,
            proof,
        };
        let policy = policy_of(board, prepared, options, reporter);
        return execute(&place, prepared, staged, (policy, files), reporter);
    };
    // Whoever uses anything of it is found before the first volume is changed.
    let first = volumes::with(changes, targets(board, prepared.plan.touched(), files.as_ref()), board);
    let before = stages::prove_unheld_in_place(&board.map, &first).map_err(|holders| held(&holders))?;
    let partly = |failure: Failure| failure.harm(Harm::Partly);
    let of = (prepared.plan.image.sha256.as_str(), &prepared.versions);
    // What the last update left is told before this one stands on record.
    let policy = policy_of(board, prepared, options, reporter);
    note::ended(board, &note::interrupted(), of, reporter);
    let changed = volumes::change(changes, &before).and_then(|()| {
        let board = Board::discover(&options.at).map_err(partly)?;
        let proof = proof(&board, prepared, files.as_ref()).map_err(partly)?;
        Ok((board, proof))
    });
    let (board, proof) = changed.inspect_err(|failure| note::ended(board, failure, of, reporter))?;
    let place = Place {
        board: &board,
        directory,
        proof,
    };
    execute(&place, prepared, staged, (policy, files), reporter).map_err(|stopped| Stopped {
        failure: partly(stopped.failure),
        ..stopped
    })
}

/// That nothing uses what the plan writes.
fn proof(board: &Board, prepared: &Prepared, files: Option<&Task>) -> Result<Proof> {
    let targets = targets(board, prepared.plan.touched(), files);
    let proof = stages::prove_unheld_in_place(&board.map, &targets).map_err(|holders| held(&holders))?;
    Ok(Proof::Unheld(proof))
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
    let policy = policy_of(place.board, prepared, options, reporter);
    execute(place, prepared, staged, (policy, files), reporter)
}

fn policy_of(board: &Board, prepared: &Prepared, options: &Apply, reporter: &mut Reporter) -> Policy {
    let on_fault = on_fault(options.on_fault, prepared.plan.volumes.is_some());
    policy(board, &prepared.plan.image.sha256, on_fault, reporter)
}

/// What was in a volume of another size cannot be put back.
pub(super) fn on_fault(asked: OnFault, volumes: bool) -> OnFault {
    OnFault {
        rollback: asked.rollback && !volumes,
        ..asked
    }
}

fn execute(
    place: &Place<'_>,
    prepared: &Prepared,
    staged: &StagedImage,
    (policy, files): (Policy, Option<Task>),
    reporter: &mut Reporter,
) -> std::result::Result<Outcome, Stopped> {
    let plan = &prepared.plan;
    let execution = Execution {
        partly: false,
        board: place.board,
        steps: &plan.steps,
        sha256: &plan.image.sha256,
        versions: &prepared.versions,
        store: &staged.store,
        policy,
        proof: &place.proof,
        change: prepared.change.as_ref(),
        slot: plan.slot.as_ref(),
        volumes: plan.volumes.as_ref(),
        files: files.as_ref(),
        directory: place.directory,
    };
    let outcome = execution.run(reporter)?;
    reporter.result(format_args!("written and verified: {}", outcome.tally));
    Ok(outcome)
}
