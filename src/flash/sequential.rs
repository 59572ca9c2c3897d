//! Writes that must not begin before the one in front of them is verified.

#![forbid(unsafe_code)]

use crate::base::error::Result;
use crate::base::outcome::{Stopped, Tally};
use crate::bytes::store::Store;
use crate::flash::{Observer, Policy, Target};
use crate::plan::Write;

/// Does the writes one after the other, each with bytes of its own. So a power cut leaves at most one of them undone in
/// part, and none behind it begun.
///
/// # Errors
/// The first that could not be done; of that one the old content was put back if the policy keeps it.
pub fn sequential(
    steps: &mut dyn Iterator<Item = (&Write, &Vec<u8>)>,
    open: &mut dyn FnMut(&Write) -> Result<Vec<Target>>,
    policy: Policy,
    observer: Observer<'_>,
) -> std::result::Result<Tally, Stopped> {
    let mut tally = Tally::default();
    for (write, bytes) in steps {
        let image = Store::Memory(bytes.clone());
        let done = open(write)
            .map_err(|failure| Stopped { failure, tally })
            .and_then(|targets| {
                crate::flash::write(targets, &image, policy, &mut *observer)?.verify(&image, &mut *observer)
            })?;
        tally.add(done.tally);
    }
    Ok(tally)
}
