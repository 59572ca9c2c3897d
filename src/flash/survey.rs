//! Reads the flash before anything is decided: which blocks are up to date.

#![forbid(unsafe_code)]

use super::block::Scratch;
use super::ecc::ecc;
use super::volume_update;
use crate::base::error::{Failure, Result};
use crate::bytes::hashing::Hashing;
use crate::bytes::store::Store;
use crate::plan::{Method, Survey, Write};
use mtd_rs::Flash;

/// A write and its flash, while it is compared.
struct Compared<'w> {
    index: usize,
    write: &'w Write,
    flash: Box<dyn Flash>,
    survey: Survey,
}

/// Compares each write with what is on the flash. Nothing is written. `progress` is told the bytes so far.
///
/// `hashing` is made of what is read of the image from the first block on that differs: what is on the flash already needs no
/// checksum, which takes longer than reading. Mostly the first block of some partition differs if anything does, so these are
/// compared first.
///
/// # Errors
/// Flash that cannot be opened or read.
pub fn survey(
    writes: &[Write],
    image: &Store,
    hashing: &mut Option<Hashing>,
    mut open: impl FnMut(&Write) -> Result<Box<dyn Flash>>,
    mut progress: impl FnMut(u64),
) -> Result<Vec<Survey>> {
    let mut scratch = Scratch::new(0);
    let mut done = 0;
    let mut all = Vec::new();
    for (index, write) in writes.iter().enumerate() {
        all.push(Compared {
            index,
            write,
            flash: open(write)?,
            survey: Survey::default(),
        });
    }
    // In the order of the image: nothing of it is read twice to be hashed or unpacked.
    all.sort_unstable_by_key(|one| one.write.source.start);
    let mut differs = hashing.as_ref().is_some_and(|hashing| hashing.at_once);
    // What is packed begins anew where it is not read on.
    let first = usize::from(hashing.is_some() && !differs);
    for (skip, take) in [(0, first), (first, usize::MAX)] {
        for Compared {
            write, flash, survey, ..
        } in &mut all
        {
            let geometry = flash.geometry().clone();
            let before = ecc(&mut **flash);
            let comparable = volume_update::comparable(write, &**flash);
            for step in write.blocks(&geometry).skip(skip).take(take) {
                if differs && skip == first && hashing.is_some() {
                    scratch.hashing = hashing.take();
                }
                match comparable && scratch.same(&mut **flash, &step, image).map_err(Failure::system)? {
                    true => survey.up_to_date.push(step.block.start),
                    false => differs = true,
                }
                done += step.bytes();
                progress(done);
            }
            let failed = ecc(&mut **flash).failed.wrapping_sub(before.failed);
            survey.uncorrectable = survey.uncorrectable.wrapping_add(failed);
        }
    }
    *hashing = hashing.take().or(scratch.hashing);
    all.sort_unstable_by_key(|one| one.index);
    let found = all.into_iter().map(|Compared { write, mut survey, .. }| {
        // What is replaced as a whole is up to date as a whole, or not at all.
        if write.method == Method::VolumeUpdate && (survey.up_to_date.len() as u64) < write.erase_blocks {
            survey.up_to_date.clear();
        }
        survey
    });
    Ok(found.collect())
}
