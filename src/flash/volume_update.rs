//! A volume that UBI replaces only as a whole: emptied, filled from its beginning to the image's end, and read back.
//!
//! Meanwhile, over a power cut too, it has no content and UBI's update marker says so. Nothing on the way can be tried
//! again; the next run begins it anew.

#![forbid(unsafe_code)]

use super::Target;
use super::block::Cause;
use super::session::Session;
use super::verify::verify_all;
use crate::base::phase::Phase;
use crate::plan::{Method, Write};
use mtd_rs::Flash;

/// Whether comparing can find it up to date: a content of another length is another one, whatever its bytes.
pub(super) fn comparable(write: &Write, flash: &dyn Flash) -> bool {
    write.method != Method::VolumeUpdate || flash.holds() == Some(write.length())
}

/// Replaces the content, if it is not up to date.
pub(super) fn replace(target: &mut Target, session: &mut Session<'_>) -> Result<(), String> {
    let geometry = target.flash.geometry().clone();
    let steps: Vec<_> = target.write.blocks(&geometry).collect();
    let flash = &mut *target.flash;
    // What was compared under the lock that is still held need not be compared again.
    let mut up_to_date = comparable(&target.write, flash);
    if target.up_to_date.len() < steps.len() {
        for step in &steps {
            up_to_date = up_to_date && session.scratch.same(flash, step, session.image)?;
        }
    }
    if up_to_date {
        for step in &steps {
            session.run.unchanged();
            session.run.advance(Phase::Writing, step);
        }
        return Ok(());
    }
    let begun = flash.replace(target.write.length());
    // UBI does not begin an update of a volume that somebody else has open; then all others can still be put back.
    if !matches!(&begun, Err(error) if Cause::of(error, 0) == Cause::Refused) {
        session.run.touched = true;
        // Nothing can put it back block by block.
        session.history.give_up();
    }
    begun.map_err(|error| error.to_string())?;
    for step in &steps {
        session.scratch.append(flash, step, session.image)?;
        session.run.tally.erased += 1;
        session.run.advance(Phase::Writing, step);
    }
    verify_all(std::slice::from_mut(target), session.image, &mut session.scratch, None)
}
