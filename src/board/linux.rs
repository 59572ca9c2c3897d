//! The box we run on, as the kernel's MTD layer shows it.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use crate::board::profile::Profile;
use crate::board::{Board, Health, Partition, Seat, identify, volumes};
use mtd_rs::{Access, Flash, MtdDevice, MtdInfo, SystemPaths};
use std::fs;
use std::path::{Path, PathBuf};

fn unsupported(error: mtd_rs::Error) -> Failure {
    Failure::new(Exit::System, "mtd", error).hint("flasher devices")
}

fn list() -> Result<Vec<MtdInfo>> {
    mtd_rs::list(&SystemPaths::default()).map_err(unsupported)
}

/// Reads the partitions and recognises the box.
pub(super) fn discover(board: Option<&str>) -> Result<Board> {
    let found = list()?;
    let (profile, remark) = match board {
        None => identify::recognise(&identify::Seen::read(Path::new("/")), &found)?,
        Some(board) => {
            let profile = Profile::find(board)?;
            let missing = identify::missing(&profile, &found);
            if let Some(name) = missing.filter(|_| !profile.is_generic()) {
                return Err(Failure::new(
                    Exit::Unsupported,
                    "board",
                    format_args!("this is no {}: partition {} is not as there", profile.id, Quoted(name)),
                )
                .hint("flasher devices"));
            }
            (profile, None)
        }
    };
    let mut partitions = found
        .into_iter()
        .map(|info| partition(info, &profile))
        .collect::<Result<Vec<_>>>()?;
    partitions.extend(volumes::discover(&partitions)?);
    let mut names = identify::names(Path::new("/"));
    names.extend(profile.openwrt.iter().cloned());
    Ok(Board {
        names,
        compat: identify::compat(Path::new("/")),
        profile,
        remark,
        partitions,
        seat: Seat::Linux,
    })
}

fn partition(info: MtdInfo, profile: &Profile) -> Result<Partition> {
    // The generic profile's partitions are those of its simulated box, not of this one.
    let known = (!profile.is_generic())
        .then(|| profile.partition(&info.name))
        .flatten()
        .filter(|known| known.moves || known.size == info.geometry.size);
    let bad = match info.geometry.kind.is_nand() {
        true => bad_blocks(&info)?,
        false => Vec::new(),
    };
    Ok(Partition {
        mtd: info.index,
        bad,
        writable: info.writable,
        chip_offset: info
            .offset
            .or_else(|| known.filter(|known| !known.moves).map(|known| known.offset)),
        keep: known.and_then(|known| known.keep),
        recovery: known.is_some_and(|known| known.recovery),
        fixed_offset: known.is_some_and(|known| known.fixed_offset),
        health: Health {
            corrected: info.corrected_bits,
            failed: info.ecc_failures,
        },
        name: info.name,
        geometry: info.geometry,
        volume: None,
        chip: chip(info.index),
    })
}

/// The device in `/sys/devices` that the MTD belongs to, above every MTD that it is a partition of. Chips without a device of
/// their own share one, so that the same path may stand for two of them, but two paths never for one.
fn chip(index: u32) -> Option<PathBuf> {
    let path = fs::canonicalize(format!("/sys/class/mtd/mtd{index}")).ok()?;
    let is_mtd = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"mtd"))
    };
    path.ancestors().find(|path| !is_mtd(path)).map(Path::to_owned)
}

fn bad_blocks(info: &MtdInfo) -> Result<Vec<u64>> {
    let mut device = MtdDevice::open(&SystemPaths::default(), info, Access::ReadOnly).map_err(unsupported)?;
    let mut bad = Vec::new();
    for block in info.geometry.blocks() {
        if device.is_bad(block.start).map_err(unsupported)? {
            bad.push(block.start);
        }
    }
    Ok(bad)
}

/// Opens the character device, after looking that the number still means the same partition.
pub(super) fn open(partition: &Partition, access: Access) -> Result<Box<dyn Flash>> {
    if let Some(volume) = &partition.volume {
        return volumes::open(volume, access);
    }
    let found = list()?;
    let info = found.iter().find(|info| info.index == partition.mtd);
    match info {
        Some(info) if info.name == partition.name && info.geometry == partition.geometry => {
            let device = MtdDevice::open(&SystemPaths::default(), info, access)
                .map_err(|error| Failure::system(error).hint("flasher devices"))?;
            Ok(Box::new(device))
        }
        _ => Err(Failure::system(format_args!(
            "{} is not there any more, or is another partition now",
            partition.label()
        ))
        .hint("flasher devices")),
    }
}
