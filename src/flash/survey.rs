//! Reads the flash before anything is decided: which blocks are right already.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::bytes::store::Store;
use crate::flash::block::Scratch;
use crate::flash::ecc::ecc;
use crate::flash::volume_update;
use crate::plan::Write;
use mtd_rs::Flash;

/// Fills in [`Write::unchanged`] and [`Write::right`]. Nothing is written.
///
/// # Errors
/// Flash that cannot be opened or read.
pub fn survey(
    writes: &mut [Write],
    image: &Store,
    mut open: impl FnMut(&Write) -> Result<Box<dyn Flash>>,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let mut scratch = Scratch::new(0);
    let mut done = 0;
    for write in writes {
        let mut flash = open(write)?;
        let geometry = flash.geometry().clone();
        let mut right = Vec::new();
        let before = ecc(&mut *flash);
        let comparable = volume_update::comparable(write, &*flash);
        for step in write.blocks(&geometry).filter(|_| comparable) {
            if scratch.same(&mut *flash, &step, image).map_err(Failure::system)? {
                right.push(step.block.start);
            }
            done += step.bytes();
            progress(done);
        }
        // What is replaced as a whole is right as a whole, or not at all.
        if write.whole && (right.len() as u64) < write.erase_blocks {
            right.clear();
        }
        write.unchanged = Some(right.len() as u64);
        write.right = right;
        write.uncorrectable = ecc(&mut *flash).failed.wrapping_sub(before.failed);
    }
    Ok(())
}
