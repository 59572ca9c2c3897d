//! Whether flasher can work on this box at all.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::board::Board;

/// What makes a box one that flasher can work on at all; without these there is no plan.
///
/// # Errors
/// [`Exit::NotRoot`], or [`Exit::Unsupported`] for a box without MTD.
pub fn usable(board: &Board) -> Result<()> {
    if board.partitions.is_empty() {
        return Err(Failure::new(
            Exit::Unsupported,
            Code::NoMtd,
            "this system has no MTD flash: there is neither /proc/mtd nor /sys/class/mtd with partitions in it",
        )
        .hint(
            "mount /proc and /sys, if they are not; on a workstation try a simulated box: flasher sim create qnap-ts219 box",
        ));
    }
    Ok(())
}

/// Asks for root on a real box.
///
/// # Errors
/// [`Exit::NotRoot`].
pub fn root(sim: bool) -> Result<()> {
    match sim || nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(
            Failure::new(Exit::NotRoot, Code::NotRoot, "only root may read and write the flash")
                .hint("log in as root, or use sudo"),
        ),
    }
}
