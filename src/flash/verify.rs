//! Everything is read once more at the end and compared with the image.

#![forbid(unsafe_code)]

use super::block::Scratch;
use super::ecc::Ecc;
use super::progress::Run;
use super::{Observer, Target, Written, largest_block};
use crate::base::outcome::{Stopped, Tally};
use crate::base::phase::Phase;
use crate::bytes::store::Store;

/// Everything is on the flash and was read once more from beginning to end.
#[must_use]
#[derive(Debug)]
pub struct Verified {
    /// What it took.
    pub tally: Tally,
    /// Bytes of old content that were kept in RAM meanwhile.
    pub kept: u64,
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
        let _ahead = image.read_ahead(largest_block(&self.targets));
        match verify_all(&mut self.targets, image, &mut scratch, Some(&mut run)) {
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

/// Compares all of the targets with the image; `run` is told of it where that is a phase of its own.
pub(super) fn verify_all(
    targets: &mut [Target],
    image: &Store,
    scratch: &mut Scratch,
    mut run: Option<&mut Run<'_>>,
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
            if let Some(run) = &mut run {
                run.advance(Phase::Verifying, &step);
            }
        }
    }
    Ok(())
}
