//! From here on the flash is being changed: opens the partitions against the proof, writes, verifies.
//! The same for a simulated box, in place, and as PID 1.

#![forbid(unsafe_code)]

use crate::base::clock;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::outcome::{Fate, Stopped, Tally};
use crate::board::indicators::Signals;
use crate::board::{Board, Proof, volumes};
use crate::bytes::store::Store;
use crate::env::{Change, Environment};
use crate::flash::{Phase, Policy, Progress, Target, Verified};
use crate::keep::Task;
use crate::plan::Write;
use crate::record::Record;
use crate::report::Reporter;
use crate::slots::Switch;
use crate::{flash, record};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that would end a process and must not end this one.
const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Turns signals into a flag, so that a person who presses ^C is answered instead of left with half a
/// firmware. SIGPIPE is ignored by the Rust runtime already.
fn deafen() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        signal_hook::flag::register(signal, Arc::clone(&asked))
            .map_err(|error| Failure::system(format_args!("signal {signal}: {error}")))?;
    }
    Ok(asked)
}

/// Everything that is needed to change the flash.
pub struct Work<'a> {
    /// The box.
    pub board: &'a Board,
    /// What is planned.
    pub writes: &'a [Write],
    /// The checksum of the image, for the record.
    pub sha256: &'a str,
    /// The image.
    pub store: &'a Store,
    /// How faults are met.
    pub policy: Policy,
    /// That nobody else is at the flash.
    pub proof: &'a Proof,
    /// A change of the environment, done when everything else is verified.
    pub change: Option<&'a Change>,
    /// The slots that it switches.
    pub slot: Option<&'a Switch>,
    /// The user's files that are put back afterwards.
    pub files: Option<&'a Task>,
    /// Where their tar is.
    pub directory: &'a Path,
}

/// The end of a [`Work`] that went well.
pub struct Done {
    /// What the engine did.
    pub verified: Verified,
    /// What became of the user's files.
    pub kept: Option<Fate>,
}

impl Work<'_> {
    /// Writes, verifies, and keeps the record of how it ended. While it runs the record says that it does, so that a
    /// power cut leaves a true one.
    ///
    /// # Errors
    /// How far it came, and why not further.
    pub fn run(&self, reporter: &mut Reporter) -> std::result::Result<Done, Stopped> {
        let interrupted = Failure::new(Exit::Flash, "interrupted", "the update was interrupted").harm(Harm::Partly);
        let before = self.ecc();
        let mut record = self.about(&Err(&interrupted), Harm::Partly, "interrupted", Tally::default());
        self.keep(&mut record, reporter);
        let result = self.write(reporter);
        let mut record = match &result {
            Ok(verified) => {
                reporter.reach("verified");
                self.about(&Ok(()), Harm::Written, "written", verified.tally)
            }
            Err(Stopped { failure, tally }) => self.about(&Err(failure), failure.harm, failure.code, *tally),
        };
        if let (Some(before), Some(after)) = (before, self.ecc()) {
            let (corrected, failed) = (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1));
            reporter.reach(&format!("ecc: {corrected} bits corrected, {failed} reads failed"));
        }
        // A power cut while the files are put back finds a firmware that is good, and files that are not known to be.
        if result.is_ok() {
            record.kept = self.files.map(|task| task.fate("pending", String::new()));
        }
        self.keep(&mut record, reporter);
        let verified = result?;
        if let Some(task) = self.files {
            record.kept = Some(self.put_back(task, reporter));
            reporter.reach("files put back");
            self.keep(&mut record, reporter);
        }
        Ok(Done {
            verified,
            kept: record.kept,
        })
    }

    fn about(&self, end: &std::result::Result<(), &Failure>, harm: Harm, code: &str, tally: Tally) -> Record {
        Record::now(end, harm, code, self.sha256, tally)
    }

    fn keep(&self, record: &mut Record, reporter: &mut Reporter) {
        record.stages = reporter.reached.clone();
        if let Err(failure) = record::save(self.board, record, Some(self.proof)) {
            reporter.warning(format_args!("the outcome could not be kept: {failure}"));
        }
    }

    /// Bits corrected and reads that could not be, in everything that is written, where there is ECC.
    fn ecc(&self) -> Option<(u32, u32)> {
        let mut sum = None;
        for write in self.writes {
            let partition = self.board.partitions.iter().find(|p| p.mtd == write.mtd)?;
            if let Some(stats) = self.board.open(partition).ok()?.ecc_stats().ok()? {
                let (corrected, failed) = sum.unwrap_or_default();
                sum = Some((stats.corrected + corrected, stats.failed + failed));
            }
        }
        sum
    }

    /// Writes and verifies, and keeps no record.
    ///
    /// # Errors
    /// How far it came, and why not further.
    pub fn write(&self, reporter: &mut Reporter) -> std::result::Result<Verified, Stopped> {
        let untouched = |failure| Stopped {
            failure,
            tally: Tally::default(),
        };
        let asked = deafen().map_err(untouched)?;
        let targets = open(self.board, self.writes, self.proof).map_err(untouched)?;
        let mut signals = Signals::begin(self.board.profile.signals.as_ref());
        let mut observer = |progress: Progress| {
            if asked.swap(false, Ordering::Relaxed) {
                reporter.warning("asked to stop, but half-written flash does not boot: going on");
            }
            let phase = match progress.phase {
                Phase::Write => "writing",
                Phase::Verify => "verifying",
                Phase::RollBack => "putting back",
            };
            signals.tick();
            reporter.progress(phase, progress.done, progress.total);
        };
        let written = flash::write(targets, self.store, self.policy, &mut observer);
        let at = clock::uptime();
        let result = written
            .and_then(|written| written.verify(self.store, &mut observer))
            .map_err(|stopped| match self.slot {
                Some(slot) => slot.stopped(stopped),
                None => stopped,
            })
            .and_then(|verified| self.switch(verified, &mut observer));
        signals.end(result.is_ok());
        if result.is_ok() {
            reporter.reach_at("written", &at);
        }
        result
    }
}

impl Work<'_> {
    /// Puts the user's files into the new firmware, which is good whatever comes of it.
    fn put_back(&self, task: &Task, reporter: &mut Reporter) -> Fate {
        let result = match task.write() {
            None => task.put_back(self.directory).map_err(|failure| failure.told().what),
            Some(write) => self.write_tar(task, write),
        };
        match result {
            Ok(()) => {
                let fate = task.fate("restored", String::new());
                reporter.stage(format_args!(
                    "{} files put back into {} and read back",
                    fate.files, fate.to
                ));
                fate
            }
            Err(why) => {
                let fate = task.fate("failed", why);
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
            let targets = open(self.board, std::slice::from_ref(write), self.proof)?;
            flash::write(targets, &tar, Policy::default(), &mut |_| ())
                .and_then(|written| written.verify(&tar, &mut |_| ()))
                .map_err(|stopped| stopped.failure)
        });
        written
            .map(|_| ())
            .map_err(|failure| format!("{failure}{}", task.elsewhere()))
    }
}

impl Work<'_> {
    /// Changes the environment, and looks whether the boot loader would see that.
    fn switch(&self, mut verified: Verified, observer: flash::Observer<'_>) -> std::result::Result<Verified, Stopped> {
        let Some(change) = self.change else {
            return Ok(verified);
        };
        let policy = Policy {
            keep_old: ENVIRONMENT,
            mark_bad: false,
        };
        let mut open = |write: &Write| open(self.board, std::slice::from_ref(write), self.proof);
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
            verified.tally.erased += tally.erased;
            verified.tally.unchanged += tally.unchanged;
            verified.tally.retried += tally.retried;
            return Ok(verified);
        }
        let failure = failure.unwrap_or_else(|| {
            Failure::new(Exit::Flash, "environment", "the environment is not what was written").harm(Harm::Partly)
        });
        let failure = change.stopped(failure);
        let stopped = Stopped { failure, tally };
        Err(match self.slot {
            Some(slot) => slot.not_switched(stopped, found.is_err()),
            None => stopped,
        })
    }
}

/// Bytes of old content that are kept at most while the environment is changed.
pub(crate) const ENVIRONMENT: u64 = 2 << 20;

/// Opens every partition before the first one is written, each found again by number, name and geometry.
fn open(board: &Board, writes: &[Write], proof: &Proof) -> Result<Vec<Target>> {
    writes
        .iter()
        .map(|write| {
            let partition = board
                .partitions
                .iter()
                .find(|partition| {
                    partition.mtd == write.mtd
                        && partition.name == write.partition
                        && partition.geometry.size == write.size
                        && partition.geometry.erase_size == write.erase_size
                        && partition.bad == write.bad
                })
                .ok_or_else(|| {
                    Failure::new(
                        Exit::System,
                        "mtd",
                        format_args!(
                            "{} is not as it was planned",
                            volumes::label(write.mtd, &write.partition)
                        ),
                    )
                })?;
            Ok(Target {
                write: write.clone(),
                flash: board.open_writable(partition, proof)?,
            })
        })
        .collect()
}
