//! Executes the writes of a plan on [`Flash`](mtd_rs::Flash), and nothing that is not in the plan.
//!
//! The same engine runs on `/dev/mtdN` and on a simulated chip, in place and as PID 1. The borders are
//! types: [`write()`] makes a [`Written`], only [`Written::verify`] makes a [`Verified`], and only that is
//! reported as harm *written*.

#![forbid(unsafe_code)]

mod block;
mod ecc;
mod on_fault;
mod progress;
mod rollback;
mod sequential;
mod session;
mod survey;
mod types;
mod ubi;
mod verify;
mod volume_update;

use crate::base::outcome::{Stopped, Tally};
use crate::bytes::store::Store;
use ecc::Ecc;
use rollback::History;
use session::Session;

pub use on_fault::OnFault;
pub use rollback::is_there;
pub use sequential::sequential;
pub use survey::survey;
pub use types::{Observer, Policy, Progress, Target};
pub use verify::Verified;

/// Everything is on the flash; each block was read back once.
#[must_use]
pub struct Written {
    targets: Vec<Target>,
    tally: Tally,
    history: History,
}

/// Bytes of the largest erase block of these.
fn largest_block(targets: &[Target]) -> usize {
    let blocks = targets.iter().map(|target| target.flash.geometry().erase_size as usize);
    blocks.max().unwrap_or_default()
}

/// Brings up to date what is not, a block at a time, and reads each block back.
///
/// The order leaves the best chance: the first block of everything that a boot loader checks is erased first and programmed
/// last, so that a box that loses power is seen as broken by its boot loader, which then offers its recovery, and is not
/// started half written.
///
/// # Errors
/// The first block that could not be brought up to date after all tries. The old content is put back if all of it was
/// kept; the failure says which of the two the flash holds.
pub fn write(targets: Vec<Target>, image: &Store, policy: Policy, observer: Observer<'_>) -> Result<Written, Stopped> {
    // What is the way back comes when all else is written.
    let (last, mut targets): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.write.order.recovery);
    let split = targets.len();
    targets.extend(last);
    let before = Ecc::now(&mut targets);
    let mut session = Session::new(&targets, image, policy, observer);
    let _ahead = image.read_ahead(largest_block(&targets));
    match session.write_all(&mut targets, split) {
        Ok(()) => {
            before.until_now(&mut targets, &mut session.run.tally);
            Ok(Written {
                targets,
                tally: session.run.tally,
                history: session.history,
            })
        }
        Err(what) => {
            let Session {
                history,
                mut scratch,
                run,
                ..
            } = session;
            let mut stopped = history.roll_back(&mut targets, &mut scratch, run, what);
            before.until_now(&mut targets, &mut stopped.tally);
            Err(stopped)
        }
    }
}
