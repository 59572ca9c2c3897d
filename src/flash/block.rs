//! One erase block: compare, erase, program, read back.

#![forbid(unsafe_code)]

use super::{Run, Stopped, Target};
use crate::image::store::Store;
use crate::plan::BlockStep;
use mtd_rs::{EccStats, Flash};

/// Tries beyond the first. Worn blocks often take the second erase; what fails four times stays broken.
const RETRIES: u64 = 3;
/// Bytes compared at a time: a multiple of every page size, and small, because it is locked memory.
const CHUNK: usize = 16 << 10;

/// The engine's only buffers; nothing is allocated once erasing has begun.
pub(super) struct Scratch {
    /// A whole block as it is to be.
    wanted: Vec<u8>,
    /// What is on the flash, a chunk at a time.
    found: Vec<u8>,
    /// What the image has there.
    image: Vec<u8>,
}

/// Flash that may be locked at power-up (`MTD_POWERUP_LOCK`) is unlocked where the plan writes.
pub(super) fn unlock(target: &mut Target<'_>) -> Result<(), mtd_rs::Error> {
    let geometry = target.flash.geometry().clone();
    let blocks: Vec<_> = target.write.blocks(&geometry).map(|step| step.block).collect();
    match (blocks.first(), blocks.last()) {
        (Some(first), Some(last)) => target.flash.unlock(first.start..last.end),
        _ => Ok(()),
    }
}

/// Whether reading between the two gave data that ECC could not vouch for. mtdchar's `read()` succeeds
/// on those (FACTS §3).
fn uncorrectable(before: Option<EccStats>, after: Option<EccStats>) -> bool {
    matches!((before, after), (Some(before), Some(after)) if after.failed != before.failed)
}

impl Scratch {
    /// Buffers for erase blocks of up to this many bytes.
    pub fn new(largest: usize) -> Scratch {
        Scratch {
            wanted: vec![0; largest],
            found: vec![0; CHUNK],
            image: vec![0; CHUNK],
        }
    }

    /// Whether the block begins with its bytes of the image. Stops reading at the first difference.
    pub fn is_right(
        &mut self,
        flash: &mut dyn Flash,
        step: &BlockStep,
        image: &Store,
        run: &Run<'_>,
    ) -> Result<bool, Stopped> {
        self.same(flash, step, image).map_err(|what| run.stop(what))
    }

    /// As [`Scratch::is_right`], outside a run.
    pub fn same(&mut self, flash: &mut dyn Flash, step: &BlockStep, image: &Store) -> Result<bool, String> {
        let before = flash.ecc_stats().map_err(|e| e.to_string())?;
        let length = step.image.end - step.image.start;
        let mut at = 0;
        while at < length {
            let take = CHUNK.min((length - at) as usize);
            let wanted = &mut self.image[..take];
            image
                .read_exact_at(step.image.start + at, wanted)
                .map_err(|error| format!("the image in RAM cannot be read: {error}"))?;
            let found = &mut self.found[..take];
            flash.read(step.block.start + at, found).map_err(|e| e.to_string())?;
            if wanted != found {
                return Ok(false);
            }
            at += take as u64;
        }
        let after = flash.ecc_stats().map_err(|e| e.to_string())?;
        Ok(!uncorrectable(before, after))
    }

    /// Makes the block right, if it is not.
    pub fn put(
        &mut self,
        flash: &mut dyn Flash,
        step: &BlockStep,
        image: &Store,
        run: &mut Run<'_>,
    ) -> Result<(), Stopped> {
        // The image is read once, and in ascending order: a packed one would begin anew at each look back.
        self.load(step, image).map_err(|what| run.stop(what))?;
        if self.holds(flash, step).map_err(|what| run.stop(what))? {
            run.tally.unchanged += 1;
            return Ok(());
        }
        self.keep_tail(flash, step).map_err(|what| run.stop(what))?;
        self.erase(flash, step, run)?;
        self.program(flash, step, run)
    }

    /// Programs a block that [`Scratch::erase`] left blank.
    pub fn complete(
        &mut self,
        flash: &mut dyn Flash,
        step: &BlockStep,
        image: &Store,
        run: &mut Run<'_>,
    ) -> Result<(), Stopped> {
        self.load(step, image)
            .and_then(|()| self.keep_tail(flash, step))
            .map_err(|what| run.stop(what))?;
        self.program(flash, step, run)
    }

    /// Reads what the image has for the block.
    fn load(&mut self, step: &BlockStep, image: &Store) -> Result<(), String> {
        let length = (step.image.end - step.image.start) as usize;
        image
            .read_exact_at(step.image.start, &mut self.wanted[..length])
            .map_err(|error| format!("the image in RAM cannot be read: {error}"))
    }

    /// Whether the block begins with what was loaded. Stops reading at the first difference.
    fn holds(&mut self, flash: &mut dyn Flash, step: &BlockStep) -> Result<bool, String> {
        let length = (step.image.end - step.image.start) as usize;
        let before = flash.ecc_stats().map_err(|e| e.to_string())?;
        for (index, wanted) in self.wanted[..length].chunks(CHUNK).enumerate() {
            let found = &mut self.found[..wanted.len()];
            flash
                .read(step.block.start + (index * CHUNK) as u64, found)
                .map_err(|e| e.to_string())?;
            if wanted != found {
                return Ok(false);
            }
        }
        let after = flash.ecc_stats().map_err(|e| e.to_string())?;
        Ok(!uncorrectable(before, after))
    }

    /// Puts behind the image's end what the block holds there now (law 4).
    fn keep_tail(&mut self, flash: &mut dyn Flash, step: &BlockStep) -> Result<(), String> {
        let size = (step.block.end - step.block.start) as usize;
        let length = (step.image.end - step.image.start) as usize;
        if length < size {
            // Reads begin on pages, whose edges the image's end need not know.
            let page = flash.geometry().write_size.max(1) as usize;
            let from = length - length % page;
            let kept = self.wanted[from..length].to_vec();
            let before = flash.ecc_stats().map_err(|e| e.to_string())?;
            flash
                .read(step.block.start + from as u64, &mut self.wanted[from..size])
                .map_err(|e| e.to_string())?;
            let after = flash.ecc_stats().map_err(|e| e.to_string())?;
            if uncorrectable(before, after) {
                return Err(format!(
                    "{}: what stands behind the image's end in the block at 0x{:x} cannot be read and would be lost",
                    flash.label(),
                    step.block.start
                ));
            }
            self.wanted[from..length].copy_from_slice(&kept);
        }
        Ok(())
    }

    /// Erases the block, with retries.
    pub fn erase(&mut self, flash: &mut dyn Flash, step: &BlockStep, run: &mut Run<'_>) -> Result<(), Stopped> {
        let mut tries = 0;
        loop {
            // From here on the block's content may be anything.
            run.touched = true;
            match flash.erase(step.block.start) {
                Ok(()) => {
                    run.tally.erased += u64::from(tries == 0);
                    return Ok(());
                }
                Err(error) if tries == RETRIES => return Err(run.stop(error)),
                Err(error) => log::warn!("{error}; trying again"),
            }
            tries += 1;
            run.tally.retried += 1;
        }
    }

    /// Programs a blank block and reads it back; erases and tries again if that went wrong.
    fn program(&mut self, flash: &mut dyn Flash, step: &BlockStep, run: &mut Run<'_>) -> Result<(), Stopped> {
        let mut tries = 0;
        loop {
            let what = match self.program_once(flash, step) {
                Ok(()) => return Ok(()),
                Err(what) => what,
            };
            if tries == RETRIES {
                return Err(run.stop(what));
            }
            log::warn!("{what}; trying again");
            tries += 1;
            run.tally.retried += 1;
            flash.erase(step.block.start).map_err(|error| run.stop(error))?;
        }
    }

    fn program_once(&mut self, flash: &mut dyn Flash, step: &BlockStep) -> Result<(), String> {
        let size = (step.block.end - step.block.start) as usize;
        let wanted = &self.wanted[..size];
        program_pages(flash, step.block.start, wanted).map_err(|error| error.to_string())?;
        let before = flash.ecc_stats().map_err(|e| e.to_string())?;
        for (index, wanted) in wanted.chunks(CHUNK).enumerate() {
            let at = step.block.start + (index * CHUNK) as u64;
            let found = &mut self.found[..wanted.len()];
            flash.read(at, found).map_err(|e| e.to_string())?;
            if let Some(first) = wanted.iter().zip(&*found).position(|(a, b)| a != b) {
                return Err(format!(
                    "{}: read back 0x{:02x} for 0x{:02x} at 0x{:x}",
                    flash.label(),
                    found[first],
                    wanted[first],
                    at + first as u64
                ));
            }
        }
        let after = flash.ecc_stats().map_err(|e| e.to_string())?;
        match uncorrectable(before, after) {
            false => Ok(()),
            true => Err(format!(
                "{}: the block at 0x{:x} reads back with errors that ECC cannot correct",
                flash.label(),
                step.block.start
            )),
        }
    }
}

/// Programs a blank block. On NOR, runs of 0xFF are what is there already and are left out.
fn program_pages(flash: &mut dyn Flash, at: u64, bytes: &[u8]) -> Result<(), mtd_rs::Error> {
    if flash.geometry().kind.is_nand() {
        return flash.program(at, bytes);
    }
    let mut from = 0;
    for chunk in bytes.chunks(CHUNK) {
        if chunk.iter().any(|byte| *byte != 0xff) {
            flash.program(at + from, chunk)?;
        }
        from += chunk.len() as u64;
    }
    Ok(())
}
