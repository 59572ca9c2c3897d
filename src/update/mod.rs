//! The pipeline of an update: stage → prepare → takeover → execute → end.
//!
//! The image is staged (read once, to where it will be written from), the plan is prepared (made once, and never changed after
//! its verdict), the box is taken over if something uses its flash, the plan is executed, and how it ended is told. `plan`,
//! `apply`, `verify`, `restore` and `env set` go the same way, each as far as it needs to.

#![forbid(unsafe_code)]

pub(crate) mod backup;
mod busybox;
mod deliver;
pub(crate) mod end;
mod environment;
pub mod execute;
pub(crate) mod handoff;
pub mod in_place;
mod members;
pub(crate) mod note;
mod offer;
mod partial;
pub mod pid_one;
mod policy;
pub mod prepare;
mod rescue;
pub mod stage;
pub mod staged;
mod survey;
mod takeover;
mod trust;
pub(crate) mod version;
mod volumes;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::outcome::{Outcome, Stopped};
use crate::base::quoted::Shown;
use crate::board::lock::Lock;
use crate::board::{Backend, Board, usable};
use crate::bytes::pushed;
use crate::checks;
use crate::cli::Apply;
use crate::image::signature::Keyring;
use crate::plan::{Plan, Route, VolumeChanges};
use crate::report::Reporter;
use crate::report::listen::{Door, Listen};
use in_place::InPlace;
use prepare::{Prepared, Purpose, Wanted, prepare};
use stage::{ImageSource, Staging};
use staged::StagedImage;
use stages::RamRoot;
use std::io::{self, IsTerminal, Write as _};

pub use environment::{read as read_environment, set as set_environment};

/// How a run ended, and whether the box is to be rebooted when that has been told.
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// Nobody else may begin before the reboot.
    reboot: Option<Lock>,
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Ended {
        Ended { outcome, reboot: None }
    }
}

/// Replaces the firmware, and reports how that ended as the last event.
///
/// # Errors
/// What was reported.
pub fn apply(options: &Apply, from: ImageSource, reporter: &mut Reporter) -> Result<Exit> {
    reporter.events = true;
    reporter.reach("begun");
    // In the rescue anybody may connect. Only who can sign an image hears anything but that.
    reporter.muted = stages::rescue::is_on() && options.image == "-";
    let attempt = attempt(options, from, reporter);
    let stranger = std::mem::take(&mut reporter.muted);
    match attempt {
        Err(_) if stranger => {
            let refused = Failure::new(Exit::ImageBad, Code::Signature, "refused");
            end::report(Err(refused.into()), reporter)
        }
        other => report(other, reporter),
    }
}

/// Reports how a run ended, and reboots where that is due.
///
/// # Errors
/// What was reported.
pub(crate) fn report(result: std::result::Result<Ended, Stopped>, reporter: &mut Reporter) -> Result<Exit> {
    let (result, reboot) = match result {
        Ok(Ended { outcome, reboot }) => (Ok(outcome), reboot),
        Err(stopped) => (Err(stopped), None),
    };
    let exit = end::report(result, reporter);
    reporter.hang_up();
    if let Some(_lock) = reboot {
        stages::power::reboot_behind_us();
    }
    exit
}

/// Prepares the plan and does nothing else. What only is looked at stays where it is.
///
/// # Errors
/// A box or an image that there can be no plan for.
pub fn plan_only(
    options: &Apply,
    from: ImageSource,
    purpose: Purpose,
    reporter: &mut Reporter,
) -> Result<(Board, Plan)> {
    let mut board = begin(options)?;
    // To compare, nothing needs to be signed.
    let keys = match purpose == Purpose::Compare && options.trust.key.is_none() {
        true => Keyring::default(),
        false => trust::keys(&board, options)?,
    };
    trust::check_rescue(&keys, options)?;
    let staged = staging(options, &board, from, &keys).where_it_lies(reporter)?;
    let volumes = match purpose {
        // What is there is compared as it is.
        Purpose::Compare => None,
        Purpose::Show | Purpose::Apply => foreseen(&mut board, &staged, options),
    };
    let wanted = Wanted {
        board: &board,
        staged: &staged,
        options,
        purpose,
        volumes,
    };
    let prepared = prepare(&wanted, reporter)?;
    Ok((board, prepared.plan))
}

/// What becomes of the volumes of a UBI; the board is as it will be then.
fn foreseen(board: &mut Board, staged: &StagedImage, options: &Apply) -> Option<VolumeChanges> {
    if board.is_sim() || !options.parts.is_empty() {
        return None;
    }
    let changes = volumes::wanted(board, &staged.image)?;
    volumes::foresee(board, &changes);
    Some(changes)
}

/// What every run needs before it looks at an image.
fn begin(options: &Apply) -> Result<Board> {
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    Ok(board)
}

/// What a run has from its beginning to its end.
struct Run<'a> {
    board: Board,
    /// The keys of which one must have signed the image.
    keys: Keyring,
    options: &'a Apply,
    /// The port at which it can be followed.
    door: Option<Door>,
}

fn staging<'a>(options: &'a Apply, board: &'a Board, from: ImageSource, keys: &'a Keyring) -> Staging<'a> {
    Staging {
        options,
        board,
        from,
        available: match board.is_sim() {
            true => Some(board.profile.ram),
            false => stages::memory::available(),
        },
        keys,
    }
}

/// The whole pipeline, up to what there is to report.
///
/// # Errors
/// Why the flash is not as it was wanted.
pub(crate) fn attempt(
    options: &Apply,
    from: ImageSource,
    reporter: &mut Reporter,
) -> std::result::Result<Ended, Stopped> {
    let terminal = io::stdin().is_terminal() && !options.reads_stdin();
    if !options.yes && !options.pushed && !terminal {
        let failure = Failure::usage(match options.reads_stdin() {
            true => "standard input is the image, so nobody can be asked",
            false => "standard input is not a terminal, so nobody can be asked",
        });
        return Err(failure.hint("add --yes").into());
    }
    let board = begin(options)?;
    let keys = trust::keys(&board, options)?;
    trust::check_rescue(&keys, options)?;
    // A port that cannot be had is told while nothing has been done.
    let door = options.listen.as_ref().map(Listen::open).transpose()?;
    match &board.backend {
        Backend::Sim(sim) => {
            let lock = Lock::of_sim(&sim.dir)?;
            let staged = staging(options, &board, from, &keys).in_memory(reporter)?;
            let Some(prepared) = decide(&board, None, &staged, options, reporter)? else {
                return Ok(Outcome::untouched(Code::NothingToDo).into());
            };
            door.into_iter().for_each(|door| reporter.serve(door));
            let update = InPlace::new(options, &prepared, &staged, &sim.dir)?;
            Ok(update.on_sim(&board, lock, reporter)?.into())
        }
        Backend::Linux => {
            let run = Run {
                board,
                keys,
                options,
                door,
            };
            on_this_box(run, from, reporter)
        }
    }
}

fn on_this_box(mut run: Run<'_>, from: ImageSource, reporter: &mut Reporter) -> std::result::Result<Ended, Stopped> {
    let options = run.options;
    let lock = Lock::of_this_box()?;
    let root = RamRoot::create().map_err(takeover::failed)?;
    let staged = staging(options, &run.board, from, &run.keys).in_ram_root(root.path(), reporter)?;
    reporter.muted = false;
    let volumes = foreseen(&mut run.board, &staged, options);
    let Some(prepared) = decide(&run.board, volumes, &staged, options, reporter)? else {
        return Ok(Outcome::untouched(Code::NothingToDo).into());
    };
    match prepared.plan.route {
        Route::InPlace => {
            run.door.into_iter().for_each(|door| reporter.serve(door));
            let update = InPlace::new(options, &prepared, &staged, root.path())?;
            let outcome = update.on_this_box(&run.board, reporter)?;
            drop((staged, root));
            let mut reboot = None;
            if !options.no_reboot {
                reporter.stage("rebooting into the new firmware");
                reboot = Some(lock);
            }
            Ok(Ended { outcome, reboot })
        }
        Route::Staged => Ok(takeover::take_over(run, prepared, &staged, root, reporter)?.into()),
    }
}

/// Plan, verdict, consent, backup. `None` when there is nothing to do.
fn decide(
    board: &Board,
    volumes: Option<VolumeChanges>,
    staged: &StagedImage,
    options: &Apply,
    reporter: &mut Reporter,
) -> Result<Option<Prepared>> {
    let wanted = Wanted {
        board,
        staged,
        options,
        purpose: Purpose::Apply,
        volumes,
    };
    let prepared = prepare(&wanted, reporter)?;
    let plan = &prepared.plan;
    reporter.plan(plan);
    if options.pushed {
        reporter.plan_as_text(plan);
    }
    if let Some(refusal) = checks::refusal(plan) {
        return Err(refusal);
    }
    if plan.nothing_to_do() {
        reporter.result("the flash is as the image wants it: nothing to do");
        return Ok(None);
    }
    if options.pushed {
        reporter.question(plan, &question(plan));
        agreed(pushed::answer()?)?;
    } else if !options.yes {
        ask(plan)?;
    }
    reporter.may_begin(plan)?;
    if let Some(dir) = &options.backup {
        let (all, _) = backup::everything(board, reporter);
        let copied = backup::copy(board, &all, dir, reporter)?;
        reporter.stage(format_args!("backup: {}{}", dir.display(), copied.keeps()));
    }
    Ok(Some(prepared))
}

/// What is asked before anything is touched.
fn question(plan: &Plan) -> String {
    let names: Vec<_> = plan.writes().map(|write| Shown(&write.to.name).to_string()).collect();
    format!("Write {}?", names.join(", "))
}

fn ask(plan: &Plan) -> Result<()> {
    let mut out = io::stdout();
    let _ = write!(out, "{} [y/N] ", question(plan));
    let _ = out.flush();
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    agreed(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn agreed(yes: bool) -> Result<()> {
    match yes {
        true => Ok(()),
        false => Err(Failure::new(Exit::Refused, Code::Declined, "not confirmed")
            .hint("to write it: the same command again, and y")),
    }
}
