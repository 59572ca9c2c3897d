//! Executes the steps of a plan on [`Flash`], and nothing that is not in the plan.
//!
//! The same engine runs on `/dev/mtdN` and on a simulated chip, in place and as PID 1. The borders are
//! types: [`write()`] makes a [`Written`], only [`Written::verify`] makes a [`Verified`], and only that is
//! reported as harm *written*.

#![forbid(unsafe_code)]

mod block;
mod survey;

use crate::error::{Exit, Failure, Harm};
use crate::image::store::Store;
use crate::plan::{BlockStep, Write};
use block::Scratch;
use mtd_rs::Flash;
use serde::{Deserialize, Serialize};

pub use survey::survey;

/// Counters of a run, in erase blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Erased.
    pub erased: u64,
    /// Right already and left alone.
    pub unchanged: u64,
    /// Tries beyond the first.
    pub retried: u64,
}

/// What the engine is doing, for whoever draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Comparing, erasing, programming, reading back.
    Write,
    /// Reading everything once more.
    Verify,
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
pub struct Target<'a> {
    /// What is planned.
    pub write: &'a Write,
    /// The partition, opened for writing.
    pub flash: Box<dyn Flash>,
}

/// Everything is on the flash; each block was read back once.
#[must_use]
pub struct Written<'a> {
    targets: Vec<Target<'a>>,
    tally: Tally,
}

/// Everything is on the flash and was read once more from beginning to end.
#[must_use]
#[derive(Debug)]
pub struct Verified {
    /// What it took.
    pub tally: Tally,
}

/// The engine gave up.
#[derive(Debug)]
pub struct Stopped {
    /// Why, with device and offset.
    pub failure: Failure,
    /// How far it came.
    pub tally: Tally,
}

/// Called with the progress after each block.
pub type Observer<'o> = &'o mut dyn FnMut(Progress);

struct Run<'o> {
    tally: Tally,
    touched: bool,
    done: u64,
    total: u64,
    observer: Observer<'o>,
}

impl Run<'_> {
    fn stop(&self, what: impl std::fmt::Display) -> Stopped {
        let (exit, harm) = match self.touched {
            true => (Exit::Flash, Harm::Partly),
            false => (Exit::System, Harm::Untouched),
        };
        let failure = Failure::new(exit, "flash", what).harm(harm);
        Stopped {
            failure: match self.touched {
                true => failure.hint("run the same command again; it goes on where this one stopped"),
                false => failure.hint("flasher devices"),
            },
            tally: self.tally,
        }
    }

    fn advance(&mut self, phase: Phase, bytes: u64) {
        self.done += bytes;
        (self.observer)(Progress {
            phase,
            done: self.done,
            total: self.total,
        });
    }
}

/// A first block that is held back until everything else is right.
struct HeldBack {
    target: usize,
    step: BlockStep,
}

/// Erases and programs what is not right already, a block at a time, and reads each block back.
///
/// The order leaves the best chance (law 9): the first block of everything that a boot loader checks is
/// erased first and programmed last, so that a box that loses power is seen as broken by its boot loader,
/// which then offers its recovery, and is not started half written.
///
/// # Errors
/// The first block that could not be made right after all tries, with what was done so far.
pub fn write<'a>(mut targets: Vec<Target<'a>>, image: &Store, observer: Observer<'_>) -> Result<Written<'a>, Stopped> {
    let mut run = Run {
        tally: Tally::default(),
        touched: false,
        done: 0,
        total: targets.iter().map(|target| target.write.length).sum(),
        observer,
    };
    let largest = targets
        .iter()
        .map(|target| target.flash.geometry().erase_size as usize)
        .max()
        .unwrap_or_default();
    let mut scratch = Scratch::new(largest);
    for target in &mut targets {
        block::unlock(target).map_err(|error| run.stop(error))?;
    }
    let held_back = invalidate(&mut targets, image, &mut scratch, &mut run)?;
    for (index, target) in targets.iter_mut().enumerate() {
        let geometry = target.flash.geometry().clone();
        for step in target.write.blocks(&geometry) {
            if held_back.iter().any(|held| held.target == index && held.step == step) {
                continue;
            }
            let bytes = step.image.end - step.image.start;
            scratch.put(&mut *target.flash, &step, image, &mut run)?;
            run.advance(Phase::Write, bytes);
        }
    }
    // In reverse: of several, the one planned first, which is the kernel, becomes valid last.
    for held in held_back.iter().rev() {
        let flash = &mut *targets[held.target].flash;
        scratch.complete(flash, &held.step, image, &mut run)?;
        run.advance(Phase::Write, held.step.image.end - held.step.image.start);
    }
    Ok(Written {
        targets,
        tally: run.tally,
    })
}

/// Erases the first blocks that make the box bootable, if they are going to change.
fn invalidate(
    targets: &mut [Target<'_>],
    image: &Store,
    scratch: &mut Scratch,
    run: &mut Run<'_>,
) -> Result<Vec<HeldBack>, Stopped> {
    let mut held_back = Vec::new();
    for (index, target) in targets.iter_mut().enumerate() {
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
        if whole && !scratch.is_right(&mut *target.flash, &step, image, run)? {
            scratch.erase(&mut *target.flash, &step, run)?;
            held_back.push(HeldBack { target: index, step });
        }
    }
    Ok(held_back)
}

impl Written<'_> {
    /// Reads everything once more and compares it with the image.
    ///
    /// # Errors
    /// The first block that differs.
    pub fn verify(mut self, image: &Store, observer: Observer<'_>) -> Result<Verified, Stopped> {
        let mut run = Run {
            tally: self.tally,
            touched: self.tally.erased > 0,
            done: 0,
            total: self.targets.iter().map(|target| target.write.length).sum(),
            observer,
        };
        let mut scratch = Scratch::new(0);
        for target in &mut self.targets {
            let geometry = target.flash.geometry().clone();
            for step in target.write.blocks(&geometry) {
                if !scratch.is_right(&mut *target.flash, &step, image, &run)? {
                    return Err(run.stop(format_args!(
                        "{}: the block at 0x{:x} was right when it was written and is not any more",
                        target.flash.label(),
                        step.block.start
                    )));
                }
                run.advance(Phase::Verify, step.image.end - step.image.start);
            }
        }
        Ok(Verified { tally: self.tally })
    }
}
