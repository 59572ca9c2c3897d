//! A volume that UBI replaces only as a whole: emptied, filled from its beginning to the image's end, and read back.
//!
//! Meanwhile, over a power cut too, it has no content and UBI's update marker says so. Nothing on the way can be tried
//! again; the next run begins it anew.

#![forbid(unsafe_code)]

use crate::bytes::store::Store;
use crate::flash::block::Scratch;
use crate::flash::progress::Run;
use crate::flash::rollback::History;
use crate::flash::{Phase, Target, verify_all};
use crate::plan::Write;
use mtd_rs::Flash;

/// Whether comparing can find it right: a content of another length is another one, whatever its bytes.
pub(super) fn comparable(write: &Write, flash: &dyn Flash) -> bool {
    !write.whole || flash.holds() == Some(write.length)
}

/// Replaces the content, if it is not right already.
pub(super) fn replace(
    target: &mut Target,
    image: &Store,
    scratch: &mut Scratch,
    history: &mut History,
    run: &mut Run<'_>,
) -> Result<(), String> {
    let geometry = target.flash.geometry().clone();
    let steps: Vec<_> = target.write.blocks(&geometry).collect();
    let flash = &mut *target.flash;
    // What was compared under the lock that is still held need not be compared again.
    let mut right = comparable(&target.write, flash);
    if target.write.right.len() < steps.len() {
        for step in &steps {
            right = right && scratch.same(flash, step, image)?;
        }
    }
    if right {
        for step in &steps {
            run.unchanged();
            run.advance(Phase::Write, step);
        }
        return Ok(());
    }
    // Nothing can put it back block by block.
    history.give_up();
    run.touched = true;
    flash.replace(target.write.length).map_err(|error| error.to_string())?;
    for step in &steps {
        scratch.append(flash, step, image)?;
        run.tally.erased += 1;
        run.advance(Phase::Write, step);
    }
    verify_all(std::slice::from_mut(target), image, scratch, run, false)
}
