//! The old content of the blocks that are being changed, kept in RAM as long as there is room for all of it, and put
//! back when the new content cannot be written.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm};
use crate::base::outcome::Stopped;
use crate::base::phase::Phase;
use crate::flash::Target;
use crate::flash::block::Scratch;
use crate::flash::progress::Run;
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
    /// A buffer to be used again.
    spare: Vec<u8>,
}

impl History {
    pub fn new(room: u64) -> History {
        History {
            entries: Vec::new(),
            room: (room > 0).then_some(room),
            spare: Vec::new(),
        }
    }

    /// Bytes kept.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.content.len() as u64).sum()
    }

    /// Something is about to change that cannot be put back.
    pub fn give_up(&mut self) {
        self.room = None;
        self.entries = Vec::new();
    }

    /// Whether the block is to be kept before it is changed, as far as there is room.
    fn keeps(&self, target: usize, block: &Range<u64>) -> bool {
        let kept = |entry: &Entry| entry.target == target && entry.block == *block;
        self.room.is_some() && !self.entries.iter().any(kept)
    }

    /// Reads a block that may have to be kept: all of it, so that it need not be read again for being compared. `None`
    /// where it need not be kept or cannot be.
    pub fn read(&mut self, target: usize, flash: &mut dyn Flash, block: &Range<u64>) -> Option<Vec<u8>> {
        let size = (block.end - block.start) as usize;
        if !self.keeps(target, block) || self.room? < size as u64 {
            return None;
        }
        let mut content = std::mem::take(&mut self.spare);
        content.try_reserve_exact(size.saturating_sub(content.len())).ok()?;
        content.resize(size, 0);
        let failed = failed(flash).ok()?;
        let whole = flash.read(block.start, &mut content).is_ok();
        (whole && self::failed(flash).is_ok_and(|now| now == failed)).then_some(content)
    }

    /// Takes back what was read for nothing.
    pub fn spare(&mut self, content: Option<Vec<u8>>) {
        self.spare = content.unwrap_or_default();
    }

    /// Keeps what was read of a block, before it is changed for the first time. Old content that cannot be read, at the
    /// second try, is no reason against replacing it; but then nothing is put back.
    pub fn keep(&mut self, target: usize, flash: &mut dyn Flash, block: &Range<u64>, content: Option<Vec<u8>>) {
        if !self.keeps(target, block) {
            return;
        }
        let content = content.or_else(|| self.read(target, flash, block));
        match content.filter(|content| is_there(flash, block.start, content)) {
            Some(content) => {
                self.room = self.room.map(|room| room - content.len() as u64);
                self.entries.push(Entry {
                    target,
                    block: block.clone(),
                    content,
                });
            }
            None => self.give_up(),
        }
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
            if let Err(again) = put_back(&mut targets[entry.target], entry, scratch, &mut run) {
                let failure = failure(
                    true,
                    format_args!("{what}; the old content could not be put back either: {again}"),
                );
                return stopped(run, failure);
            }
            run.tell(Phase::PuttingBack, entry.content.len() as u64);
        }
        let failure = Failure::new(
            Exit::Flash,
            Code::RolledBack,
            format_args!("{what}; the old content was put back and verified"),
        )
        .harm(Harm::Untouched)
        .hint("flasher devices shows bad blocks and ECC counters; the old firmware is whole");
        stopped(run, failure)
    }
}

fn put_back(target: &mut Target, entry: &Entry, scratch: &mut Scratch, run: &mut Run<'_>) -> Result<(), String> {
    let leave_blank = target.write.method.leaves_blank() || leaves_blank(&entry.content);
    let flash = &mut *target.flash;
    scratch.want(&entry.content, leave_blank);
    if scratch.read_back(flash, entry.block.clone()).is_ok() {
        return Ok(());
    }
    scratch.erase(flash, entry.block.start, run)?;
    scratch.program(flash, entry.block.clone(), run)
}

/// Whether blank pages at the end of a block of NAND are to stay as the erase leaves them: it is of a UBI or JFFS2, which
/// programs them later, or nothing was ever programmed there.
fn leaves_blank(content: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 3] = [b"UBI#", &[0x85, 0x19], &[0x19, 0x85]];
    BEGINNINGS.iter().any(|beginning| content.starts_with(beginning)) || content.iter().all(|byte| *byte == 0xff)
}

/// Reads that ECC could not correct, where there is ECC. An error is not that there is none.
fn failed(flash: &mut dyn Flash) -> mtd_rs::Result<Option<u32>> {
    Ok(flash.ecc_stats()?.map(|stats| stats.failed))
}

/// Whether the bytes that were read can be relied on. Where there is ECC it has vouched for them; elsewhere they are read
/// again, and again, because a bit that flipped on its way would be put back as content.
pub fn is_there(flash: &mut dyn Flash, at: u64, content: &[u8]) -> bool {
    let mut again = [0; 4096];
    let mut same = |flash: &mut dyn Flash| {
        content.chunks(4096).enumerate().all(|(index, chunk)| {
            let again = &mut again[..chunk.len()];
            flash.read(at + (index * 4096) as u64, again).is_ok() && again == chunk
        })
    };
    match failed(flash) {
        Ok(Some(_)) => true,
        Ok(None) => same(flash) && same(flash),
        Err(_) => false,
    }
}

/// The failure of a run, by what it left on the flash.
fn failure(touched: bool, what: impl std::fmt::Display) -> Failure {
    match touched {
        false => Failure::new(Exit::System, Code::Flash, what).hint("flasher devices"),
        true => Failure::new(Exit::Flash, Code::Flash, what)
            .harm(Harm::Partly)
            .hint("run the same command again; it goes on where this one stopped"),
    }
}
