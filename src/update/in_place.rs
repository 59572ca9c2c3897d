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
use crate::board::lock::Lock;
use crate::board::{Board, Proof};
use crate::cli::Apply;
use crate::flash::{OnFault, Policy};
use crate::keep::{self, Task};
use crate::plan::Plan;
use crate::report::Reporter;
use std::path::Path;

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

/// What was in a volume of another size cannot be put back.
pub(super) fn on_fault(asked: OnFault, volumes: bool) -> OnFault {
    OnFault {
        rollback: asked.rollback && !volumes,
        ..asked
    }
}

/// An update that is written while the system runs.
pub(super) struct InPlace<'a> {
    options: &'a Apply,
    prepared: &'a Prepared,
    staged: &'a StagedImage,
    /// Where the tar of kept files is meanwhile.
    directory: &'a Path,
    files: Option<Task>,
}

impl<'a> InPlace<'a> {
    /// Saves what the plan keeps.
    ///
    /// # Errors
    /// As of [`save`].
    pub(super) fn new(
        options: &'a Apply,
        prepared: &'a Prepared,
        staged: &'a StagedImage,
        directory: &'a Path,
    ) -> Result<InPlace<'a>> {
        Ok(InPlace {
            options,
            prepared,
            staged,
            directory,
            files: save(&prepared.plan, options, directory)?,
        })
    }

    /// On a simulated box: its lock proves that nobody else is at the flash.
    pub(super) fn on_sim(
        &self,
        board: &Board,
        lock: Lock,
        reporter: &mut Reporter,
    ) -> std::result::Result<Outcome, Stopped> {
        let policy = self.policy(board, reporter);
        self.execute(board, &Proof::Sim(lock), policy, reporter)
    }

    /// On the box that we run on: proves that nothing uses the partitions, and writes.
    pub(super) fn on_this_box(&self, board: &Board, reporter: &mut Reporter) -> std::result::Result<Outcome, Stopped> {
        stages::signals::ignore_hangups();
        if let Err(error) = stages::memory::protect() {
            reporter.warning(format_args!("memory could not be locked: {error}"));
        }
        let Prepared { plan, versions, .. } = self.prepared;
        let Some(changes) = &plan.volumes else {
            let proof = self.proof(board)?;
            let policy = self.policy(board, reporter);
            return self.execute(board, &proof, policy, reporter);
        };
        // Whoever uses anything of it is found before the first volume is changed.
        let first = volumes::with(changes, targets(board, plan.touched(), self.files.as_ref()), board);
        let before = stages::prove_unheld_in_place(&board.map, &first).map_err(|holders| held(&holders))?;
        let partly = |failure: Failure| failure.harm(Harm::Partly);
        let sha256 = &plan.image.sha256;
        // What the last update left is told before this one stands on record.
        let policy = self.policy(board, reporter);
        note::ended(board, &note::interrupted(), sha256, versions, reporter);
        let changed = volumes::change(changes, &before).and_then(|()| {
            let board = Board::discover(&self.options.at).map_err(partly)?;
            let proof = self.proof(&board).map_err(partly)?;
            Ok((board, proof))
        });
        let (board, proof) = changed.inspect_err(|failure| note::ended(board, failure, sha256, versions, reporter))?;
        self.execute(&board, &proof, policy, reporter)
            .map_err(|stopped| Stopped {
                failure: partly(stopped.failure),
                ..stopped
            })
    }

    /// That nothing uses what the plan writes.
    fn proof(&self, board: &Board) -> Result<Proof> {
        let targets = targets(board, self.prepared.plan.touched(), self.files.as_ref());
        let proof = stages::prove_unheld_in_place(&board.map, &targets).map_err(|holders| held(&holders))?;
        Ok(Proof::Unheld(proof))
    }

    fn policy(&self, board: &Board, reporter: &mut Reporter) -> Policy {
        let plan = &self.prepared.plan;
        let on_fault = on_fault(self.options.on_fault, plan.volumes.is_some());
        policy(board, &plan.image.sha256, on_fault, reporter)
    }

    /// Writes, against a proof that is there.
    fn execute(
        &self,
        board: &Board,
        proof: &Proof,
        policy: Policy,
        reporter: &mut Reporter,
    ) -> std::result::Result<Outcome, Stopped> {
        let Prepared { plan, change, versions } = self.prepared;
        let execution = Execution {
            partly: false,
            board,
            steps: &plan.steps,
            sha256: &plan.image.sha256,
            versions,
            store: &self.staged.store,
            policy,
            proof,
            change: change.as_ref(),
            slot: plan.slot.as_ref(),
            volumes: plan.volumes.as_ref(),
            files: self.files.as_ref(),
            directory: self.directory,
        };
        let outcome = execution.run(reporter)?;
        reporter.result(format_args!("written and verified: {}", outcome.tally));
        Ok(outcome)
    }
}
