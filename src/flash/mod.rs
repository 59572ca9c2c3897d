//! Executes the steps of a plan on [`Flash`], and nothing that is not in the plan.
//!
//! The same engine runs on `/dev/mtdN` and on a simulated chip, in place and as PID 1. The borders are
//! types: [`write()`] makes a [`Written`], only [`Written::verify`] makes a [`Verified`], and only that is
//! reported as harm *written*.

#![forbid(unsafe_code)]

mod block;
mod ecc;
mod on_fault;
mod progress;
mod rollback;
mod sequential;
mod survey;
mod ubi;
mod volume_update;

use crate::base::error::{Exit, Failure, Harm};
use crate::base::outcome::{Stopped, Tally};
use crate::bytes::store::Store;
use crate::plan::{BlockStep, Write};
use block::{Scratch, Verdict};
use ecc::Ecc;
use mtd_rs::Flash;
use progress::Run;
use rollback::History;
use std::ops::Range;

pub use on_fault::OnFault;
pub use sequential::sequential;
pub use survey::survey;

/// What the engine is doing, for whoever draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Comparing, erasing, programming, reading back.
    Write,
    /// Reading everything once more.
    Verify,
    /// Putting the old content back.
    RollBack,
}

/// Bytes of the image dealt with so far in this phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which phase.
    pub phase: Phase,
    /// Bytes.
    pub done: u64,
    /// Bytes of all writes.
    pub total: u64,
}

/// A write with the flash it goes to.
pub struct Target {
    /// What is planned.
    pub write: Write,
    /// The partition, opened for writing.
    pub flash: Box<dyn Flash>,
}

/// How faults are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of old content that may be kept in RAM to be put back; 0 keeps none.
    pub keep_old: u64,
    /// Whether a NAND block that fails for good is marked bad, its content going to the next good one.
    pub mark_bad: bool,
}

/// Everything is on the flash; each block was read back once.
#[must_use]
pub struct Written {
    targets: Vec<Target>,
    tally: Tally,
    history: History,
}

/// Everything is on the flash and was read once more from beginning to end.
#[must_use]
#[derive(Debug)]
pub struct Verified {
    /// What it took.
    pub tally: Tally,
    /// Bytes of old content that were kept in RAM meanwhile.
    pub kept: u64,
}

/// Called with the progress after each block.
pub type Observer<'o> = &'o mut dyn FnMut(Progress);

/// A first block that is held back until everything else is right.
struct HeldBack {
    target: usize,
    step: BlockStep,
}

/// Makes right what is not right already, a block at a time, and reads each block back.
///
/// The order leaves the best chance: the first block of everything that a boot loader checks is
/// erased first and programmed last, so that a box that loses power is seen as broken by its boot loader,
/// which then offers its recovery, and is not started half written.
///
/// # Errors
/// The first block that could not be made right after all tries. The old content is put back if all of it was
/// kept; the failure says which of the two the flash holds.
pub fn write(targets: Vec<Target>, image: &Store, policy: Policy, observer: Observer<'_>) -> Result<Written, Stopped> {
    // What is the way back comes when all else is right.
    let (last, mut first): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.write.recovery);
    let split = first.len();
    first.extend(last);
    let mut targets = first;
    let total = targets.iter().map(|target| target.write.bytes()).sum();
    let mut run = Run::new(total, observer);
    let before = Ecc::now(&mut targets);
    let largest = targets
        .iter()
        .map(|target| target.flash.geometry().erase_size as usize)
        .max();
    let mut scratch = Scratch::new(largest.unwrap_or_default());
    let mut history = History::new(policy.keep_old);
    let _ahead = image.read_ahead();
    match write_all(&mut targets, split, image, policy, &mut scratch, &mut history, &mut run) {
        Ok(()) => {
            before.until_now(&mut targets, &mut run.tally);
            Ok(Written {
                targets,
                tally: run.tally,
                history,
            })
        }
        Err(what) => {
            let mut stopped = history.roll_back(&mut targets, &mut scratch, run, what);
            before.until_now(&mut targets, &mut stopped.tally);
            Err(stopped)
        }
    }
}

/// Writes the targets up to `split`, verifies them if others follow, and writes those.
fn write_all(
    targets: &mut [Target],
    split: usize,
    image: &Store,
    policy: Policy,
    scratch: &mut Scratch,
    history: &mut History,
    run: &mut Run<'_>,
) -> Result<(), String> {
    write_some(targets, 0..split, image, policy, scratch, history, run)?;
    if split == targets.len() {
        return Ok(());
    }
    if split > 0 {
        verify_all(&mut targets[..split], image, scratch, run, false)?;
    }
    write_some(targets, split..targets.len(), image, policy, scratch, history, run)
}

fn write_some(
    targets: &mut [Target],
    which: Range<usize>,
    image: &Store,
    policy: Policy,
    scratch: &mut Scratch,
    history: &mut History,
    run: &mut Run<'_>,
) -> Result<(), String> {
    for target in &mut targets[which.clone()] {
        block::unlock(target)?;
    }
    let held_back = invalidate(targets, which.clone(), image, scratch, history, run)?;
    for index in which {
        let target = &mut targets[index];
        if target.write.whole {
            volume_update::replace(target, image, scratch, history, run)?;
            continue;
        }
        let held = held_back
            .iter()
            .find(|held| held.target == index)
            .map(|held| &held.step);
        while let Err(broken) = write_one(index, target, held, image, scratch, history, run) {
            let nand = target.flash.geometry().kind.is_nand();
            if !policy.mark_bad || !nand || Some(broken.block) == held.map(|held| held.block.start) {
                return Err(broken.what);
            }
            move_on(target, broken)?;
        }
    }
    // In reverse: of several, the one planned first, which is the kernel, becomes valid last.
    for held in held_back.iter().rev() {
        let flash = &mut *targets[held.target].flash;
        scratch.prepare(flash, &held.step, image)?;
        scratch.program(flash, held.step.block.clone(), run)?;
        run.advance(Phase::Write, &held.step);
    }
    Ok(())
}

/// A block that failed for good.
struct Broken {
    block: u64,
    what: String,
}

/// Writes one target from its beginning; what is right already costs a comparison, unless that was made under the lock that
/// is still held. Who wrote in between all the same is found by the last verification.
fn write_one(
    index: usize,
    target: &mut Target,
    held: Option<&BlockStep>,
    image: &Store,
    scratch: &mut Scratch,
    history: &mut History,
    run: &mut Run<'_>,
) -> Result<(), Broken> {
    let geometry = target.flash.geometry().clone();
    run.begin_target(index);
    scratch.begin_target();
    for step in target.write.blocks(&geometry) {
        if held == Some(&step) {
            continue;
        }
        let block = step.block.start;
        if target.write.right.binary_search(&block).is_ok() {
            run.unchanged();
            run.advance(Phase::Write, &step);
            continue;
        }
        let flash = &mut *target.flash;
        put(index, flash, &step, image, scratch, history, run).map_err(|what| Broken { block, what })?;
        run.advance(Phase::Write, &step);
    }
    Ok(())
}

/// Makes one block right with the least work.
fn put(
    index: usize,
    flash: &mut dyn Flash,
    step: &BlockStep,
    image: &Store,
    scratch: &mut Scratch,
    history: &mut History,
    run: &mut Run<'_>,
) -> Result<(), String> {
    let old = history.read(index, flash, &step.block);
    let verdict = scratch.judge(flash, step, image, old.as_deref())?;
    if verdict == Verdict::Right {
        history.spare(old);
        run.unchanged();
        return Ok(());
    }
    history.keep(index, flash, &step.block, old);
    scratch.keep_tail(flash, step)?;
    run.touched = true;
    if verdict == Verdict::Program && scratch.program_once(flash, step.block.clone()).is_ok() {
        return Ok(());
    }
    scratch.erase(flash, step.block.start, run)?;
    scratch.program(flash, step.block.clone(), run)
}

/// Marks a block bad; what it was to hold goes to the next good one, and everything behind it moves on.
fn move_on(target: &mut Target, broken: Broken) -> Result<(), String> {
    log::warn!("{}; the block is marked bad", broken.what);
    target.flash.mark_bad(broken.block).map_err(|error| error.to_string())?;
    target.write.bad.push(broken.block);
    // What was compared was the content of before.
    target.write.right.clear();
    let geometry = target.flash.geometry().clone();
    if target.write.fills() {
        target.write.erase_blocks = target.write.blocks(&geometry).count() as u64;
    }
    let room: u64 = target
        .write
        .blocks(&geometry)
        .map(|step| step.image.end - step.image.start)
        .sum();
    match room == target.write.length {
        true => Ok(()),
        false => Err(format!(
            "{}, and no good block is left to take its content",
            broken.what
        )),
    }
}

/// Erases the first blocks that make the box bootable, if they are going to change.
fn invalidate(
    targets: &mut [Target],
    which: Range<usize>,
    image: &Store,
    scratch: &mut Scratch,
    history: &mut History,
    run: &mut Run<'_>,
) -> Result<Vec<HeldBack>, String> {
    let mut held_back = Vec::new();
    for index in which {
        let target = &mut targets[index];
        if !target.write.boot {
            continue;
        }
        let geometry = target.flash.geometry().clone();
        let Some(step) = target.write.blocks(&geometry).next() else {
            continue;
        };
        // A block that also keeps somebody's tail cannot lie blank meanwhile: its rest would be at risk
        // for the whole run, so it is written like any other.
        let whole = step.image.end - step.image.start == step.block.end - step.block.start;
        if !whole || target.write.right.binary_search(&step.block.start).is_ok() {
            continue;
        }
        let flash = &mut *target.flash;
        let old = history.read(index, flash, &step.block);
        if scratch.judge(flash, &step, image, old.as_deref())? != Verdict::Right {
            history.keep(index, flash, &step.block, old);
            run.touched = true;
            if !scratch.is_blank(flash, &step)? {
                scratch.erase(flash, step.block.start, run)?;
            }
            held_back.push(HeldBack { target: index, step });
        }
    }
    Ok(held_back)
}

impl Written {
    /// Bytes of old content that are kept in RAM.
    pub fn kept(&self) -> u64 {
        self.history.bytes()
    }

    /// Reads everything once more and compares it with the image.
    ///
    /// # Errors
    /// The first block that differs. The old content is put back if all of it was kept.
    pub fn verify(mut self, image: &Store, observer: Observer<'_>) -> Result<Verified, Stopped> {
        let total = self.targets.iter().map(|target| target.write.bytes()).sum();
        let mut run = Run::new(total, observer);
        run.tally = self.tally;
        run.touched = self.tally.unchanged < self.targets.iter().map(|target| target.write.erase_blocks).sum();
        let mut scratch = Scratch::new(0);
        let before = Ecc::now(&mut self.targets);
        let _ahead = image.read_ahead();
        match verify_all(&mut self.targets, image, &mut scratch, &mut run, true) {
            Ok(()) => {
                before.until_now(&mut self.targets, &mut run.tally);
                Ok(Verified {
                    tally: run.tally,
                    kept: self.history.bytes(),
                })
            }
            Err(what) => {
                let mut stopped = self.history.roll_back(&mut self.targets, &mut scratch, run, what);
                before.until_now(&mut self.targets, &mut stopped.tally);
                Err(stopped)
            }
        }
    }
}

/// Compares all of the targets with the image; `tell` says whether that is a phase of its own.
fn verify_all(
    targets: &mut [Target],
    image: &Store,
    scratch: &mut Scratch,
    run: &mut Run<'_>,
    tell: bool,
) -> Result<(), String> {
    for target in targets {
        let geometry = target.flash.geometry().clone();
        for step in target.write.blocks(&geometry) {
            if !scratch.same(&mut *target.flash, &step, image)? {
                return Err(format!(
                    "{}: the block at 0x{:x} was right when it was written and is not any more",
                    target.flash.label(),
                    step.block.start
                ));
            }
            if tell {
                run.advance(Phase::Verify, &step);
            }
        }
    }
    Ok(())
}

/// The failure of a run, by what it left on the flash.
fn failure(touched: bool, what: impl std::fmt::Display) -> Failure {
    match touched {
        false => Failure::new(Exit::System, "flash", what).hint("flasher devices"),
        true => Failure::new(Exit::Flash, "flash", what)
            .harm(Harm::Partly)
            .hint("run the same command again; it goes on where this one stopped"),
    }
}
