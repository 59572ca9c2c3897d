//! `env`: shows the boot loader's environment, and changes it through the same plan and engine as `apply`.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::machine::Order;
use crate::base::outcome::Stopped;
use crate::base::units::hex;
use crate::board::lock::Lock;
use crate::board::usable;
use crate::board::{Board, Proof, Seat, volumes};
use crate::bytes::store::Store;
use crate::cmd::apply::{Broken, End, held, report, targets};
use crate::env::{Environment, Place, Variables};
use crate::flash::Policy;
use crate::plan::{ImageSummary, Plan, Ram, Write};
use crate::report::Reporter;
use crate::update::execute::{ENVIRONMENT, Work};
use crate::{checks, cli, plan};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::Path;

#[derive(Serialize)]
struct CopyReport<'a> {
    mtd: u32,
    partition: &'a str,
    offset: u64,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Report<'a> {
    size: u64,
    order: &'static str,
    copies: Vec<CopyReport<'a>>,
    variables: &'a Variables,
}

fn read(options: &cli::Env) -> Result<(Board, Environment)> {
    checks::known_checks(&options.force)?;
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    let place = Place::find(&board, options.config.as_deref())?;
    let environment = Environment::read(&board, place)?;
    Ok((board, environment))
}

/// Prints the environment, or one value of it.
///
/// # Errors
/// An environment that is not known or not whole; [`Exit::Different`] for a variable that it has not.
pub fn show(options: &cli::Env, reporter: &mut Reporter) -> Result<Exit> {
    let (board, environment) = read(options)?;
    let variables = &environment.variables;
    if let Some(name) = &options.name {
        let value = variables.get(name).ok_or_else(|| {
            Failure::new(
                Exit::Different,
                "not-set",
                format_args!("the environment has no {name}"),
            )
            .hint("flasher env")
        })?;
        match reporter.json() {
            true => reporter.object(&value),
            false => reporter.line(&value),
        }
        return Ok(Exit::Done);
    }
    let copies = environment.place.spots.iter().zip(&environment.copies).enumerate();
    let copies = copies
        .map(|(index, (spot, copy))| {
            Ok(CopyReport {
                mtd: spot.mtd,
                partition: &spot.partition(&board)?.name,
                offset: spot.offset,
                active: index == environment.active,
                flags: environment.place.redundant().then_some(copy.flags),
                problem: copy.problem,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if reporter.json() {
        reporter.object(&Report {
            size: environment.place.spots[0].size,
            order: environment.copies[environment.active].order.map_or("", Order::as_str),
            copies,
            variables,
        });
        return Ok(Exit::Done);
    }
    variables.lines().for_each(|line| reporter.line(&line));
    for copy in copies {
        let state = copy
            .problem
            .unwrap_or(if copy.active { "in use" } else { "the other copy" });
        reporter.detail(format_args!(
            "{} 0x{:x}: {state}",
            volumes::label(copy.mtd, copy.partition),
            copy.offset
        ));
    }
    Ok(Exit::Done)
}

/// Bytes of old content that are kept, of one write at a time; none of what UBI empties first.
fn kept(writes: &[Write]) -> u64 {
    let bytes = |write: &Write| match write.whole {
        true => 0,
        false => Plan::changing(std::slice::from_ref(write)),
    };
    writes
        .iter()
        .map(bytes)
        .max()
        .filter(|bytes| *bytes <= ENVIRONMENT)
        .unwrap_or(0)
}

/// Changes variables, and reports as `apply` does.
///
/// # Errors
/// What was reported.
pub fn set(options: &cli::Env, reporter: &mut Reporter) -> Result<Exit> {
    if options.dry_run {
        return attempt(options, reporter).map(|_| Exit::Done).map_err(|broken| {
            reporter.failure(&broken.failure);
            broken.failure
        });
    }
    reporter.events = true;
    let result = attempt(options, reporter);
    report(result, reporter)
}

fn attempt(options: &cli::Env, reporter: &mut Reporter) -> std::result::Result<End, Broken> {
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
    let mut checks = change.checks(&board);
    let route = checks::in_use(&board, &change.writes, checks::Wish::InPlace, &mut checks)?;
    let block = change.bytes.first().map(Vec::as_slice).unwrap_or_default();
    let plan = Plan {
        valid: checks::force(&mut checks, &options.force),
        route,
        board: board.profile.id.clone(),
        image: ImageSummary {
            format: "u-boot-env".into(),
            size: block.len() as u64,
            sha256: hex(&Sha256::digest(block)),
        },
        checks,
        writes: change.writes.clone(),
        ram: Ram {
            rollback: kept(&change.writes),
            ..Ram::default()
        },
        seconds: plan::seconds(&board, &change.writes, None),
        slot: None,
        keep: None,
    };
    match options.dry_run && reporter.json() {
        true => reporter.object(&plan),
        false => reporter.plan(&plan),
    }
    if let Some(refusal) = checks::refusal(&plan) {
        return Err(refusal.into());
    }
    if options.dry_run || plan.nothing_to_do() {
        return Ok(End::untouched("nothing-to-do"));
    }
    let proof = match (&board.seat, lock) {
        (Seat::Sim(_), Some(lock)) => Proof::Sim(lock),
        _ => {
            stages::signals::ignore_hangups();
            stages::prove_unheld_in_place(&targets(&board, &plan.writes, None))
                .map(Proof::Unheld)
                .map_err(|holders| held(&holders))?
        }
    };
    let work = Work {
        board: &board,
        writes: &[],
        sha256: &plan.image.sha256,
        store: &Store::Memory(Vec::new()),
        policy: Policy::default(),
        proof: &proof,
        change: Some(&change),
        slot: None,
        files: None,
        directory: Path::new("/"),
    };
    let verified = work
        .write(reporter)
        .map_err(|Stopped { failure, tally }| Broken { failure, tally })?;
    reporter.stage("the environment is written and verified");
    Ok(End {
        code: "written",
        harm: Harm::Written,
        tally: verified.tally,
        kept: None,
        reboot: None,
    })
}
