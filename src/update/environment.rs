//! `env set`: the boot loader's environment is changed through the same plan and engine as the firmware.

#![forbid(unsafe_code)]

use super::end;
use super::execute::{Execution, held, targets};
use super::prepare::{Prepared, of_environment};
use crate::base::code::Code;
use crate::base::error::{Exit, Result};
use crate::base::outcome::{Outcome, Stopped};
use crate::board::lock::Lock;
use crate::board::{Backend, Board, Proof, usable};
use crate::bytes::store::Store;
use crate::checks;
use crate::cli::Env;
use crate::env::{Environment, Place};
use crate::flash::Policy;
use crate::report::Reporter;
use std::path::Path;

/// Reads the environment of the box that is meant.
///
/// # Errors
/// A box that is none, or an environment that is not known or not whole.
pub fn read(options: &Env) -> Result<(Board, Environment)> {
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    let place = Place::find(&board, options.config.as_deref())?;
    let environment = Environment::read(&board, place)?;
    Ok((board, environment))
}

/// Changes variables, and reports as `apply` does.
///
/// # Errors
/// What was reported.
pub fn set(options: &Env, reporter: &mut Reporter) -> Result<Exit> {
    if options.dry_run {
        return attempt(options, reporter).map(|_| Exit::Done).map_err(|stopped| {
            reporter.failure(&stopped.failure);
            stopped.failure
        });
    }
    reporter.events = true;
    let result = attempt(options, reporter);
    end::report(result, reporter)
}

fn attempt(options: &Env, reporter: &mut Reporter) -> std::result::Result<Outcome, Stopped> {
    // Locked before it is read: two that change different variables must not undo each other.
    let lock = match &options.at.sim {
        _ if options.dry_run => None,
        Some(dir) if dir.is_dir() => Some(Lock::of_sim(dir)?),
        Some(_) => None,
        None => {
            usable::root(false)?;
            Some(Lock::of_this_box()?)
        }
    };
    let (board, environment) = read(options)?;
    let change = environment.change(&board, &options.set)?;
    let Prepared { plan, change, versions } = of_environment(&board, change, &options.force)?;
    match options.dry_run && reporter.json() {
        true => reporter.object(&plan),
        false => reporter.plan(&plan),
    }
    if let Some(refusal) = checks::refusal(&plan) {
        return Err(refusal.into());
    }
    if options.dry_run || plan.nothing_to_do() {
        return Ok(Outcome::untouched(Code::NothingToDo));
    }
    let proof = match (&board.backend, lock) {
        (Backend::Sim(_), Some(lock)) => Proof::Sim(lock),
        _ => {
            stages::signals::ignore_hangups();
            let targets = targets(&board, plan.writes(), None);
            stages::prove_unheld_in_place(&board.map, &targets)
                .map(Proof::Unheld)
                .map_err(|holders| held(&holders))?
        }
    };
    let execution = Execution {
        partly: false,
        board: &board,
        steps: &[],
        sha256: &plan.image.sha256,
        versions: &versions,
        store: &Store::Memory(Vec::new()),
        policy: Policy::default(),
        proof: &proof,
        change: change.as_ref(),
        slot: None,
        volumes: None,
        files: None,
        directory: Path::new("/"),
    };
    let verified = execution.write(reporter)?;
    reporter.result("the environment is written and verified");
    Ok(Outcome::written(verified.tally))
}
