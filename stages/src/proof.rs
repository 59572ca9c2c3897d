//! The proof that nothing uses the partitions which are about to be erased: without one nothing is opened for writing.
#![forbid(unsafe_code)]

use crate::detach::Detached;
use crate::holder::Holder;
use crate::holders::{holders, seen};
use mtd_rs::{Map, PartitionId};
use std::io;
use std::path::Path;

/// Proof that nothing holds certain partitions. Only [`Detached::prove_unheld`] and [`prove_unheld_in_place`] make one.
///
/// It says how things were when it was made: as PID 1 nobody is left to change that; on a running system the caller
/// makes it directly before the first erase.
#[derive(Debug)]
pub struct Unheld {
    targets: Vec<PartitionId>,
}

impl Unheld {
    /// Whether the proof covers this partition: whether it was one of the targets.
    #[must_use]
    pub fn covers(&self, id: PartitionId) -> bool {
        self.targets.contains(&id)
    }
}

/// Proves it on the running system.
///
/// # Errors
/// The holders, at least one. That the mount table cannot be read counts as one: what cannot be seen is not proved.
pub fn prove_unheld_in_place(map: &Map, targets: &[PartitionId]) -> Result<Unheld, Vec<Holder>> {
    proof(targets, holders(map, targets))
}

fn proof(targets: &[PartitionId], found: io::Result<Vec<Holder>>) -> Result<Unheld, Vec<Holder>> {
    let found = found.unwrap_or_else(|error| vec![Holder::unread(Path::new("/proc/self/mountinfo"), error)]);
    if found.is_empty() {
        Ok(Unheld {
            targets: targets.to_vec(),
        })
    } else {
        Err(found)
    }
}

impl Detached {
    /// Proves it as PID 1, after the old root has gone.
    ///
    /// # Errors
    /// The holders, at least one.
    pub fn prove_unheld(&self, map: &Map, targets: &[PartitionId]) -> Result<Unheld, Vec<Holder>> {
        proof(targets, seen(map, targets))
    }
}
