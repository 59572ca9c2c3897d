//! The proof that nothing uses the partitions which are about to be erased (law 2 of DESIGN.md).
#![forbid(unsafe_code)]

use crate::detach::Detached;
use crate::holders::{Holder, HolderKind, holders, seen};
use std::io;

/// A partition that is going to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtdTarget {
    /// The N of `mtdN`; of a volume, a number of the caller's that no MTD has.
    pub index: u32,
    /// Its name as in `/proc/mtd`, or the name of the volume.
    pub name: String,
    /// N and M of `ubiN_M`, where it is a UBI volume. Then only that volume is going to be changed, through UBI, and what
    /// else lies on the same MTD does not matter.
    pub volume: Option<(u32, u32)>,
    /// Other partitions that share flash bytes with it: parents, children, overlapping windows.
    pub overlaps: Vec<u32>,
}

/// Proof that nothing holds certain partitions. Only [`Detached::prove_unheld`] and [`prove_unheld_in_place`] make one.
///
/// It says how things were when it was made: as PID 1 nobody is left to change that; on a running system the caller
/// makes it directly before the first erase.
#[derive(Debug)]
pub struct Unheld {
    targets: Vec<u32>,
}

impl Unheld {
    /// Whether the proof covers `mtdN`.
    #[must_use]
    pub fn covers(&self, index: u32) -> bool {
        self.targets.contains(&index)
    }
}

/// Proves it on the running system.
///
/// # Errors
/// The holders, at least one. That the mount table cannot be read counts as one: what cannot be seen is not proved.
pub fn prove_unheld_in_place(targets: &[MtdTarget]) -> Result<Unheld, Vec<Holder>> {
    proof(targets, holders(targets))
}

fn proof(targets: &[MtdTarget], found: io::Result<Vec<Holder>>) -> Result<Unheld, Vec<Holder>> {
    let found = found.unwrap_or_else(|e| {
        let device = format!("something that cannot be seen, because /proc/self/mountinfo cannot be read ({e})");
        vec![Holder {
            what: HolderKind::Claimed { device },
        }]
    });
    if found.is_empty() {
        Ok(Unheld {
            targets: targets.iter().map(|target| target.index).collect(),
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
    pub fn prove_unheld(&self, targets: &[MtdTarget]) -> Result<Unheld, Vec<Holder>> {
        proof(targets, seen(targets))
    }
}
