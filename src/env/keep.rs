//! Whether a write reaches the boot loader's environment where no partition is known for it: its lines may place it anywhere.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::Result;
use crate::board::Board;
use crate::board::profile::Protection;
use crate::env::{Environment, Place};
use crate::plan::{Check, Write};
use mtd_rs::{Area, Overlap};

/// The check of that, of where it lies as far as that is known. `only_fw_env_config` is whether nothing could say so but
/// `/etc/fw_env.config` of the box.
pub fn kept(
    board: &Board,
    place: &Result<Option<Place>>,
    only_fw_env_config: bool,
    writes: &[&Write],
) -> Option<Check> {
    match place {
        Ok(place) => reached(board, place.as_ref()?, only_fw_env_config, writes),
        Err(failure) => {
            let text = format!("where the boot loader's environment lies is not known, so nothing keeps it: {failure}");
            Some(match only_fw_env_config {
                // It may be left from another firmware.
                true => Check::warn(CheckId::Environment, text),
                false => Check::fail(CheckId::Environment, text, "mend the lines of the profile"),
            })
        }
    }
}

/// U-Boot's sample of `/etc/fw_env.config`, which many boxes have, names partitions of others. Where nothing else says it, there is an
/// environment where one was found.
fn reached(board: &Board, place: &Place, only_fw_env_config: bool, writes: &[&Write]) -> Option<Check> {
    let areas = place.spots.iter().filter_map(|spot| spot.area());
    // Of a partition with settings all is protected, whatever of it the environment uses.
    let settings = |area: &Area| board.get(area.id).and_then(|partition| partition.keep) == Some(Protection::Settings);
    let areas: Vec<_> = areas.filter(|area| !settings(area)).collect();
    let found = writes.iter().find_map(|write| {
        let written = Area {
            id: write.to.id,
            range: write.range.clone(),
        };
        let mut overlaps = areas.iter().map(|area| board.map.overlap(&written, area));
        let overlap = overlaps.find(|overlap| *overlap != Overlap::No)?;
        Some((write, overlap))
    });
    let (write, overlap) = found?;
    let label = write.to.label();
    let says = match only_fw_env_config {
        true => "/etc/fw_env.config",
        false => "--env-config or the profile",
    };
    let has = if overlap == Overlap::Yes { "has" } else { "may have" };
    let text = format!("{label} {has} the boot loader's environment in it, as {says} says");
    let is_none =
        || matches!(Environment::read(board, place.clone()), Err(failure) if failure.code == Code::Environment);
    let check = Protection::Settings.check();
    Some(match only_fw_env_config && is_none() {
        true => Check::warn(check, format!("{text}, but there is none")),
        false => {
            let remedy = format!("leave it out, mend what says so, or after a backup --force={check}");
            Check::fail(check, text, remedy).forceable()
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::board::selector::Where;
    use crate::board::sim;
    use crate::plan::Status;
    use std::fs;

    #[test]
    fn lines_that_only_the_box_has_count_where_an_environment_is() {
        let dir = tempfile::tempdir().unwrap();
        let (flash, config) = (dir.path().join("box"), dir.path().join("config"));
        sim::create("generic", &flash).unwrap();
        let board = Board::discover(&Where {
            sim: Some(flash.clone()),
            ..Where::default()
        })
        .unwrap();
        fs::write(&config, "kernel 0 2000\n").unwrap();
        let place = Place::known(&board, Some(&config)).unwrap().unwrap();
        let kernel = board.partition("kernel").unwrap();
        let write = Write::new(kernel.into(), &kernel.geometry, 0, 0..10);
        let status = |only| reached(&board, &place, only, &[&write]).map(|check| check.status);
        assert_eq!((status(true), status(false)), (Some(Status::Warn), Some(Status::Fail)));
        let mut data = b"a=1\0\0".to_vec();
        data.resize(0x2000 - 4, 0);
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&data);
        let mut chip = fs::read(flash.join("flash.bin")).unwrap();
        let at = board.profile.partition("kernel").unwrap().offset as usize;
        chip[at..at + 0x2000].copy_from_slice(&[&sum.to_le_bytes()[..], &data].concat());
        fs::write(flash.join("flash.bin"), chip).unwrap();
        assert_eq!((status(true), status(false)), (Some(Status::Fail), Some(Status::Fail)));
    }
}
