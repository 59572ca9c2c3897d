//! The old content of the blocks that are being changed, kept in RAM as long as there is room for all of it, and put
//! back when the new content cannot be written.

#![forbid(unsafe_code)]

use super::block::Scratch;
use super::run::Run;
use super::{Phase, Stopped, Target, failure};
use crate::error::{Exit, Failure, Harm};
use crate::plan::BlockStep;
use mtd_rs::Flash;
use std::ops::Range;

struct Entry {
    target: usize,
    block: Range<u64>,
    content: Vec<u8>,
}

/// What was there before, in the order in which it was changed.
pub(super) struct History {
    entries: Vec<Entry>,
    /// Bytes that may still be kept; `None` once something could not be: a part of the old content is of no use.
    room: Option<u64>,
}

impl History {
    pub fn new(room: u64) -> History {
        History {
            entries: Vec::new(),
            room: (room > 0).then_some(room),
        }
    }

    /// Bytes kept.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.content.len() as u64).sum()
    }

    /// Keeps a block's content, before it is changed for the first time.
    pub fn keep(&mut self, target: usize, flash: &mut dyn Flash, step: &BlockStep) -> Result<(), String> {
        let size = step.block.end - step.block.start;
        let kept = self
            .entries
            .iter()
            .any(|entry| entry.target == target && entry.block == step.block);
        let Some(room) = self.room.filter(|_| !kept) else {
            return Ok(());
        };
        let mut content = Vec::new();
        // Old content that cannot be read is no reason against replacing it; it only cannot come back.
        let readable = room >= size && content.try_reserve_exact(size as usize).is_ok() && {
            content.resize(size as usize, 0);
            read_well(flash, step.block.start, &mut content)
        };
        match readable {
            true => {
                self.room = Some(room - size);
                self.entries.push(Entry {
                    target,
                    block: step.block.clone(),
                    content,
                });
            }
            false => {
                self.room = None;
                self.entries = Vec::new();
            }
        }
        Ok(())
    }

    /// Puts everything back, the last change first: so the block that makes the box bootable comes last.
    pub fn roll_back(self, targets: &mut [Target], scratch: &mut Scratch, mut run: Run<'_>, what: String) -> Stopped {
        let stopped = |run: Run<'_>, failure| Stopped {
            failure,
            tally: run.tally,
        };
        if !run.touched || self.room.is_none() {
            let failure = failure(run.touched, what);
            return stopped(run, failure);
        }
        log::warn!("{what}; putting the old content back");
        run.restart(self.bytes());
        for entry in self.entries.iter().rev() {
            let flash = &mut *targets[entry.target].flash;
            if let Err(again) = put_back(flash, entry, scratch, &mut run) {
                let failure = failure(
                    true,
                    format_args!("{what}; the old content could not be put back either: {again}"),
                );
                return stopped(run, failure);
            }
            run.tell(Phase::RollBack, entry.content.len() as u64);
        }
        let failure = Failure::new(
            Exit::Flash,
            "rolled-back",
            format_args!("{what}; the old content was put back and verified"),
        )
        .harm(Harm::Untouched)
        .hint("flasher devices shows bad blocks and ECC counters; the old firmware is whole");
        stopped(run, failure)
    }
}

fn put_back(flash: &mut dyn Flash, entry: &Entry, scratch: &mut Scratch, run: &mut Run<'_>) -> Result<(), String> {
    scratch.want(&entry.content);
    if scratch.read_back(flash, entry.block.clone()).is_ok() {
        return Ok(());
    }
    scratch.erase(flash, entry.block.start, run)?;
    scratch.program(flash, entry.block.clone(), run)
}

/// Reads, and answers whether the bytes can be relied on. Where there is ECC it vouches for them; elsewhere they are read
/// twice, because a bit that flipped on its way would be put back as content.
fn read_well(flash: &mut dyn Flash, at: u64, content: &mut [u8]) -> bool {
    let failed = |flash: &mut dyn Flash| flash.ecc_stats().ok().flatten().map(|stats| stats.failed);
    let before = failed(flash);
    let mut again = [0; 4096];
    let whole = flash.read(at, content).is_ok();
    let agree = before.is_some()
        || content.chunks(again.len()).enumerate().all(|(index, chunk)| {
            let again = &mut again[..chunk.len()];
            flash.read(at + (index * 4096) as u64, again).is_ok() && again == chunk
        });
    whole && agree && failed(flash) == before
}
