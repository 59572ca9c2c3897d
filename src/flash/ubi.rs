//! Erase blocks of an UBI: each keeps its own erase counter, which the image cannot know.
//!
//! As `ubiformat` of mtd-utils does it: the counter is read before the erase and stands, one higher, in the header of
//! what is programmed; a block without a readable counter gets the mean of all that can be read; blocks that the image
//! has nothing for hold the header alone.

#![forbid(unsafe_code)]

use crate::image::ubi::{HEADER, Layout, MOST_ERASES, erase_counter};
use mtd_rs::Flash;

/// The erase counter header of the block at hand.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    layout: Layout,
    /// The counter on the flash.
    erased: Option<u64>,
    /// Bytes in front of the volume header, where that is still to come to lie in the same page: whole sub-pages, which
    /// are programmed alone. Where chip or driver have none the block stays blank; UBI puts the header on it, with the
    /// mean of all counters.
    part: Option<usize>,
}

impl Stamp {
    /// Completes what the image has for a block, `length` bytes that may be none, to the whole block.
    pub fn complete(layout: Layout, block: &mut [u8], length: usize, page: u32) -> Stamp {
        block[length..].fill(0xff);
        let shared = layout.volume_header < page && block.iter().all(|byte| *byte == 0xff);
        block[..HEADER].copy_from_slice(&layout.header(0));
        Stamp {
            layout,
            erased: None,
            part: shared.then_some(layout.volume_header as usize),
        }
    }

    /// Takes over the counter of what was found on the flash. From then on the two compare like any bytes: a header that
    /// is damaged or of another UBI still differs.
    pub fn adopt(&mut self, block: &mut [u8], found: &[u8]) {
        self.erased = erase_counter(found);
        match self.erased {
            Some(erased) => block[..HEADER].copy_from_slice(&self.layout.header(erased)),
            None if self.part.is_some() && found[..HEADER] == [0xff; HEADER] => block[..HEADER].fill(0xff),
            None => (),
        }
    }

    /// The block was erased once more: what is to be programmed says so. `mean` is asked where no counter was found.
    pub fn renew(&mut self, block: &mut [u8], mean: impl FnOnce() -> u64) {
        // A higher one keeps the whole UBI from being attached (`scan_peb` of drivers/mtd/ubi/attach.c).
        let erased = self.erased.map_or_else(mean, |erased| (erased + 1).min(MOST_ERASES));
        self.erased = Some(erased);
        block[..HEADER].copy_from_slice(&self.layout.header(erased));
    }

    /// What is to be programmed of a block that holds nothing but the header, in bytes, where that is less than a page.
    pub fn part(&self) -> Option<usize> {
        self.part
    }
}

/// The mean of all counters that can be read; 0 where none can.
pub(super) fn mean(flash: &mut dyn Flash) -> u64 {
    let geometry = flash.geometry().clone();
    let (mut sum, mut known) = (0, 0);
    for block in geometry.blocks() {
        let mut header = [0; HEADER];
        let readable = !flash.is_bad(block.start).unwrap_or(true) && flash.read(block.start, &mut header).is_ok();
        if let Some(erased) = erase_counter(&header).filter(|_| readable) {
            sum += erased;
            known += 1;
        }
    }
    sum / known.max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_counter_at_its_end_stays_there() {
        let layout = Layout {
            volume_header: 64,
            data: 128,
            image_seq: 7,
            needed: 4,
        };
        let mut block = layout.header(0).to_vec();
        for (found, counted) in [(5, 6), (MOST_ERASES - 1, MOST_ERASES), (MOST_ERASES, MOST_ERASES)] {
            let mut stamp = Stamp {
                layout,
                erased: None,
                part: None,
            };
            stamp.adopt(&mut block, &layout.header(found));
            stamp.renew(&mut block, || 0);
            assert_eq!(erase_counter(&block), Some(counted));
        }
    }
}
