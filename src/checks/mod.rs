//! Everything that is known before the start, a file a check, and one verdict.
//!
//! A check reads the facts and says what it found. It changes nothing, and nothing is stopped, unmounted or written before
//! all of them have been asked.

#![forbid(unsafe_code)]

mod aligned;
mod bad_blocks;
mod belongs;
mod boot_loader;
mod content;
mod cpu;
mod device_tree;
mod downgrade;
mod ecc;
pub mod holders;
mod image;
mod joints;
mod metadata;
mod overlap;
mod partition;
mod present;
mod protected;
#[cfg(test)]
mod protected_random;
mod ram;
mod record;
pub mod request;
mod size;
mod trust;
mod unused;
mod verdict;
mod volumes;
mod watchdog;
mod writable;

use crate::base::check_id::CheckId;
use crate::board::{Board, Partition};
use crate::bytes::store::Store;
use crate::image::Image;
use crate::image::signature::Signed;
use crate::layout::{LaidOut, Placed};
use crate::plan::{Check, Write};

pub use downgrade::{Installed, check as downgrade};
pub use ecc::just_now;
pub use holders::{RouteWish, route, takeover};
pub use ram::{MORE_ROOM, OVERHEAD, check as ram};
pub use verdict::{known, refusal, verdict};
pub use volumes::check as volumes;
pub use writable::too_many_blocks;

/// What the checks of an image rest on.
pub struct Facts<'a> {
    /// The box.
    pub board: &'a Board,
    /// What the image is.
    pub image: &'a Image,
    /// Its bytes, as they are to be written.
    pub store: &'a Store<'a>,
    /// The files that it was delivered as.
    pub delivered: Vec<Delivered<'a>>,
    /// Whether every partition is copied first (`--backup`).
    pub backup: bool,
    /// Which bytes go where, or why there is no place for them.
    pub laid_out: &'a Result<LaidOut, Check>,
}

/// What became of the signature of what was delivered. It was looked at before everything else.
#[derive(Clone, Debug)]
pub enum Signature {
    /// The box has no key, so that nothing demands one. One of OpenWrt's in the image was looked at all the same: it is right, or
    /// why it is not.
    NotDemanded(Option<Result<Signed, String>>),
    /// It is right.
    Right(Signed),
    /// There is none, or it is not right: nothing was looked at but this.
    Wrong(String),
}

/// A file as it was delivered.
pub struct Delivered<'a> {
    /// What the user calls it.
    pub name: &'a str,
    /// What became of its signature.
    pub signature: &'a Signature,
    /// Its SHA-256, where that was asked for.
    pub sha256: &'a str,
    /// The SHA-256 that it is to have.
    pub wanted: Option<&'a str>,
    /// Whether nobody says how long it ought to be.
    pub endless: bool,
    /// Its bytes.
    pub store: &'a Store<'a>,
}

impl Facts<'_> {
    /// What goes where; nothing where there is no place for it.
    fn placed(&self) -> &[Placed] {
        self.laid_out.as_ref().map_or(&[], |laid_out| &laid_out.placed)
    }

    fn writes(&self) -> impl Iterator<Item = &Write> {
        self.placed().iter().map(|placed| &placed.write)
    }

    /// Asks a check about every write and its partition.
    fn each(&self, ask: &dyn Fn(&Placed, &Partition) -> Vec<Check>) -> Vec<Check> {
        let mut checks = Vec::new();
        for placed in self.placed() {
            match self.board.get(placed.write.to.id) {
                Some(partition) => checks.extend(ask(placed, partition)),
                None => checks.push(gone(&placed.write)),
            }
        }
        checks
    }
}

/// A write without its partition is none that may be done.
fn gone(write: &Write) -> Check {
    Check::fail(
        CheckId::Partition,
        format!("{} is not there any more", write.to.label()),
        "flasher devices lists the partitions",
    )
}

type Ask = fn(&Facts<'_>) -> Vec<Check>;

/// In the order in which they are told. The first that fails is what a refusal is about.
const CHECKS: &[Ask] = &[
    remark,
    trust::check,
    image::check,
    metadata::check,
    partition::check,
    |facts| facts.each(&|placed, partition| of_partition(facts.board, &placed.write, partition)),
    joints::check,
    content::check,
    size::check,
    content::fits_the_flash,
    cpu::check,
    device_tree::check,
    |facts| facts.each(&|placed, partition| bad_blocks::check(partition, placed, facts)),
    |facts| {
        overlap::check(facts.board, &facts.writes().collect::<Vec<_>>())
            .into_iter()
            .collect()
    },
    unused::check,
    boot_loader::check,
    record::check,
];

/// What every check says.
pub fn all(facts: &Facts<'_>) -> Vec<Check> {
    CHECKS.iter().flat_map(|ask| ask(facts)).collect()
}

fn remark(facts: &Facts<'_>) -> Vec<Check> {
    let remark = facts.board.remark.as_ref();
    remark
        .map(|remark| Check::warn(CheckId::Board, remark))
        .into_iter()
        .collect()
}

/// The checks of a partition that do not depend on what it gets.
pub fn of_partition(board: &Board, write: &Write, partition: &Partition) -> Vec<Check> {
    let mut checks = vec![writable::check(partition), aligned::check(board, partition)];
    checks.extend(protected::check(board, write));
    checks.extend(ecc::since_boot(partition));
    checks
}

/// The checks of a change of the environment, whose writes are done one after the other.
pub fn of_environment(board: &Board, writes: &[Write]) -> Vec<Check> {
    let of = |write: &Write| match board.get(write.to.id) {
        Some(partition) => {
            let mut checks = of_partition(board, write, partition);
            checks.extend(bad_blocks::spare(partition, write));
            checks
        }
        None => vec![gone(write)],
    };
    writes.iter().flat_map(of).collect()
}
