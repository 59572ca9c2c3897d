//! `apply IMAGE`, `plan IMAGE` and `restore DIR`: everything before the first erase is decided here.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::outcome::{Fate, Stopped, Tally};
use crate::board::lock::Lock;
use crate::board::usable;
use crate::board::{Board, Proof, Seat};
use crate::bytes::store::Store;
use crate::checks::OVERHEAD;
use crate::flash::{OnFault, Policy, Verified};
use crate::keep::Task;
use crate::plan::{Plan, Route, Write};
use crate::report::{Outcome, Reporter};
use crate::update::execute::{Done, Work};
use crate::update::stage::Looked;
use crate::update::takeover::staged;
use crate::{checks, cli, flash, keep, record};
use stages::RamRoot;
use std::io::{self, IsTerminal, Write as _};
use std::path::Path;

/// What the operand names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// An image.
    Image,
    /// The directory of a backup.
    Backup,
    /// The directory into which a `.pat` was unpacked.
    Pat,
}

/// How an `apply` ends well.
pub(crate) struct End {
    pub(crate) code: &'static str,
    pub(crate) harm: Harm,
    pub(crate) tally: Tally,
    pub(crate) kept: Option<Fate>,
    /// The box is to be rebooted when this has been told; nobody else may begin before.
    pub(crate) reboot: Option<Lock>,
}

impl End {
    pub(crate) fn untouched(code: &'static str) -> End {
        End {
            code,
            harm: Harm::Untouched,
            tally: Tally::default(),
            kept: None,
            reboot: None,
        }
    }
}

/// How it ends otherwise.
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    pub(crate) tally: Tally,
}

impl std::convert::From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        Broken {
            failure,
            tally: Tally::default(),
        }
    }
}

/// Runs the verb and reports its outcome.
///
/// # Errors
/// What was reported.
pub fn run(options: cli::Apply, from: From, reporter: &mut Reporter) -> Result<Exit> {
    if options.dry_run {
        return dry_run(&options, from, reporter);
    }
    reporter.events = true;
    reporter.reach("begun");
    let mut result = attempt(&options, from, reporter);
    let reboot = result.as_mut().ok().and_then(|end| end.reboot.take());
    let exit = report(result, reporter);
    if let Some(_lock) = reboot {
        stages::power::reboot_behind_us();
    }
    exit
}

/// Reports how it ended, as the last event.
pub(crate) fn report(result: std::result::Result<End, Broken>, reporter: &mut Reporter) -> Result<Exit> {
    let outcome = match &result {
        Ok(end) => Outcome {
            ok: true,
            exit: Exit::Done,
            harm: end.harm,
            code: end.code.into(),
            tally: end.tally,
            kept: end.kept.clone(),
        },
        Err(broken) => {
            reporter.failure(&broken.failure);
            Outcome {
                ok: false,
                exit: broken.failure.exit,
                harm: broken.failure.harm,
                code: broken.failure.code.into(),
                tally: broken.tally,
                kept: None,
            }
        }
    };
    reporter.outcome(&outcome);
    match result {
        Ok(_) => Ok(Exit::Done),
        Err(broken) => Err(broken.failure),
    }
}

/// Prints the plan. The exit code is that of the refusal `apply` would end with.
fn dry_run(options: &cli::Apply, from: From, reporter: &mut Reporter) -> Result<Exit> {
    let plan = (|| {
        let board = begin(options)?;
        let available = match board.is_sim() {
            true => Some(board.profile.ram),
            false => stages::memory::available(),
        };
        let looked = Looked::at(options, &board, from, available)?;
        let mut plan = looked.plan(&board, options, available, &mut |writes| {
            survey(&board, writes, &looked.store, reporter)
        })?;
        keep::judge(&board, &options.files, &options.force, &looked.store, &mut plan)?;
        looked.hash(&mut plan, reporter)?;
        Ok(plan)
    })();
    let plan = match plan {
        Ok(plan) => plan,
        Err(failure) => {
            reporter.failure(&failure);
            return Err(failure);
        }
    };
    match reporter.json() {
        true => reporter.object(&plan),
        false => reporter.plan(&plan),
    }
    match checks::refusal(&plan) {
        None => Ok(Exit::Done),
        Some(refusal) => {
            if !reporter.json() {
                reporter.failure(&refusal);
            }
            Err(refusal)
        }
    }
}

/// What every run needs before it looks at an image.
fn begin(options: &cli::Apply) -> Result<Board> {
    checks::known_checks(&options.force)?;
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    Ok(board)
}

fn attempt(options: &cli::Apply, from: From, reporter: &mut Reporter) -> std::result::Result<End, Broken> {
    let terminal = io::stdin().is_terminal() && options.image != "-";
    if !options.yes && !terminal {
        return Err(Failure::usage("standard input is no terminal, so nobody can be asked")
            .hint("add --yes")
            .into());
    }
    let board = begin(options)?;
    match &board.seat {
        Seat::Sim(sim) => {
            let lock = Lock::of_sim(&sim.dir)?;
            let looked = Looked::into_memory(options, &board, from)?;
            let plan = decide(&board, &looked, options, Some(board.profile.ram), reporter)?;
            match plan {
                None => Ok(End::untouched("nothing-to-do")),
                Some(plan) => {
                    let files = save(&plan, options, &sim.dir)?;
                    write_now(
                        &board,
                        &plan,
                        &looked.store,
                        options.keep,
                        (files, &sim.dir),
                        &Proof::Sim(lock),
                        reporter,
                    )
                }
            }
        }
        Seat::Linux => on_this_box(&board, options, from, reporter),
    }
}

fn on_this_box(
    board: &Board,
    options: &cli::Apply,
    from: From,
    reporter: &mut Reporter,
) -> std::result::Result<End, Broken> {
    let lock = Lock::of_this_box()?;
    let available = stages::memory::available();
    let root = RamRoot::create().map_err(Failure::system)?;
    let looked = Looked::into_ram_root(options, board, from, root.path(), available, reporter)?;
    let Some(plan) = decide(board, &looked, options, available, reporter)? else {
        return Ok(End::untouched("nothing-to-do"));
    };
    match plan.route {
        Route::InPlace => {
            let files = save(&plan, options, root.path())?;
            let mut end = in_place(
                board,
                &plan,
                &looked.store,
                options.keep,
                (files, root.path()),
                reporter,
            )?;
            drop((looked, root));
            if !options.no_reboot {
                reporter.stage("rebooting into the new firmware");
                end.reboot = Some(lock);
            }
            Ok(end)
        }
        Route::Staged => Ok(staged(board, (plan, &looked), options, root, reporter)?),
    }
}

/// Plan, verdict, consent, backup. `None` when there is nothing to do.
fn decide(
    board: &Board,
    looked: &Looked,
    options: &cli::Apply,
    available: Option<u64>,
    reporter: &mut Reporter,
) -> Result<Option<Plan>> {
    let mut plan = looked.plan(board, options, available, &mut |writes| {
        survey(board, writes, &looked.store, reporter)
    })?;
    keep::judge(board, &options.files, &options.force, &looked.store, &mut plan)?;
    // What is on the flash already was found by comparing all of it.
    if !plan.nothing_to_do() {
        looked.hash(&mut plan, reporter)?;
    }
    reporter.plan(&plan);
    if let Some(refusal) = checks::refusal(&plan) {
        return Err(refusal);
    }
    if plan.nothing_to_do() {
        reporter.stage("the flash is as the image wants it: nothing to do");
        return Ok(None);
    }
    if !options.yes {
        ask(&plan)?;
    }
    if let Some(dir) = &options.backup {
        // Volumes are in the copies of what they lie on.
        let all: Vec<_> = board.partitions.iter().filter(|p| p.volume.is_none()).collect();
        crate::cmd::backup::copy(board, &all, dir, reporter)?;
        reporter.stage(format_args!("backup: {}", dir.display()));
    }
    Ok(Some(plan))
}

fn ask(plan: &Plan) -> Result<()> {
    let names: Vec<_> = plan.writes.iter().map(|write| write.partition.as_str()).collect();
    let mut out = io::stdout();
    let _ = write!(out, "Write {}? [y/N] ", names.join(", "));
    let _ = out.flush();
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    match ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Failure::new(Exit::Refused, "declined", "not confirmed")),
    }
}

fn in_place(
    board: &Board,
    plan: &Plan,
    store: &Store,
    keep: OnFault,
    files: (Option<Task>, &Path),
    reporter: &mut Reporter,
) -> std::result::Result<End, Broken> {
    stages::signals::ignore_hangups();
    if let Err(error) = stages::memory::protect() {
        reporter.warning(format_args!("memory could not be locked: {error}"));
    }
    let targets = targets(board, &plan.touched(), files.0.as_ref());
    let proof = stages::prove_unheld_in_place(&targets).map_err(|holders| held(&holders))?;
    write_now(board, plan, store, keep, files, &Proof::Unheld(proof), reporter)
}

/// Saves what the plan keeps.
pub(crate) fn save(plan: &Plan, options: &cli::Apply, directory: &Path) -> Result<Option<Task>> {
    plan.keep
        .as_ref()
        .map(|keeping| keep::save(keeping, directory, options.backup.as_deref()))
        .transpose()
}

/// The partitions that will be written, the record's among them.
pub(crate) fn targets(board: &Board, writes: &[Write], files: Option<&Task>) -> Vec<stages::MtdTarget> {
    let record = board.record_partition().map(|partition| partition.mtd);
    let files = files.and_then(Task::write);
    let mut targets = board.targets(
        board
            .partitions
            .iter()
            .filter(|partition| writes.iter().chain(files).any(|write| write.mtd == partition.mtd)),
    );
    // A record's partition that is in use is not written, and no reason against the update.
    let record = board.targets(
        board
            .partitions
            .iter()
            .filter(|partition| record == Some(partition.mtd)),
    );
    if stages::holders(&record).is_ok_and(|holders| holders.is_empty()) {
        targets.extend(record);
    }
    targets
}

/// What is said when the proof fails.
pub(crate) fn held(holders: &[stages::Holder]) -> Failure {
    let names: Vec<_> = holders.iter().map(ToString::to_string).collect();
    Failure::new(
        Exit::Busy,
        "held",
        format_args!("the flash is in use: {}", names.join("; ")),
    )
    .hint("end that use and try again")
}

fn write_now(
    board: &Board,
    plan: &Plan,
    store: &Store,
    keep: OnFault,
    (files, directory): (Option<Task>, &Path),
    proof: &Proof,
    reporter: &mut Reporter,
) -> std::result::Result<End, Broken> {
    let policy = policy(board, &plan.image.sha256, keep, reporter);
    let work = Work {
        board,
        writes: &plan.writes,
        sha256: &plan.image.sha256,
        store,
        policy,
        proof,
        change: plan.slot.as_ref().map(|slot| &slot.environment),
        slot: plan.slot.as_ref(),
        files: files.as_ref(),
        directory,
    };
    match work.run(reporter) {
        Ok(Done {
            verified: Verified { tally, .. },
            kept,
        }) => {
            reporter.stage(format_args!("written and verified: {tally}"));
            Ok(End {
                code: "written",
                harm: Harm::Written,
                tally,
                kept,
                reboot: None,
            })
        }
        Err(Stopped { failure, tally }) => Err(Broken { failure, tally }),
    }
}

/// Says whether this run goes on where another stopped, and how faults are met. What is right already is found by
/// comparing, not by believing the record.
pub(crate) fn policy(board: &Board, sha256: &str, options: OnFault, reporter: &mut Reporter) -> Policy {
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

/// Fills in what is right already.
///
/// # Errors
/// Flash that cannot be read.
pub(crate) fn survey(board: &Board, writes: &mut [Write], store: &Store, reporter: &mut Reporter) -> Result<()> {
    let total = writes.iter().map(Write::bytes).sum();
    flash::survey(
        writes,
        store,
        |write| {
            let partition = board.partition(&format!("mtd{}", write.mtd)).map_err(Failure::system)?;
            board.open(partition)
        },
        |done| reporter.progress("comparing", done, total),
    )
}
