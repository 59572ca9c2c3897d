//! The counters of a run, and what the observer is told.

#![forbid(unsafe_code)]

use crate::base::outcome::Tally;
use crate::base::phase::Phase;
use crate::flash::{Observer, Progress};
use crate::plan::BlockStep;

/// A run in progress.
pub(super) struct Run<'o> {
    pub tally: Tally,
    /// Whether anything on the flash may have been changed.
    pub touched: bool,
    done: u64,
    total: u64,
    observer: Observer<'o>,
    /// Where a target began, so that one that is started over is not counted twice.
    begun: (Option<usize>, u64, u64),
}

impl<'o> Run<'o> {
    pub fn new(total: u64, observer: Observer<'o>) -> Run<'o> {
        Run {
            tally: Tally::default(),
            touched: false,
            done: 0,
            total,
            observer,
            begun: (None, 0, 0),
        }
    }

    /// A target is begun, or begun again.
    pub fn begin_target(&mut self, index: usize) {
        match self.begun {
            (Some(last), done, unchanged) if last == index => {
                self.done = done;
                self.tally.unchanged = unchanged;
            }
            _ => self.begun = (Some(index), self.done, self.tally.unchanged),
        }
    }

    /// The block was up to date already.
    pub fn unchanged(&mut self) {
        self.tally.unchanged += 1;
    }

    /// The block is dealt with.
    pub fn advance(&mut self, phase: Phase, step: &BlockStep) {
        self.tell(phase, step.bytes());
    }

    /// So many bytes are dealt with.
    pub fn tell(&mut self, phase: Phase, bytes: u64) {
        self.done += bytes;
        (self.observer)(Progress {
            phase,
            done: self.done,
            total: self.total,
        });
    }

    /// Another phase begins, with so many bytes.
    pub fn restart(&mut self, total: u64) {
        self.done = 0;
        self.total = total;
    }
}
