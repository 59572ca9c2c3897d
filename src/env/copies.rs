//! The copies as they are on the flash, and which of them the boot loader takes.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::machine::Order;
use crate::base::units::Fields;
use crate::board::Board;
use crate::env::{Medium, Place, Spot, Variables, probe};
use crate::flash::is_there;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

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
    /// Why it is not certain which copy the boot loader takes.
    pub doubt: Option<String>,
}

impl Environment {
    /// Reads the copies and chooses as the boot loader does; where that is in doubt, as `fw_printenv` does.
    ///
    /// # Errors
    /// [`Exit::Refused`] when no copy is whole: what would be written then could be the wrong one, and a box whose blank
    /// environment was filled with defaults that are not its own may not start at all (openwrt/openwrt #24976).
    pub fn read(board: &Board, place: Place) -> Result<Environment> {
        let header = place.header();
        let mut copies = Vec::new();
        let mut serial = false;
        let mut doubt = None;
        for spot in &place.spots {
            let before = std::mem::replace(&mut serial, has_serial_numbers(board, spot)?);
            if !copies.is_empty() && before != serial {
                // `fw_setenv` refuses it (`flash_io` in U-Boot's `tools/env/fw_env.c`).
                doubt =
                    Some("the two copies lie on flash of different kinds, whose flags do not mean the same".to_owned());
            }
            copies.push(match read(board, spot)? {
                Ok(bytes) => look(board, bytes, spot.lead() as usize, header),
                Err(problem) => EnvCopy {
                    bytes: Vec::new(),
                    order: None,
                    flags: 0,
                    problem: Some(problem),
                },
            });
        }
        let whole = |index: usize| copies.get(index).is_some_and(|copy: &EnvCopy| copy.problem.is_none());
        let active = match (whole(0), whole(1)) {
            (true, true) => {
                let (first, second) = (copies[0].flags, copies[1].flags);
                newer(serial, first, second).unwrap_or_else(|| {
                    doubt.get_or_insert(format!(
                        "both copies are whole, and their flags {first} and {second} do not say which is the newer"
                    ));
                    chosen(first, second)
                })
            }
            (true, false) => 0,
            (false, true) => 1,
            (false, false) => {
                let why: Vec<_> = copies.iter().filter_map(|copy| copy.problem).collect();
                let mut why = why.join("; the other copy: ");
                if let Some(fits) = probe::fits(board, &place) {
                    why.push_str(&fits);
                }
                return Err(refusal(why));
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
            doubt,
        })
    }

    /// Why it may be read, and not changed.
    pub fn only_read(&self) -> Option<&str> {
        self.doubt.as_deref().or(self.place.only_read.as_deref())
    }
}

/// Whether flags are serial numbers there. A volume of UBI has them too (`env_ubi_save` in U-Boot's `env/ubi.c`), and a file or
/// block device (`check_env_device` in libubootenv's `src/common.c`).
fn has_serial_numbers(board: &Board, spot: &Spot) -> Result<bool> {
    Ok(match spot.medium {
        Medium::Flash(_) => {
            let partition = spot.of(board)?;
            partition.geometry.kind.is_nand() || partition.volume.is_some()
        }
        Medium::File(_) => true,
    })
}

/// The bytes of a copy, from the beginning of its first block; or why there are none.
fn read(board: &Board, spot: &Spot) -> Result<std::result::Result<Vec<u8>, &'static str>> {
    if let Medium::File(path) = &spot.medium {
        return read_file(path, spot.offset, spot.size).map(Ok);
    }
    let partition = spot.of(board)?;
    let mut flash = board.open(partition)?;
    let wanted = spot.lead() + spot.size;
    // A volume whose update was broken off has no content, and a static one that of its last update; the boot loader
    // passes over what it cannot read (`env_ubi_load` in U-Boot's `env/ubi.c`).
    match flash.holds().unwrap_or(u64::MAX) {
        0 => return Ok(Err("its volume has no content")),
        held if held < wanted => return Ok(Err("its volume holds fewer bytes")),
        _ => (),
    }
    let mut bytes = vec![0; wanted as usize];
    if !partition.geometry.kind.is_nand() {
        let start = spot.blocks.start;
        flash.read(start, &mut bytes).map_err(Failure::system)?;
        // It has a CRC; what stands in front of it in its erase block has none, and is programmed again with it.
        if !is_there(&mut *flash, start, &bytes[..spot.lead() as usize]) {
            return Err(Failure::system(format_args!(
                "{}: what stands in front of the environment reads differently each time",
                partition.label()
            )));
        }
        return Ok(Ok(bytes));
    }
    // Bad blocks are passed over, as many as the file has sectors but one (`libubootenv_mtdread`, src/uboot_mtd.c).
    let erase_size = u64::from(partition.geometry.erase_size).max(1);
    let short = || refusal(format_args!("{} has too many bad blocks for it", partition.label()));
    let (mut at, mut skips, mut done) = (spot.blocks.start, spot.sectors, 0);
    while done < bytes.len() {
        if partition.bad.contains(&(at - at % erase_size)) {
            skips = skips.checked_sub(1).filter(|left| *left > 0).ok_or_else(short)?;
        } else {
            let take = (bytes.len() - done).min(erase_size as usize);
            if at + take as u64 > partition.geometry.size {
                return Err(short());
            }
            flash.read(at, &mut bytes[done..done + take]).map_err(Failure::system)?;
            done += take;
        }
        at += erase_size;
    }
    Ok(Ok(bytes))
}

/// So many bytes of a file or block device.
pub(super) fn read_file(path: &Path, offset: i64, size: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    let at = match offset < 0 {
        true => SeekFrom::End(offset),
        false => SeekFrom::Start(offset.unsigned_abs()),
    };
    File::open(path)
        .and_then(|mut file| {
            file.seek(at)?;
            file.read_exact(&mut bytes)
        })
        .context(path.display())?;
    Ok(bytes)
}

fn refusal(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Environment,
        format_args!("the environment is unknown: {what}"),
    )
    .hint("the boot loader's own saveenv makes a good one; look at where it lies: flasher env --help")
}

pub(super) fn look(board: &Board, bytes: Vec<u8>, lead: usize, header: usize) -> EnvCopy {
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

/// The copy that `fw_printenv` shows of two whose flags are no serial numbers, whatever they are (`libuboot_load` in libubootenv's
/// `src/uboot_env.c`).
fn chosen(first: u8, second: u8) -> usize {
    usize::from(second == 0xff || first != 0xff && second > first)
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
