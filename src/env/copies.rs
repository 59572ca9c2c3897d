//! The copies as they are on the flash, and which of them the boot loader takes.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::machine::Order;
use crate::base::units::Fields;
use crate::board::Board;
use crate::env::{Place, Variables};

/// A copy as it was read.
pub struct EnvCopy {
    /// Everything from the beginning of its first block to its own end, in bytes. Nothing of a volume that holds less.
    pub bytes: Vec<u8>,
    /// In which byte order its CRC is right; `None` where in neither.
    pub order: Option<Order>,
    /// Its flags: how new it is. Only where there are two copies.
    pub flags: u8,
    /// Why nobody can use it.
    pub problem: Option<&'static str>,
}

/// The environment of a box.
pub struct Environment {
    /// Where it lies.
    pub place: Place,
    /// The copies, as many as the place has.
    pub copies: Vec<EnvCopy>,
    /// Which of them the boot loader takes.
    pub active: usize,
    /// What that one holds.
    pub variables: Variables,
    /// Whether flags are serial numbers, as on NAND, and not 1 for active and 0 for obsolete, as on NOR.
    pub serial: bool,
}

impl Environment {
    /// Reads the copies and chooses as the boot loader does.
    ///
    /// # Errors
    /// [`Exit::Refused`] when no copy is whole, or nothing says which is the newer: what would be written then could be
    /// the wrong one, and a box whose blank environment was filled with defaults that are not its own may not start at
    /// all (openwrt/openwrt #24976).
    pub fn read(board: &Board, place: Place) -> Result<Environment> {
        let header = place.header();
        let mut copies = Vec::new();
        let mut serial = false;
        for spot in &place.spots {
            let partition = spot.of(board)?;
            // A volume of UBI has serial numbers too (`env_ubi_save` in U-Boot's `env/ubi.c`).
            serial = partition.geometry.kind.is_nand() || partition.volume.is_some();
            let mut flash = board.open(partition)?;
            let wanted = (spot.lead() + spot.size) as usize;
            // A volume whose update was broken off has no content, and a static one that of its last update; the boot loader
            // passes over what it cannot read (`env_ubi_load` in U-Boot's `env/ubi.c`).
            let held = flash.holds().unwrap_or(u64::MAX);
            if held < wanted as u64 {
                copies.push(EnvCopy {
                    bytes: Vec::new(),
                    order: None,
                    flags: 0,
                    problem: Some(match held {
                        0 => "its volume has no content",
                        _ => "its volume holds fewer bytes",
                    }),
                });
                continue;
            }
            let mut bytes = Vec::new();
            for block in spot.good_blocks(partition) {
                if bytes.len() >= wanted {
                    break;
                }
                let from = bytes.len();
                bytes.resize(from + (block.end.min(held) - block.start) as usize, 0);
                flash.read(block.start, &mut bytes[from..]).map_err(Failure::system)?;
            }
            if bytes.len() < wanted {
                return Err(refusal(format_args!(
                    "{} has too many bad blocks for it",
                    partition.label()
                )));
            }
            bytes.truncate(wanted);
            copies.push(look(board, bytes, spot.lead() as usize, header));
        }
        let whole = |index: usize| copies.get(index).is_some_and(|copy: &EnvCopy| copy.problem.is_none());
        let active = match (whole(0), whole(1)) {
            (true, true) => newer(serial, copies[0].flags, copies[1].flags).ok_or_else(|| {
                refusal(format_args!(
                    "both copies are whole, and their flags {} and {} do not say which is the newer",
                    copies[0].flags, copies[1].flags
                ))
            })?,
            (true, false) => 0,
            (false, true) => 1,
            (false, false) => {
                let why: Vec<_> = copies.iter().filter_map(|copy| copy.problem).collect();
                return Err(refusal(why.join("; the other copy: ")));
            }
        };
        let data = &copies[active].bytes[place.spots[active].lead() as usize + header..];
        let variables = Variables::parse(data).map_err(refusal)?;
        Ok(Environment {
            place,
            copies,
            active,
            variables,
            serial,
        })
    }
}

fn refusal(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Environment,
        format_args!("the environment is unknown: {what}"),
    )
    .hint("the boot loader's own saveenv makes a good one; look at where it lies: flasher env --help")
}

fn look(board: &Board, bytes: Vec<u8>, lead: usize, header: usize) -> EnvCopy {
    let (order, flags, problem) = {
        let copy = &bytes[lead..];
        let data = &copy[header..];
        let sum = CRC32.checksum(data);
        let [little, big] = [Fields(copy).le32(0), Fields(copy).be32(0)].map(|field| field == Some(sum));
        let order = match (little, big) {
            (true, true) => board.cpu().map(|cpu| cpu.order).or(Some(Order::Little)),
            (true, false) => Some(Order::Little),
            (false, true) => Some(Order::Big),
            (false, false) => None,
        };
        let blank = |with: u8| copy.iter().all(|byte| *byte == with);
        let problem = match order {
            Some(_) => None,
            None if blank(0xff) || blank(0) => Some("it is blank"),
            None => Some("its CRC is wrong"),
        };
        (order, if header > 4 { copy[4] } else { 0 }, problem)
    };
    EnvCopy {
        bytes,
        order,
        flags,
        problem,
    }
}

/// Which of two copies that are whole is the newer.
///
/// Serial numbers: `env_check_redund` in U-Boot's `env/common.c`. Boolean: `env_flash_init` in `env/flash.c`; `None`
/// where that one and the serial comparison, which SPI NOR is read with, disagree or know the flags not at all.
fn newer(serial: bool, first: u8, second: u8) -> Option<usize> {
    Some(match (first, second) {
        (0xff, 0) if serial => 1,
        (0, 0xff) if serial => 0,
        _ if serial => usize::from(second > first),
        (0xff, 0) | (0, 0xff) => return None,
        (0 | 1 | 0xff, 0 | 1 | 0xff) => usize::from(second > first),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::newer;

    #[test]
    fn the_newer_copy_is_the_one_that_the_boot_loader_takes() {
        for (first, second, serial, boolean) in [
            (1, 0, Some(0), Some(0)),
            (0, 1, Some(1), Some(1)),
            (1, 1, Some(0), Some(0)),
            (7, 8, Some(1), None),
            (0xff, 0, Some(1), None),
            (0, 0xff, Some(0), None),
            (0xfe, 0xff, Some(1), None),
            (1, 0xff, Some(1), Some(1)),
        ] {
            assert_eq!(newer(true, first, second), serial, "{first} {second}");
            assert_eq!(newer(false, first, second), boolean, "{first} {second}");
        }
    }
}
