//! Reads the flash before anything is decided: which blocks are up to date.

#![forbid(unsafe_code)]

use super::block::Scratch;
use super::ecc::ecc;
use super::volume_update;
use crate::base::error::{Failure, Result};
use crate::bytes::store::Store;
use crate::plan::{Method, Survey, Write};
use mtd_rs::Flash;

/// Compares each write with what is on the flash. Nothing is written. `progress` is told the bytes so far.
///
/// # Errors
/// Flash that cannot be opened or read.
pub fn survey(
    writes: &[Write],
    image: &Store,
    mut open: impl FnMut(&Write) -> Result<Box<dyn Flash>>,
    mut progress: impl FnMut(u64),
) -> Result<Vec<Survey>> {
    let mut scratch = Scratch::new(0);
    let mut done = 0;
    let mut surveys = Vec::new();
    for write in writes {
        let mut flash = open(write)?;
        let geometry = flash.geometry().clone();
        let mut up_to_date = Vec::new();
        let before = ecc(&mut *flash);
        let comparable = volume_update::comparable(write, &*flash);
        for step in write.blocks(&geometry).filter(|_| comparable) {
            if scratch.same(&mut *flash, &step, image).map_err(Failure::system)? {
                up_to_date.push(step.block.start);
            }
            done += step.bytes();
            progress(done);
        }
        // What is replaced as a whole is up to date as a whole, or not at all.
        if write.method == Method::VolumeUpdate && (up_to_date.len() as u64) < write.erase_blocks {
            up_to_date.clear();
        }
        surveys.push(Survey {
            up_to_date,
            uncorrectable: ecc(&mut *flash).failed.wrapping_sub(before.failed),
        });
    }
    Ok(surveys)
}
