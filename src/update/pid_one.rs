//! The rest of `apply`, as PID 1: nothing of the old system is left but the kernel.
//!
//! Every path ends in a reboot into a firmware that is whole, or in the rescue.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Harm, Result};
use crate::base::outcome::{Outcome, Stopped, Tally};
use crate::base::units::Size;
use crate::board::selector::Where;
use crate::board::{Board, Proof};
use crate::bytes::joined::Joined;
use crate::bytes::packed::Packed;
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::flash::Policy;
use crate::plan::Step;
use crate::report::{Global, Reporter};
use crate::update::execute::{Execution, held, targets};
use crate::update::handoff::{Job, Stamp, image_path};
use crate::update::members;
use crate::update::policy::policy;
use crate::update::{note, rescue, volumes};
use stages::{Detached, PidOne};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Tries of the whole update, each of which goes on where the one before stopped.
const ATTEMPTS: u32 = 3;

/// Does the job and never returns.
pub fn run(pid_one: PidOne) -> ! {
    let mut reporter = Reporter::new(&Global::default());
    let mut job = None;
    let (outcome, firmware) = match finish(pid_one, &mut job, &mut reporter) {
        Ok(outcome) => (outcome, "new"),
        Err(failure) => {
            let outcome = Outcome::failed(&failure, Tally::default());
            if failure.harm != Harm::Untouched {
                // Whoever follows can do so as long as the box waits.
                reporter.outcome(&outcome);
                rescue::run(&failure.to_string(), job)
            }
            (outcome, "old")
        }
    };
    reporter.stage(format_args!("rebooting into the {firmware} firmware"));
    reporter.outcome(&outcome);
    reporter.hang_up();
    stages::power::reboot()
}

/// Every failure is said as soon as it is known: what comes after it may take long, or may not come back.
fn finish(pid_one: PidOne, job: &mut Option<Job>, reporter: &mut Reporter) -> Result<Outcome> {
    let unpacked = Job::unpack(pid_one.handoff()).inspect_err(|failure| reporter.failure(failure))?;
    let job = &*job.insert(unpacked);
    reporter.reached.clone_from(&job.reached);
    stages::set_flash_touched(job.partly);
    if let Some(at) = &job.listen {
        reporter.serve_again(at.clone());
    }
    reporter.reach("taken over");
    let detached = match pid_one.detach(&mut |event| reporter.stage(event)) {
        Ok(detached) => detached,
        Err(error) => {
            let (_pid_one, error) = *error;
            let failure = Failure::new(Exit::Busy, Code::Held, &error).hint(error.remedy());
            return Err(untouched(job, failure, reporter));
        }
    };
    reporter.reach("old root gone");
    match ready(job, &detached, reporter) {
        Ok(ready) => write(job, &ready, reporter).inspect_err(|failure| reporter.failure(failure)),
        Err(failure) => Err(untouched(job, failure, reporter)),
    }
}

/// What must be true before the first erase.
struct Ready {
    board: Board,
    store: Store<'static>,
    proof: Proof,
    policy: Policy,
}

fn ready(job: &Job, detached: &Detached, reporter: &mut Reporter) -> Result<Ready> {
    let at = Where {
        sim: None,
        board: job.board.clone(),
    };
    let mut board = Board::discover(&at)?;
    // The bytes that were checked are the bytes that are written. That nobody changed them meanwhile show the stamps, or else
    // the checksum, which takes its time.
    let stamped = (0..job.packings.len()).all(|index| {
        let now = Stamp::of(&image_path(Path::new("/"), index));
        now.is_some() && job.stamps.get(index).copied().flatten() == now
    });
    let mut files = Vec::new();
    for index in 0..job.packings.len() {
        files.push(delivered(index, stamped)?);
    }
    let sha256 = match files.as_slice() {
        _ if stamped => job.sha256.clone(),
        [(_, sha256)] => sha256.clone(),
        _ => Joined::files(files.iter().map(|(store, _)| Arc::clone(store)).collect())
            .into_store()
            .sha256(&mut |_| ())
            .map_err(Failure::system)?,
    };
    if sha256 != job.sha256 {
        return Err(Failure::new(
            Exit::ImageBad,
            Code::ImageChanged,
            "the image is not the one that was checked",
        ));
    }
    let opened = files
        .into_iter()
        .zip(&job.packings)
        .map(|((store, _), packing)| match packing {
            None => store,
            Some(packing) => Arc::new(Store::Packed(Packed::again(store, *packing))),
        });
    let store = members::reopen(Joined::files(opened.collect()).into_store(), &job.members);
    // What the last update left is told before this one stands on record.
    let policy = policy(&board, &job.sha256, job.on_fault, reporter);
    if let Some(changes) = &job.volumes {
        // Whoever uses anything of it is found before the first volume is changed.
        let first = volumes::with(changes, targets(&board, &job.writes, job.files.as_ref()), &board);
        detached.detach_ubi(&board.map, &first, &mut |event| reporter.stage(event));
        let before = detached
            .prove_unheld(&board.map, &first)
            .map_err(|holders| held(&holders))?;
        reporter.stage("nothing holds the volumes any more: they get their new sizes");
        stages::set_flash_touched(true);
        note::ended(&board, &note::interrupted(), &job.sha256, &job.versions, reporter);
        volumes::change(changes, &before)?;
        board = Board::discover(&at).map_err(|failure| changed(job, failure))?;
    }
    let targets = targets(&board, &job.writes, job.files.as_ref());
    detached.detach_ubi(&board.map, &targets, &mut |event| reporter.stage(event));
    let proof = detached
        .prove_unheld(&board.map, &targets)
        .map_err(|holders| changed(job, held(&holders)))?;
    Ok(Ready {
        board,
        store,
        proof: Proof::Unheld(proof),
        policy,
    })
}

/// Once the volumes were changed the old system does not start any more, whatever fails then.
fn changed(job: &Job, failure: Failure) -> Failure {
    match job.volumes {
        Some(_) => failure.harm(Harm::Partly),
        None => failure,
    }
}

/// A file of the image, and its checksum where it is not known to be what it was.
fn delivered(index: usize, stamped: bool) -> Result<(Arc<Store<'static>>, String)> {
    let path = image_path(Path::new("/"), index);
    if stamped {
        let store = File::open(&path).and_then(Store::file).context(path.display())?;
        return Ok((Arc::new(store), String::new()));
    }
    // What was put in the place of a file that stayed where others can write could keep process 1 for ever.
    if !path.is_file() {
        return Err(Failure::new(
            Exit::ImageBad,
            Code::ImageChanged,
            format_args!("{}: the image is not there any more", path.display()),
        ));
    }
    let image = path.display().to_string();
    let source = Source::open(&image)?;
    // A link leads to the disk on which it stays.
    let (store, sha256) = match path.is_symlink() {
        true => source.on_disk(&mut |_| ())?,
        false => source.in_place()?,
    };
    Ok((Arc::new(store), sha256))
}

fn write(job: &Job, ready: &Ready, reporter: &mut Reporter) -> Result<Outcome> {
    let Ready {
        board,
        store,
        proof,
        policy,
    } = ready;
    reporter.stage("nothing holds the flash any more: writing");
    let steps: Vec<_> = job.writes.iter().cloned().map(Step::unread).collect();
    let partly = job.partly || job.volumes.is_some();
    let mut execution = Execution {
        partly,
        board,
        steps: &steps,
        sha256: &job.sha256,
        versions: &job.versions,
        store,
        policy: *policy,
        proof,
        change: None,
        slot: None,
        volumes: job.volumes.as_ref(),
        files: job.files.as_ref(),
        directory: Path::new("/"),
    };
    stages::set_flash_touched(true);
    let result = attempts(*policy, partly, |policy, last| {
        if let Some(last) = last {
            reporter.warning(format_args!("{last}; once more"));
        }
        execution.policy = policy;
        execution.run(reporter)
    });
    let partly = matches!(&result, Err(failure) if failure.harm != Harm::Untouched);
    stages::set_flash_touched(partly);
    let outcome = result?;
    summary(&outcome, store, reporter);
    Ok(outcome)
}

/// Runs it, and again where it failed with the flash half written; then with why it failed before. `partly`: it is not
/// the old firmware that is there now. What a second attempt finds and could put back is not that either.
fn attempts(
    mut policy: Policy,
    mut partly: bool,
    mut run: impl FnMut(Policy, Option<&Failure>) -> std::result::Result<Outcome, Stopped>,
) -> Result<Outcome> {
    let mut last = None;
    for _ in 1..=ATTEMPTS {
        let failure = match run(policy, last.as_ref()) {
            Ok(outcome) => return Ok(outcome),
            Err(stopped) if partly => stopped.failure.harm(Harm::Partly),
            Err(stopped) if stopped.failure.harm == Harm::Untouched => return Err(stopped.failure),
            Err(stopped) => stopped.failure,
        };
        partly = true;
        policy.keep_old = 0;
        last = Some(failure);
    }
    Err(last.unwrap_or_else(|| Failure::system("nothing was tried").harm(Harm::Partly)))
}

fn summary(outcome: &Outcome, store: &Store, reporter: &mut Reporter) {
    reporter.result(format_args!("written and verified: {}", outcome.tally));
    if let Some(peak) = stages::memory::peak() {
        // The image lies in the RAM root and is read in chunks, so none of it counts as ours.
        let own = peak.high_water.saturating_sub(outcome.old_content);
        reporter.stage(format_args!(
            "memory: {} at the most ({own} bytes), beside the image of {} and {} of old content",
            Size(own),
            Size(store.delivered_length()),
            Size(outcome.old_content)
        ));
    }
}

/// Tells an end that left the flash alone, and keeps its record. What an update in place left half written in this boot is no less so,
/// and not to be rebooted into.
fn untouched(job: &Job, failure: Failure, reporter: &mut Reporter) -> Failure {
    let failure = match job.partly {
        true => failure.harm(Harm::Partly),
        false => failure,
    };
    reporter.failure(&failure);
    let place = Where {
        sim: None,
        board: job.board.clone(),
    };
    match Board::discover(&place) {
        Ok(board) => note::ended(&board, &failure, &job.sha256, &job.versions, reporter),
        Err(error) => reporter.warning(format_args!("the outcome could not be kept: {error}")),
    }
    failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The ends of the attempts, and what each was allowed to keep.
    fn of(ends: &[Option<Harm>], partly: bool) -> (Option<Harm>, Vec<u64>) {
        let policy = Policy {
            keep_old: 7,
            mark_bad: false,
        };
        let mut kept = Vec::new();
        let result = attempts(policy, partly, |policy, _| {
            kept.push(policy.keep_old);
            match ends[kept.len() - 1] {
                None => Ok(Outcome::untouched(Code::NothingToDo)),
                Some(harm) => Err(Failure::system("fault").harm(harm).into()),
            }
        });
        (result.err().map(|failure| failure.harm), kept)
    }

    /// Of the old content a second attempt would keep what the first has left: a mixture, into which the box must not be
    /// rebooted as into the old firmware.
    #[test]
    fn after_a_half_written_attempt_nothing_is_called_untouched_or_kept_as_old() {
        let (untouched, half) = (Some(Harm::Untouched), Some(Harm::Partly));
        assert_eq!(of(&[untouched], false), (untouched, vec![7]));
        assert_eq!(of(&[half, untouched, untouched], false), (half, vec![7, 0, 0]));
        assert_eq!(of(&[half, untouched, None], false), (None, vec![7, 0, 0]));
        assert_eq!(of(&[half, half, half], false), (half, vec![7, 0, 0]));
        assert_eq!(of(&[untouched, untouched, untouched], true), (half, vec![7, 0, 0]));
    }
}
