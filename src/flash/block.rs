//! One erase block: compare, erase, program, read back.

#![forbid(unsafe_code)]

use crate::bytes::hashing::Hashing;
use crate::bytes::store::Store;
use crate::flash::progress::Run;
use crate::flash::rollback::is_there;
use crate::flash::ubi::Stamp;
use crate::flash::{Target, ubi};
use crate::image::ubi::HEADER;
use crate::plan::{BlockStep, Method};
use mtd_rs::{EccStats, ErrorKind, Flash, FlashKind, Geometry};
use std::ops::Range;

/// Tries beyond the first. Worn blocks often take the second erase; what fails four times stays broken.
const RETRIES: u64 = 3;
/// Bytes compared at a time, where pages are no larger: small, because it is locked memory.
const CHUNK: usize = 4 << 10;
/// Bytes of a block that are compared first: most blocks that differ do so at once, and a page of NAND is read as a whole.
const FIRST: usize = 2 << 10;

/// The engine's only buffers; they are there before erasing begins.
pub(super) struct Scratch {
    /// A whole block as it is to be.
    wanted: Vec<u8>,
    /// What is on the flash, a chunk at a time.
    found: Vec<u8>,
    /// The header of that block, if it is one of an UBI.
    stamp: Option<Stamp>,
    /// The mean erase counter of the partition at hand, once it was needed.
    mean: Option<u64>,
    /// Whether blank pages at the block's end are not programmed.
    leave_blank: bool,
    /// Whether the flash was found to take whole pages only.
    whole_pages: bool,
    /// The checksum that is made of what is read of the image.
    pub hashing: Option<Hashing>,
    /// Why the last erase or program operation failed that did.
    pub cause: Cause,
}

/// Why an erase or program operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody else has the device, or it is locked or a UBI that may only be read, so that the kernel did nothing at all.
    Refused,
    /// The chip could not do it, or it did not last.
    Chip,
    /// Anything else; it says nothing of the block.
    Other,
}

/// What a block needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    UpToDate,
    /// To be programmed: it is blank, or only loses bits, on flash where that is allowed; or its flash erases by itself.
    Program,
    /// To be erased and programmed.
    Erase,
}

impl Cause {
    /// Of what was asked for from this offset on. Only at its very start is it refused.
    pub fn of(error: &mtd_rs::Error, at: u64) -> Cause {
        match error.raw_os_error() {
            Some(libc::EBUSY | libc::EROFS) if error.offset().is_none_or(|offset| offset == at) => Cause::Refused,
            Some(libc::EIO) => Cause::Chip,
            _ => Cause::Other,
        }
    }
}

/// Flash that may be locked at power-up (`MTD_POWERUP_LOCK`) is unlocked where the plan writes.
pub(super) fn unlock(target: &mut Target) -> Result<(), String> {
    let geometry = target.flash.geometry().clone();
    let blocks: Vec<_> = target.write.blocks(&geometry).map(|step| step.block).collect();
    match (blocks.first(), blocks.last()) {
        (Some(first), Some(last)) => target
            .flash
            .unlock(first.start..last.end)
            .map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

/// Whether reading between the two gave data that ECC could not vouch for. mtdchar's `read()` succeeds
/// on those (`mtdchar_read` in `drivers/mtd/mtdchar.c` takes no notice of `EUCLEAN` and `EBADMSG`). Counters that are there
/// at one of the two times only vouch for nothing.
fn uncorrectable(before: Option<EccStats>, after: Option<EccStats>) -> bool {
    before.map(|stats| stats.failed) != after.map(|stats| stats.failed)
}

impl Scratch {
    /// Buffers for erase blocks of up to this many bytes.
    pub fn new(largest: usize) -> Scratch {
        Scratch {
            wanted: vec![0; largest],
            found: vec![0; CHUNK],
            stamp: None,
            mean: None,
            leave_blank: false,
            whole_pages: false,
            hashing: None,
            cause: Cause::Other,
        }
    }

    /// Bytes that are compared at a time on this flash: whole pages of NAND.
    fn chunk(&mut self, flash: &dyn Flash) -> usize {
        let chunk = CHUNK.max(flash.geometry().write_size as usize);
        if self.found.len() < chunk {
            self.found.resize(chunk, 0);
        }
        chunk
    }

    /// Another partition is at hand.
    pub fn begin_target(&mut self) {
        self.mean = None;
        self.whole_pages = false;
    }

    /// Reads what the image has for the block. The image is read once and in ascending order: a packed one begins anew at
    /// each look back.
    fn load(&mut self, step: &BlockStep, page: u32, image: &Store) -> Result<(), String> {
        self.wanted.resize((step.block.end - step.block.start) as usize, 0);
        let length = (step.image.end - step.image.start) as usize;
        if length > 0 {
            let wanted = &mut self.wanted[..length];
            let mut read = image.read_exact_at(step.image.start, wanted);
            if let (Some(hashing), Ok(())) = (&mut self.hashing, &read) {
                read = hashing.take(image, step.image.start, wanted);
            }
            read.map_err(|error| format!("the image cannot be read: {error}"))?;
        }
        if let Some(byte) = step.method.rest().byte() {
            self.wanted[length..].fill(byte);
        }
        self.leave_blank = step.method.leaves_blank();
        self.stamp = match step.method {
            Method::Ubi(layout) => Some(Stamp::complete(layout, &mut self.wanted, length, page)),
            _ => None,
        };
        Ok(())
    }

    /// Compares what was loaded with the block chunk by chunk, until `each`, which is given wanted and found bytes, says
    /// that enough was seen. The block is read here unless `old` is all of it. Answers whether ECC vouches for what was
    /// read.
    fn compare(
        &mut self,
        flash: &mut dyn Flash,
        step: &BlockStep,
        old: Option<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<bool, String> {
        let before = flash.ecc_stats().map_err(|e| e.to_string())?;
        let chunk = self.chunk(flash);
        let first = FIRST.max(flash.geometry().write_size as usize);
        let length = step.bytes() as usize;
        let mut at = 0;
        while at < length {
            let take = if at == 0 { first } else { chunk };
            let part = at..length.min(at + take);
            let wanted = &mut self.wanted[part.clone()];
            let found = match old {
                Some(old) => &old[part.clone()],
                None => {
                    let found = &mut self.found[..wanted.len()];
                    flash
                        .read(step.block.start + at as u64, found)
                        .map_err(|e| e.to_string())?;
                    &*found
                }
            };
            if let Some(stamp) = self.stamp.as_mut().filter(|_| at == 0) {
                stamp.adopt(wanted, found);
            }
            if !each(wanted, found) {
                break;
            }
            at = part.end;
        }
        let after = flash.ecc_stats().map_err(|e| e.to_string())?;
        Ok(!uncorrectable(before, after))
    }

    /// Whether the block begins with its bytes of the image. Of a block that differs at its beginning, no more is read of
    /// flash and image.
    pub fn same(&mut self, flash: &mut dyn Flash, step: &BlockStep, image: &Store) -> Result<bool, String> {
        let page = flash.geometry().write_size;
        let cut = match step.method {
            // Its headers are completed of the whole block.
            Method::Ubi(_) => 0,
            _ => (FIRST as u64).max(page.into()).min(step.bytes()),
        };
        let middle = step.block.start + cut;
        let source = step.image.end.min(step.image.start + cut);
        let halves = [
            (step.block.start..middle, step.image.start..source),
            (middle..step.block.end, source..step.image.end),
        ];
        for (block, source) in halves.into_iter().filter(|(block, _)| !block.is_empty()) {
            let method = step.method;
            let half = BlockStep {
                block,
                image: source,
                method,
            };
            self.load(&half, page, image)?;
            let mut same = true;
            let vouched = self.compare(flash, &half, None, &mut |wanted, found| {
                same = wanted == found;
                same
            })?;
            if !same || !vouched {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the block needs, and leaves the image's bytes loaded. `old` is what it holds, vouched for, where that was read
    /// already; otherwise the flash is read no further than the answer is open.
    pub fn needs(
        &mut self,
        flash: &mut dyn Flash,
        step: &BlockStep,
        image: &Store,
        old: Option<&[u8]>,
    ) -> Result<Verdict, String> {
        self.load(step, flash.geometry().write_size, image)?;
        let overwrites = overwrites(flash.geometry());
        // A page of NAND takes no second program, even one that only clears bits. UBI counts erases.
        let may_clear = flash.geometry().can_clear_bits()
            && !flash.geometry().kind.is_nand()
            && !matches!(step.method, Method::Ubi(_));
        let (mut same, mut clears) = (true, may_clear && !overwrites);
        let vouched = self.compare(flash, step, old, &mut |wanted, found| {
            if wanted != found {
                same = false;
                clears &= wanted
                    .iter()
                    .zip(found)
                    .all(|(wanted, found)| wanted & *found == *wanted);
            }
            same || clears
        })?;
        Ok(
            match (
                same && vouched,
                clears || overwrites && !matches!(step.method, Method::Ubi(_)),
            ) {
                (true, _) => Verdict::UpToDate,
                (false, true) => Verdict::Program,
                (false, false) => Verdict::Erase,
            },
        )
    }

    /// Whether a block of flash whose bits may be cleared at will is blank already.
    pub fn is_blank(&mut self, flash: &mut dyn Flash, step: &BlockStep) -> Result<bool, String> {
        if !flash.geometry().can_clear_bits() || flash.geometry().kind.is_nand() {
            return Ok(false);
        }
        let chunk = self.chunk(flash);
        let mut at = step.block.start;
        while at < step.block.end {
            let found = &mut self.found[..chunk.min((step.block.end - at) as usize)];
            flash.read(at, found).map_err(|e| e.to_string())?;
            if found.iter().any(|byte| *byte != 0xff) {
                return Ok(false);
            }
            at += found.len() as u64;
        }
        Ok(true)
    }

    /// Puts together what the block is to hold: the image, and behind its end what is there now.
    pub fn prepare(&mut self, flash: &mut dyn Flash, step: &BlockStep, image: &Store) -> Result<(), String> {
        self.load(step, flash.geometry().write_size, image)?;
        self.keep_tail(flash, step)
    }

    /// Puts behind the image's end what the block holds there now, because only planned bytes may change. Pages that
    /// ECC cannot correct hold nothing any more, most often because the power failed while the block was written; they
    /// become blank.
    pub fn keep_tail(&mut self, flash: &mut dyn Flash, step: &BlockStep) -> Result<(), String> {
        let size = (step.block.end - step.block.start) as usize;
        let length = step.bytes() as usize;
        if length == size {
            return Ok(());
        }
        // Reads begin on pages, whose edges the image's end need not know.
        let page = flash.geometry().write_size.max(1) as usize;
        let from = length - length % page;
        let kept = self.wanted[from..length].to_vec();
        if !self.read_tail(flash, step.block.start, from..size)? {
            let mut lost = 0;
            for at in (from..size).step_by(page) {
                if !self.read_tail(flash, step.block.start, at..at + page)? {
                    self.wanted[at..at + page].fill(0xff);
                    lost += page;
                }
            }
            log::warn!(
                "{}: of what stood behind the image's end in the block at 0x{:x} ECC cannot correct {lost} bytes: lost",
                flash.label(),
                step.block.start
            );
        }
        self.wanted[from..length].copy_from_slice(&kept);
        Ok(())
    }

    /// Reads a part of the block to where it is wanted again; whether ECC vouches for it. Without ECC a bit that flipped on
    /// its way would be programmed, so there all of it must read the same several times.
    fn read_tail(&mut self, flash: &mut dyn Flash, block: u64, part: Range<usize>) -> Result<bool, String> {
        let at = block + part.start as u64;
        for _ in 0..=RETRIES {
            let before = flash.ecc_stats().map_err(|e| e.to_string())?;
            flash
                .read(at, &mut self.wanted[part.clone()])
                .map_err(|e| e.to_string())?;
            let after = flash.ecc_stats().map_err(|e| e.to_string())?;
            if uncorrectable(before, after) {
                return Ok(false);
            }
            if is_there(flash, at, &self.wanted[part.clone()]) {
                return Ok(true);
            }
        }
        Err(format!(
            "{}: what stands behind the image's end in the block at 0x{block:x} reads differently each time",
            flash.label()
        ))
    }

    /// Programs the image's bytes of a block where those of the one in front ended.
    pub fn append(&mut self, flash: &mut dyn Flash, step: &BlockStep, image: &Store) -> Result<(), String> {
        self.load(step, flash.geometry().write_size, image)?;
        let length = (step.image.end - step.image.start) as usize;
        flash
            .program(step.block.start, &self.wanted[..length])
            .map_err(|error| error.to_string())
    }

    /// The block is to hold this.
    pub fn want(&mut self, content: &[u8], leave_blank: bool) {
        self.wanted.clear();
        self.wanted.extend_from_slice(content);
        (self.stamp, self.leave_blank) = (None, leave_blank);
    }

    /// Erases the block, with retries.
    pub fn erase(&mut self, flash: &mut dyn Flash, block: u64, run: &mut Run<'_>) -> Result<(), String> {
        let mut tries = 0;
        while let Err(error) = flash.erase(block) {
            // What one try has begun is not undone by the next one's being refused.
            let cause = Cause::of(&error, block);
            self.cause = if tries == 0 || cause == self.cause {
                cause
            } else {
                Cause::Other
            };
            if tries == RETRIES {
                return Err(error.to_string());
            }
            log::warn!("{error}; trying again");
            tries += 1;
            run.tally.retried += 1;
        }
        run.tally.erased += 1;
        self.renew(flash);
        Ok(())
    }

    /// What is to be programmed says that the block was erased once more, if it is one of an UBI.
    fn renew(&mut self, flash: &mut dyn Flash) {
        let known = &mut self.mean;
        if let Some(stamp) = &mut self.stamp {
            stamp.renew(&mut self.wanted, || *known.get_or_insert_with(|| ubi::mean(flash)));
        }
    }

    /// Programs a blank block and reads it back; erases and tries again if that went wrong.
    pub fn program(&mut self, flash: &mut dyn Flash, block: Range<u64>, run: &mut Run<'_>) -> Result<(), String> {
        let mut tries = 0;
        while let Err(what) = self.program_once(flash, block.clone()) {
            if tries == RETRIES {
                return Err(what);
            }
            log::warn!("{what}; trying again");
            tries += 1;
            run.tally.retried += 1;
            self.erase(flash, block.start, run)?;
        }
        Ok(())
    }

    /// Programs what was prepared, and reads it back.
    pub fn program_once(&mut self, flash: &mut dyn Flash, block: Range<u64>) -> Result<(), String> {
        let size = (block.end - block.start) as usize;
        match self.stamp.as_ref().and_then(Stamp::part) {
            None => program_pages(flash, block.start, &self.wanted[..size], self.leave_blank),
            Some(part) => self.program_header(flash, block.start, part),
        }
        .map_err(|error| {
            self.cause = Cause::of(&error, block.start);
            error.to_string()
        })?;
        self.read_back(flash, block)
    }

    /// Programs the header of a block that holds nothing else; leaves the block blank where that would take a whole page.
    fn program_header(&mut self, flash: &mut dyn Flash, at: u64, part: usize) -> Result<(), mtd_rs::Error> {
        if !self.whole_pages {
            match flash.program(at, &self.wanted[..part]) {
                Err(error) if error.kind() == ErrorKind::Unaligned || error.raw_os_error() == Some(libc::EINVAL) => {
                    self.whole_pages = true;
                }
                done => return done,
            }
        }
        self.wanted[..HEADER].fill(0xff);
        Ok(())
    }

    /// Compares the block with what was prepared.
    pub fn read_back(&mut self, flash: &mut dyn Flash, block: Range<u64>) -> Result<(), String> {
        let size = (block.end - block.start) as usize;
        // What the system does not let us read may be right all the same.
        self.cause = Cause::Other;
        let before = flash.ecc_stats().map_err(|e| e.to_string())?;
        let chunk = self.chunk(flash);
        for (index, wanted) in self.wanted[..size].chunks(chunk).enumerate() {
            let at = block.start + (index * chunk) as u64;
            let found = &mut self.found[..wanted.len()];
            flash.read(at, found).map_err(|e| e.to_string())?;
            // All at once, which is much faster than byte by byte.
            if wanted != &*found {
                let first = wanted.iter().zip(&*found).take_while(|(a, b)| a == b).count();
                self.cause = Cause::Chip;
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
            true => {
                self.cause = Cause::Chip;
                Err(format!(
                    "{}: the block at 0x{:x} reads back with errors that ECC cannot correct",
                    flash.label(),
                    block.start
                ))
            }
        }
    }
}

/// Whether new content takes the place of old without an erase: RAM, and DataFlash, whose driver uses the erase that is
/// built into the chip's program operation (`dataflash_write` in `drivers/mtd/devices/mtd_dataflash.c`).
fn overwrites(geometry: &Geometry) -> bool {
    !geometry.needs_erase() || geometry.kind == FlashKind::Dataflash
}

/// Programs a block, its pages ascending. On NOR, runs of 0xFF are what is there already and are left out. On NAND blank
/// pages are programmed like others, for boot loaders whose ECC takes a page that never was for a damaged one; but not
/// those at the end of a block whose file system programs them later.
fn program_pages(flash: &mut dyn Flash, at: u64, bytes: &[u8], leave_blank: bool) -> Result<(), mtd_rs::Error> {
    let geometry = flash.geometry();
    // A block of a UBI volume is changed as a whole.
    if geometry.kind == FlashKind::UbiVolume {
        return flash.program(at, bytes);
    }
    if geometry.kind.is_nand() {
        let page = geometry.write_size.max(1) as usize;
        let used = bytes.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1);
        return match (leave_blank, used) {
            (true, 0) => Ok(()),
            (true, used) => flash.program(at, &bytes[..used.next_multiple_of(page).min(bytes.len())]),
            (false, _) => flash.program(at, bytes),
        };
    }
    let all = overwrites(geometry);
    let mut from = 0;
    for chunk in bytes.chunks(CHUNK) {
        if all || chunk.iter().any(|byte| *byte != 0xff) {
            flash.program(at + from, chunk)?;
        }
        from += chunk.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mtd_rs::{Error, Operation};
    use std::io;

    #[test]
    fn what_is_refused_at_its_very_start_has_changed_nothing() {
        let of = |number, offset| {
            let error = io::Error::from_raw_os_error(number);
            Cause::of(&Error::io(Operation::Erase, "mtd0", offset, error), 0x2_0000)
        };
        for number in [libc::EBUSY, libc::EROFS] {
            assert_eq!(of(number, Some(0x2_0000)), Cause::Refused);
            assert_eq!(of(number, None), Cause::Refused);
            assert_eq!(of(number, Some(0x2_1000)), Cause::Other);
        }
        assert_eq!(of(libc::EIO, Some(0x2_0000)), Cause::Chip);
    }
}
