//! One run of the engine over all its targets.

#![forbid(unsafe_code)]

use super::block::{self, Cause, Scratch, Verdict};
use super::progress::Run;
use super::rollback::History;
use super::verify::verify_all;
use super::{Observer, Policy, Target, largest_block, volume_update};
use crate::base::phase::Phase;
use crate::bytes::store::Store;
use crate::plan::{BlockStep, Method};
use mtd_rs::Flash;
use std::ops::Range;

/// What a run needs at every block.
pub(super) struct Session<'a> {
    pub image: &'a Store<'a>,
    policy: Policy,
    pub scratch: Scratch,
    pub history: History,
    pub run: Run<'a>,
}

/// A first block that is held back until everything else is up to date.
struct HeldBack {
    target: usize,
    step: BlockStep,
}

/// A block that failed for good.
struct Broken {
    block: u64,
    what: String,
    cause: Cause,
}

/// Blocks in a row that are marked bad at most, as in ubiformat: when more fail it is not they that are worn.
const IN_A_ROW: usize = 4;

impl<'a> Session<'a> {
    /// With buffers for these targets.
    pub fn new(targets: &[Target], image: &'a Store, policy: Policy, observer: Observer<'a>) -> Session<'a> {
        let total = targets.iter().map(|target| target.write.bytes()).sum();
        Session {
            image,
            policy,
            scratch: Scratch::new(largest_block(targets)),
            history: History::new(policy.keep_old),
            run: Run::new(total, observer),
        }
    }

    /// Writes the targets up to `split`, verifies them if others follow, and writes those.
    pub fn write_all(&mut self, targets: &mut [Target], split: usize) -> Result<(), String> {
        for target in targets.iter_mut() {
            if !target.write.fits(target.flash.geometry()) {
                return Err(format!(
                    "{} has no room for all of its part of the image",
                    target.flash.label()
                ));
            }
            // What stays locked is found before anything is erased.
            block::unlock(target)?;
        }
        self.write_some(targets, 0..split)?;
        if split == targets.len() {
            return Ok(());
        }
        if split > 0 {
            verify_all(&mut targets[..split], self.image, &mut self.scratch, None)?;
        }
        self.write_some(targets, split..targets.len())
    }

    fn write_some(&mut self, targets: &mut [Target], which: Range<usize>) -> Result<(), String> {
        let held_back = self.invalidate(targets, which.clone())?;
        for index in which {
            let target = &mut targets[index];
            if target.write.method == Method::VolumeUpdate {
                volume_update::replace(target, self)?;
                continue;
            }
            let held = held_back
                .iter()
                .find(|held| held.target == index)
                .map(|held| &held.step);
            while let Err(broken) = self.write_one(index, target, held) {
                let worn = target.flash.geometry().kind.is_nand() && broken.cause == Cause::Chip;
                if !self.policy.mark_bad || !worn || Some(broken.block) == held.map(|held| held.block.start) {
                    return Err(broken.what);
                }
                move_on(target, broken)?;
            }
        }
        // In reverse: of several, the one planned first, which is the kernel, becomes valid last.
        for held in held_back.iter().rev() {
            let flash = &mut *targets[held.target].flash;
            self.scratch.prepare(flash, &held.step, self.image)?;
            self.scratch.program(flash, held.step.block.clone(), &mut self.run)?;
            self.run.advance(Phase::Writing, &held.step);
        }
        Ok(())
    }

    /// Writes one target from its beginning; what is up to date costs a comparison, unless that was made under the lock that
    /// is still held. Who wrote in between all the same is found by the last verification.
    fn write_one(&mut self, index: usize, target: &mut Target, held: Option<&BlockStep>) -> Result<(), Broken> {
        let geometry = target.flash.geometry().clone();
        self.run.begin_target(index);
        self.scratch.begin_target();
        for step in target.write.blocks(&geometry) {
            if held == Some(&step) {
                continue;
            }
            let block = step.block.start;
            if target.up_to_date.binary_search(&block).is_ok() {
                self.run.unchanged();
                self.run.advance(Phase::Writing, &step);
                continue;
            }
            self.scratch.cause = Cause::Other;
            self.put(index, &mut *target.flash, &step).map_err(|what| Broken {
                block,
                what,
                cause: self.scratch.cause,
            })?;
            self.run.advance(Phase::Writing, &step);
        }
        Ok(())
    }

    /// Brings one block up to date with the least work.
    fn put(&mut self, index: usize, flash: &mut dyn Flash, step: &BlockStep) -> Result<(), String> {
        let old = self.history.read(index, flash, &step.block);
        let verdict = self.scratch.needs(flash, step, self.image, old.as_deref())?;
        if verdict == Verdict::UpToDate {
            self.history.spare(old);
            self.run.unchanged();
            return Ok(());
        }
        self.history.keep(index, flash, &step.block, old);
        self.scratch.keep_tail(flash, step)?;
        let before = std::mem::replace(&mut self.run.touched, true);
        let mut refused = true;
        if verdict == Verdict::Program {
            if self.scratch.program_once(flash, step.block.clone()).is_ok() {
                return Ok(());
            }
            refused = self.scratch.cause == Cause::Refused;
        }
        self.scratch
            .erase(flash, step.block.start, &mut self.run)
            .inspect_err(|_| self.run.touched = before || !refused || self.scratch.cause != Cause::Refused)?;
        self.scratch.program(flash, step.block.clone(), &mut self.run)
    }

    /// Erases the first blocks that make the box bootable, if they are going to change.
    fn invalidate(&mut self, targets: &mut [Target], which: Range<usize>) -> Result<Vec<HeldBack>, String> {
        let mut held_back = Vec::new();
        for index in which {
            let target = &mut targets[index];
            if !target.write.order.boot {
                continue;
            }
            let geometry = target.flash.geometry().clone();
            let Some(step) = target.write.blocks(&geometry).next() else {
                continue;
            };
            // A block that also keeps somebody's tail cannot lie blank meanwhile: its rest would be at risk
            // for the whole run, so it is written like any other.
            let whole = step.image.end - step.image.start == step.block.end - step.block.start;
            if !whole || target.up_to_date.binary_search(&step.block.start).is_ok() {
                continue;
            }
            let flash = &mut *target.flash;
            let old = self.history.read(index, flash, &step.block);
            if self.scratch.needs(flash, &step, self.image, old.as_deref())? != Verdict::UpToDate {
                self.history.keep(index, flash, &step.block, old);
                let before = std::mem::replace(&mut self.run.touched, true);
                if !self.scratch.is_blank(flash, &step)? {
                    self.scratch
                        .erase(flash, step.block.start, &mut self.run)
                        .inspect_err(|_| self.run.touched = before || self.scratch.cause != Cause::Refused)?;
                }
                held_back.push(HeldBack { target: index, step });
            }
        }
        Ok(held_back)
    }
}

/// Marks a block bad; what it was to hold goes to the next good one, and everything behind it moves on. None is marked in
/// vain, because that cannot be undone.
fn move_on(target: &mut Target, broken: Broken) -> Result<(), String> {
    let Broken { block, what, .. } = broken;
    let geometry = target.flash.geometry().clone();
    let before = geometry.blocks().take_while(|before| before.start < block);
    let in_a_row = before.fold(0, |row, before| match target.write.to.bad.contains(&before.start) {
        true => row + 1,
        false => 0,
    });
    if in_a_row >= IN_A_ROW {
        return Err(format!(
            "{what}, behind {in_a_row} bad blocks in a row: it is not marked bad"
        ));
    }
    target.write.to.bad.push(block);
    if !target.write.fits(&geometry) {
        return Err(format!("{what}, and no good block is left to take its content"));
    }
    log::warn!("{what}; the block is marked bad");
    target.flash.mark_bad(block).map_err(|error| error.to_string())?;
    // What was compared was the content of before.
    target.up_to_date.clear();
    target.write.count(&geometry);
    Ok(())
}
