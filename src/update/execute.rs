//! From here on the flash is being changed: opens the partitions against the proof, writes, verifies.
//! The same for a simulated box, in place, and as PID 1.

#![forbid(unsafe_code)]

use crate::base::clock;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::outcome::{Fate, KeptState, Outcome, Stopped, Tally};
use crate::base::units::Count;
use crate::board::indicators::Indicators;
use crate::board::{Board, Proof};
use crate::bytes::store::Store;
use crate::checks::holders::listed;
use crate::env::{Change, Environment};
use crate::flash::{self, Policy, Progress, Target, Verified};
use crate::keep::Task;
use crate::plan::{self, Destination, Method, SlotSwitch, Step, VolumeChanges, Write};
use crate::record::{self, Record, Versions};
use crate::report::Reporter;
use crate::slots;
use crate::update::{note, volumes};
use mtd_rs::PartitionId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that would end a process and must not end this one.
const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Turns signals into a flag, so that a person who presses ^C is answered instead of left with half a
/// firmware. SIGPIPE is ignored by the Rust runtime already.
fn catch_signals() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        signal_hook::flag::register(signal, Arc::clone(&asked))
            .map_err(|error| Failure::system(format_args!("signal {signal}: {error}")))?;
    }
    Ok(asked)
}

/// Everything that is needed to change the flash.
pub struct Execution<'a> {
    /// The box.
    pub board: &'a Board,
    /// What is planned, and what is known to be up to date.
    pub steps: &'a [Step],
    /// The checksum of the image, for the record.
    pub sha256: &'a str,
    /// Its version, and that of the image before, for the record.
    pub versions: &'a Versions,
    /// The image.
    pub store: &'a Store<'a>,
    /// How faults are met.
    pub policy: Policy,
    /// That nobody else is at the flash.
    pub proof: &'a Proof,
    /// A change of the environment, done when everything else is verified.
    pub change: Option<&'a Change>,
    /// The slots that it switches.
    pub slot: Option<&'a SlotSwitch>,
    /// Whether the flash is known to be half written already; the record of that may be gone with the old root.
    pub partly: bool,
    /// What becomes of the volumes of a UBI; the one for settings is made anew before files are put into it.
    pub volumes: Option<&'a VolumeChanges>,
    /// The user's files that are put back afterwards.
    pub files: Option<&'a Task>,
    /// Where their tar is.
    pub directory: &'a Path,
}

impl Execution<'_> {
    /// Writes, verifies, and keeps the record of how it ended. While it runs the record says that it does, so that a
    /// power cut leaves a true one.
    ///
    /// # Errors
    /// How far it came, and why not further.
    pub fn run(&self, reporter: &mut Reporter) -> std::result::Result<Outcome, Stopped> {
        let before = self.ecc();
        // What the run before this one left half written is no less so because this one did nothing.
        let partly = self.partly || left_partly(self.board);
        self.record(&Outcome::failed(&note::interrupted(), Tally::default()), reporter);
        let result = self.write(reporter).map_err(|mut stopped| {
            if !partly || stopped.failure.harm != Harm::Untouched {
                return stopped;
            }
            stopped.failure = stopped.failure.harm(Harm::Partly);
            self.of_slot(stopped)
        });
        let mut outcome = match &result {
            Ok(verified) => {
                reporter.reach("verified");
                Outcome {
                    old_content: verified.kept,
                    ..Outcome::written(verified.tally)
                }
            }
            Err(Stopped { failure, tally }) => Outcome::failed(failure, *tally),
        };
        if let (Some(before), Some(after)) = (before, self.ecc()) {
            let (corrected, failed) = (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1));
            reporter.reach(&format!("ecc: {corrected} bits corrected, {failed} reads failed"));
        }
        // A power cut while the files are put back finds a firmware that is good, and files that are not known to be.
        if result.is_ok() {
            outcome.kept = self.files.map(|task| task.fate(KeptState::Pending, String::new()));
        }
        self.record(&outcome, reporter);
        let _verified = result?;
        if let Some(Err(failure)) = self.volumes.map(volumes::data_again) {
            reporter.warning(failure);
        }
        if let Some(task) = self.files {
            outcome.kept = Some(self.put_back(task, reporter));
            reporter.reach("files put back");
            self.record(&outcome, reporter);
        }
        Ok(outcome)
    }

    fn record(&self, outcome: &Outcome, reporter: &mut Reporter) {
        let mut record = Record::now(outcome, self.sha256, self.versions, &reporter.reached);
        record.written_slot = self.slot.map(|slot| slot.written.clone());
        let changed = self.change.iter().flat_map(|change| &change.writes);
        let files = self.files.and_then(Task::write);
        let writes = self.steps.iter().map(|step| &step.write).chain(changed).chain(files);
        let free = self.board.record_beside(writes.map(Write::area)).is_some();
        if let Err(failure) = record::save(self.board, &record, free.then_some(self.proof)) {
            reporter.warning(format_args!("the outcome could not be kept: {failure}"));
        }
    }

    /// Bits corrected and reads that could not be, in everything that is written, where there is ECC.
    fn ecc(&self) -> Option<(u32, u32)> {
        let mut sum = None;
        for step in self.steps {
            let partition = self.board.get(step.write.to.id)?;
            if let Some(stats) = self.board.open(partition).ok()?.ecc_stats().ok()? {
                let (corrected, failed) = sum.unwrap_or_default();
                sum = Some((
                    stats.corrected.saturating_add(corrected),
                    stats.failed.saturating_add(failed),
                ));
            }
        }
        sum
    }

    /// Writes and verifies, and keeps no record.
    ///
    /// # Errors
    /// How far it came, and why not further.
    pub fn write(&self, reporter: &mut Reporter) -> std::result::Result<Verified, Stopped> {
        let asked = catch_signals()?;
        let targets = open(self.board, self.steps, self.proof)?;
        let mut indicators = Indicators::begin(self.board.profile.signals.as_ref());
        let mut observer = |progress: Progress| {
            if asked.swap(false, Ordering::Relaxed) {
                reporter.warning("asked to stop, but half-written flash does not boot: going on");
            }
            indicators.tick();
            reporter.progress(progress.phase, progress.done, progress.total);
        };
        let written = flash::write(targets, self.store, self.policy, &mut observer);
        let at = clock::uptime();
        let result = written
            .and_then(|written| written.verify(self.store, &mut observer))
            .map_err(|stopped| self.of_slot(stopped))
            .and_then(|verified| self.switch(verified, &mut observer));
        indicators.end(result.is_ok());
        if result.is_ok() {
            reporter.reach_at("written", &at);
        }
        result
    }

    /// What it means where there is another slot, which boots.
    fn of_slot(&self, stopped: Stopped) -> Stopped {
        match self.slot {
            Some(slot) => slots::stopped(slot, stopped),
            None => stopped,
        }
    }

    /// Puts the user's files into the new firmware, which is good whatever comes of it.
    fn put_back(&self, task: &Task, reporter: &mut Reporter) -> Fate {
        let result = match task.write() {
            None => task.put_back(self.directory).map_err(|failure| failure.told().what),
            Some(write) => self.write_tar(task, write),
        };
        match result {
            Ok(()) => {
                let fate = task.fate(KeptState::Restored, String::new());
                let done = match task.unpacks_itself() {
                    true => "handed to the new firmware in",
                    false => "put back into",
                };
                reporter.stage(format_args!(
                    "{} {done} {} and read back",
                    Count(fate.files, "file"),
                    fate.to
                ));
                fate
            }
            Err(why) => {
                let fate = task.fate(KeptState::Failed, why);
                reporter.warning(format_args!(
                    "the new firmware is good, but the kept files could not be put into {}: {}",
                    fate.to, fate.text
                ));
                fate
            }
        }
    }

    /// The tar itself into a partition, by the engine.
    fn write_tar(&self, task: &Task, write: &Write) -> std::result::Result<(), String> {
        let written = task.tar(self.directory).and_then(|tar| {
            let targets = open(self.board, &[Step::unread(write.clone())], self.proof)?;
            flash::write(targets, &tar, Policy::default(), &mut |_| ())
                .and_then(|written| written.verify(&tar, &mut |_| ()))
                .map_err(|stopped| stopped.failure)
        });
        written.map(|_| ()).map_err(|failure| {
            let instead = match task.blank() {
                Some((write, mark)) => match self.write_blank(write, mark) {
                    Ok(()) => "; the new firmware starts with settings of its own",
                    Err(_) => "; what the new firmware finds in their place is not known",
                },
                None => "",
            };
            format!("{failure}{instead}{}", task.elsewhere())
        })
    }

    /// What makes the new firmware start afresh, in place of settings that were written in part: behind them could be what an old
    /// firmware has left.
    fn write_blank(&self, write: Write, mark: Vec<u8>) -> Result<()> {
        let targets = open(self.board, &[Step::unread(write)], self.proof)?;
        let mark = Store::Memory(mark);
        flash::write(targets, &mark, Policy::default(), &mut |_| ())
            .and_then(|written| written.verify(&mark, &mut |_| ()))
            .map(|_| ())
            .map_err(|stopped| stopped.failure)
    }

    /// Changes the environment, and looks whether the boot loader would see that.
    fn switch(&self, mut verified: Verified, observer: flash::Observer<'_>) -> std::result::Result<Verified, Stopped> {
        let Some(change) = self.change else {
            return Ok(verified);
        };
        let policy = Policy {
            keep_old: ENVIRONMENT,
            mark_bad: false,
        };
        let mut open = |write: &Write| open(self.board, &[Step::unread(write.clone())], self.proof);
        let mut steps = change.writes.iter().zip(&change.bytes);
        let (failure, tally) = match flash::sequential(&mut steps, &mut open, policy, observer) {
            Ok(tally) => (None, tally),
            Err(Stopped { failure, tally }) => (Some(failure), tally),
        };
        // What counts is what the boot loader will find there.
        let found = Environment::read(self.board, change.place.clone());
        if matches!(&found, Ok(environment) if environment.variables == change.variables) {
            if let Some(failure) = failure {
                log::warn!("{failure}; the boot loader takes the new environment all the same");
            }
            verified.tally.add(tally);
            return Ok(verified);
        }
        let failure = failure.unwrap_or_else(|| {
            Failure::new(
                Exit::Flash,
                Code::Environment,
                "the environment is not what was written",
            )
            .harm(Harm::Partly)
        });
        let failure = change.stopped(failure);
        let stopped = Stopped { failure, tally };
        Err(match self.slot {
            Some(slot) => slots::not_switched(slot, stopped, found.is_err()),
            None => stopped,
        })
    }
}

/// Whether the update before this one left the flash half written and the box was not started since, as far as that is known.
pub(super) fn left_partly(board: &Board) -> bool {
    let Some(last) = record::load(board).ok().filter(|last| last.harm == Harm::Partly) else {
        return false;
    };
    match (last.boot, record::boot(board)) {
        (Some(then), Some(now)) => then == now,
        _ => true,
    }
}

/// Bytes of old content that are kept at most while the environment is changed.
const ENVIRONMENT: u64 = 2 << 20;

/// Bytes of old content that are kept, of one write of the environment at a time; none of what UBI empties first.
pub(super) fn kept_of_environment(steps: &[Step]) -> u64 {
    let bytes = |step: &Step| match step.write.method {
        Method::VolumeUpdate => 0,
        _ => step.changing(),
    };
    let most = steps.iter().map(bytes).max();
    most.filter(|bytes| *bytes <= ENVIRONMENT).unwrap_or(0)
}

/// Opens every partition before the first one is written, each found again and held against the plan.
fn open(board: &Board, steps: &[Step], proof: &Proof) -> Result<Vec<Target>> {
    steps
        .iter()
        .map(|step| {
            let to = &step.write.to;
            let partition = board
                .get(to.id)
                .filter(|partition| Destination::from(*partition) == *to)
                .ok_or_else(|| {
                    let what = format_args!("{} is not as it was planned", to.label());
                    Failure::new(Exit::System, Code::Mtd, what)
                })?;
            Ok(Target {
                write: step.write.clone(),
                up_to_date: step
                    .survey
                    .as_ref()
                    .map(|survey| survey.up_to_date.clone())
                    .unwrap_or_default(),
                flash: board.open_writable(partition, proof)?,
            })
        })
        .collect()
}

/// The partitions that will be written, the record's among them.
pub(super) fn targets<'w>(
    board: &Board,
    writes: impl IntoIterator<Item = &'w Write>,
    files: Option<&'w Task>,
) -> Vec<PartitionId> {
    let writes: Vec<&Write> = writes.into_iter().chain(files.and_then(Task::write)).collect();
    let mut ids = plan::destinations(writes.iter().copied());
    // A record's partition that is in use, or that is written to, is no place for it, and no reason against the update.
    if let Some(record) = board.record_beside(writes.iter().map(|write| write.area()))
        && board.holders(&[record.id]).is_ok_and(|holders| holders.is_empty())
    {
        ids.push(record.id);
    }
    ids
}

/// What is said when the proof fails.
pub(super) fn held(holders: &[stages::Holder]) -> Failure {
    Failure::new(
        Exit::Busy,
        Code::Held,
        format_args!("the flash is in use: {}", listed(holders.iter())),
    )
    .hint("end that use and try again")
}
