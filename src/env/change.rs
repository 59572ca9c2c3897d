//! What would be written to change the environment, as plain data.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::checksum::CRC32;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::machine::Order;
use crate::board::Board;
use crate::board::profile::Protection;
use crate::checks;
use crate::env::{Environment, Place, Spot, Variables};
use crate::layout::spared;
use crate::plan::{Check, Method, Status, Write};

/// The planned writes of a change, done one after the other, each only when the one before is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// First the copy that the boot loader does not use; on NOR then the flags of the other, which makes it obsolete
    /// and clears nothing but bits of one byte.
    pub writes: Vec<Write>,
    /// The bytes of each write.
    pub bytes: Vec<Vec<u8>>,
    /// Where the environment lies.
    pub place: Place,
    /// What it is to hold.
    pub variables: Variables,
}

impl Environment {
    /// Plans assignments `NAME=VALUE`; no writes where the variables are so already.
    ///
    /// # Errors
    /// [`Exit::Usage`] for what is not an assignment, [`Exit::Refused`] for variables that do not fit.
    pub fn change(&self, board: &Board, assignments: &[String]) -> Result<Change> {
        if let Some(why) = self.only_read() {
            let what = format_args!("the environment can be read and not changed: {why}");
            return Err(Failure::new(Exit::Refused, Code::Environment, what)
                .hint("the boot loader's own setenv and saveenv change it, or fw_setenv"));
        }
        let mut variables = self.variables.clone();
        for assignment in assignments {
            variables
                .assign(assignment)
                .map_err(|what| Failure::usage(what).hint("flasher help env"))?;
        }
        let mut change = Change {
            writes: Vec::new(),
            bytes: Vec::new(),
            place: self.place.clone(),
            variables,
        };
        if change.variables == self.variables {
            return Ok(change);
        }
        let active = &self.copies[self.active];
        let target = if self.place.redundant() { 1 - self.active } else { 0 };
        let spot = &self.place.spots[target];
        let header = self.place.header();
        let data = change
            .variables
            .data(spot.size as usize - header)
            .map_err(|what| Failure::new(Exit::Refused, Code::Size, what).hint("take variables away: NAME="))?;
        let sum = CRC32.checksum(&data);
        let mut bytes = self.copies[target].bytes[..spot.lead() as usize].to_vec();
        bytes.extend(match active.order {
            Some(Order::Big) => sum.to_be_bytes(),
            _ => sum.to_le_bytes(),
        });
        if self.place.redundant() {
            bytes.push(if self.serial { active.flags.wrapping_add(1) } else { 1 });
        }
        bytes.extend(data);
        change.push(board, spot, bytes)?;
        if self.place.redundant() && !self.serial && active.flags != 0 {
            let spot = &self.place.spots[self.active];
            let mut bytes = active.bytes[..spot.lead() as usize + header].to_vec();
            bytes[spot.lead() as usize + 4] = 0;
            change.push(board, spot, bytes)?;
        }
        Ok(change)
    }
}

impl Change {
    fn push(&mut self, board: &Board, spot: &Spot, bytes: Vec<u8>) -> Result<()> {
        let partition = spot.of(board)?;
        let first = spot.good_blocks(partition).next();
        let offset = first.map(|block| block.start).ok_or_else(|| {
            let what = format_args!("{} has no good erase block for the environment", partition.label());
            Failure::new(Exit::Refused, Code::Environment, what)
        })?;
        let write = Write::new(partition.into(), &partition.geometry, offset, 0..bytes.len() as u64);
        self.writes.push(
            match partition.volume.as_ref().is_some_and(|info| info.only_as_a_whole()) {
                true => write.by(Method::VolumeUpdate, &partition.geometry),
                false => spared(write, partition),
            },
        );
        self.bytes.push(bytes);
        Ok(())
    }

    /// How it ends when it could not be done: of two copies, the one that the boot loader takes is whole.
    pub fn stopped(&self, failure: Failure) -> Failure {
        match self.place.redundant() && failure.harm == Harm::Partly {
            true => {
                let mut failure = failure.code(Code::Inactive);
                failure.exit = Exit::Flash;
                failure
            }
            false => failure,
        }
    }

    /// Whether it may be done.
    pub fn checks(&self, board: &Board) -> Vec<Check> {
        // Each for itself: two copies in one partition do not overlap.
        let mut checks = checks::of_environment(board, &self.writes);
        // That it belongs to this one box is what the profile says of it; it is what was asked to be changed.
        checks.retain(|check| check.name != Protection::Settings.check());
        checks.retain(|check| check.status != Status::Pass);
        checks.dedup();
        checks.push(match self.place.redundant() || self.writes.is_empty() {
            true => Check::pass(
                CheckId::Environment,
                "the environment is whole, and the boot loader's copy of it stays",
            ),
            false => Check::fail(
                CheckId::OneCopy,
                "there is one copy of the environment only: a power cut while it is written would lose it",
                "use the boot loader's own setenv and saveenv; or flasher backup DIR first, and --force=one-copy",
            )
            .forceable(),
        });
        checks
    }
}
