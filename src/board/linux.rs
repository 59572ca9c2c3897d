//! The box we run on, as the kernel's MTD layer shows it.

#![forbid(unsafe_code)]

use super::by_name;
use super::identify::{self, Recognised};
use super::profile::Profile;
use super::signs;
use super::{Backend, Board, Hardware, Health, Partition};
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use mtd_rs::map::Hint;
use mtd_rs::ubi::UbiVolume;
use mtd_rs::{Access, ErrorKind, Flash, Map, MtdDevice, MtdInfo, Operation, PartitionId, SystemPaths};
use std::path::Path;

fn unsupported(error: mtd_rs::Error) -> Failure {
    let hint = match (error.operation(), error.kind(), error.raw_os_error()) {
        (_, _, Some(libc::EACCES | libc::EPERM)) => "log in as root, or use sudo",
        (Operation::List, ErrorKind::Io, _) => "dmesg may say more; then the same command again",
        (Operation::List, ErrorKind::Malformed, _) => "report it, with what this file says",
        (Operation::List, ..) => {
            "compare cat /proc/mtd with grep . /sys/class/mtd/*/*size; only another kernel can mend them"
        }
        _ => "flasher devices",
    };
    Failure::new(Exit::System, Code::Mtd, error).hint(hint)
}

/// Reads the partitions and recognises the box.
pub(super) fn discover(board: Option<&str>) -> Result<Board> {
    let mut map = Map::read(&SystemPaths::default()).map_err(unsupported)?;
    let Recognised {
        profile,
        remark,
        suspects,
        placed,
    } = match (board, board.map_or_else(Profile::own, |_| Ok(None))?) {
        (None, None) => identify::recognise(&signs::Seen::read(Path::new("/"))?, &map)?,
        (None, Some(own)) => identify::sure(fitting(own, &map)?),
        (Some(board), _) => identify::sure(fitting(Profile::find(board)?, &map)?),
    };
    // Kernels before 4.1 do not say where a partition lies; the profile does, if all that it names is as it says.
    match suspects.first().filter(|_| placed) {
        Some(suspect) => map.learn(&hints(suspect)),
        None if !profile.is_generic() => map.learn(&hints(&profile)),
        None => Vec::new(),
    };
    let found: Vec<MtdInfo> = map.devices().cloned().collect();
    let mut partitions = found
        .iter()
        .map(|info| {
            let mut partition = partition(info, &profile)?;
            // By its name alone: the size is what differs.
            let mut known = suspects
                .iter()
                .filter_map(|suspect| suspect.partition(&info.name)?.keep);
            partition.keep = partition.keep.or_else(|| known.next());
            Ok(partition)
        })
        .collect::<Result<Vec<_>>>()?;
    partitions.extend(volumes(&map, &partitions));
    by_name::protect(&profile, &suspects, &map, &mut partitions);
    let mut names = signs::names(Path::new("/"));
    names.extend(profile.openwrt.iter().cloned());
    Ok(Board {
        names,
        compat: signs::compat(Path::new("/")),
        profile,
        remark,
        suspects,
        partitions,
        map,
        hardware: Hardware::read(Path::new("/")),
        backend: Backend::Linux,
    })
}

/// The profile that the user names or made, if the box can be one.
fn fitting(profile: Profile, map: &Map) -> Result<Profile> {
    let missing = identify::missing(&profile, map);
    match missing.filter(|_| !profile.is_generic()) {
        None => Ok(profile),
        Some(name) => Err(Failure::new(
            Exit::Unsupported,
            Code::Board,
            format_args!("this is no {}: partition {} is not as there", profile.id, Quoted(name)),
        )
        .hint("flasher devices")),
    }
}

fn hints(profile: &Profile) -> Vec<Hint> {
    let fixed = profile.partitions.iter().filter(|known| !known.moves);
    fixed
        .map(|known| Hint {
            name: known.name.clone(),
            size: known.size,
            offset: known.offset,
        })
        .collect()
}

fn partition(info: &MtdInfo, profile: &Profile) -> Result<Partition> {
    // The generic profile's partitions are those of its simulated box, not of this one.
    let named = (!profile.is_generic()).then(|| profile.partition(&info.name)).flatten();
    let known = named.filter(|known| known.moves || known.size == info.geometry.size);
    // Of what is one block as a whole, because it has too many, the first one would be asked about for all of them.
    let bad = match info.geometry.kind.is_nand() && !info.geometry.has_too_many_blocks() {
        true => bad_blocks(info)?,
        false => Vec::new(),
    };
    Ok(Partition {
        id: PartitionId::Mtd(info.index),
        name: info.name.clone(),
        geometry: info.geometry.clone(),
        bad,
        writable: info.writable,
        // Of two with that name, one has another size; what it holds is not known.
        keep: named.and_then(|named| named.keep),
        holds: known.map(|known| known.holds.clone()).unwrap_or_default(),
        recovery: known.is_some_and(|known| known.recovery),
        fixed_offset: known.is_some_and(|known| known.fixed_offset),
        fixed_length: known.is_some_and(|known| known.fixed_length),
        loads: known.and_then(|known| known.loads),
        health: Health {
            corrected: info.corrected_bits,
            failed: info.ecc_failures,
        },
        volume: None,
    })
}

/// The volumes of every UBI that is attached. What holds of an MTD holds of its volumes too.
fn volumes(map: &Map, partitions: &[Partition]) -> Vec<Partition> {
    let devices = map.ubi().iter();
    devices
        .flat_map(|device| device.volumes.iter().map(move |info| (device, info)))
        .map(|(device, info)| {
            let below = partitions
                .iter()
                .find(|partition| Some(partition.id) == device.mtd.map(PartitionId::Mtd));
            let volume = Partition::of_volume(info.clone());
            // What the profile says that an MTD holds is not said of a volume within it.
            Partition {
                writable: volume.writable && below.is_none_or(|below| below.writable),
                keep: below.and_then(|below| below.keep),
                recovery: below.is_some_and(|below| below.recovery),
                ..volume
            }
        })
        .collect()
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

/// A device that is not as it was listed.
pub(super) fn gone(error: impl std::fmt::Display) -> Failure {
    Failure::system(error).hint("flasher devices")
}

/// Opens the character device, after looking that the number still means the same partition.
pub(super) fn open(partition: &Partition, access: Access) -> Result<Box<dyn Flash>> {
    let paths = SystemPaths::default();
    if let Some(volume) = &partition.volume {
        return Ok(Box::new(UbiVolume::open(&paths, volume, access).map_err(gone)?));
    }
    let found = mtd_rs::list(&paths).map_err(unsupported)?;
    let same = |info: &&MtdInfo| {
        PartitionId::Mtd(info.index) == partition.id
            && info.name == partition.name
            && info.geometry == partition.geometry
    };
    match found.iter().find(same) {
        Some(info) => Ok(Box::new(MtdDevice::open(&paths, info, access).map_err(gone)?)),
        None => Err(gone(format_args!(
            "{} is not there any more, or is another partition now",
            partition.label()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_depends_on_what_failed() {
        let hint = |operation, errno| {
            let error = std::io::Error::from_raw_os_error(errno);
            unsupported(mtd_rs::Error::io(operation, "/dev/mtd0", None, error))
                .told()
                .hint
        };
        let said = |hint: Option<String>, words: &str| hint.is_some_and(|hint| hint.contains(words));
        assert!(said(hint(Operation::Open, libc::EACCES), "as root"));
        assert!(said(hint(Operation::List, libc::EPERM), "as root"));
        assert!(said(hint(Operation::List, libc::EIO), "dmesg"));
        assert!(said(hint(Operation::CheckBad, libc::EIO), "flasher devices"));
    }
}
