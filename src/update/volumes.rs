//! OpenWrt's tar on a box whose root is a volume of a UBI: what becomes of the volumes, and doing that.
//!
//! The plan is made for the volumes as they will be; they are changed directly before the first write, against a proof of its
//! own, and the board is read anew then.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::format::Format;
use crate::board::{Board, Partition};
use crate::image::{Image, Part};
use crate::plan::{DATA, SizedVolume, VolumeChanges};
use mtd_rs::PartitionId;
use mtd_rs::ubi::{UbiInfo, UbiVolume, VolumeInfo, VolumeKind};
use stages::Unheld;

/// The volumes that OpenWrt's tar goes to, by the names of its parts.
const PARTS: [&str; 2] = ["kernel", "rootfs"];
/// The MTD that a UBI without a root lies on (`CI_UBIPART` of OpenWrt).
const UBI: &str = "ubi";
/// As the kernel has it (`UBI_MAX_VOLUMES`).
const VOLUMES: u32 = 128;

/// What becomes of the volumes; none where the root is not a volume, or where there is no room for it, which the layout says.
pub(super) fn wanted(board: &Board, image: &Image) -> Option<VolumeChanges> {
    if image.format != Format::SysupgradeTar || image.problem.is_some() {
        return None;
    }
    let part = |name: &str| image.parts.iter().find(|part| part.name == name);
    let device = device(board)?;
    let root = part("rootfs")?;
    // A partition of the chip with that name comes first, as in the layout.
    let on_chip = |name: &str| board.partitions.iter().any(|p| p.volume.is_none() && p.name == name);
    if on_chip("rootfs") {
        return None;
    }
    let parts: Vec<&Part> = PARTS
        .iter()
        .filter(|name| !on_chip(name))
        .filter_map(|name| part(name))
        .collect();
    let fills = root
        .content
        .as_ref()
        .is_some_and(|content| content.format == Format::Ubifs);
    changes(device, &parts, fills)
}

/// The UBI that has the root, else the only one on a partition called `ubi`.
fn device(board: &Board) -> Option<&UbiInfo> {
    let all = board.map.ubi();
    let mut with_root = all
        .iter()
        .filter(|device| device.volumes.iter().any(|volume| volume.name == "rootfs"));
    if let Some(only) = with_root.next() {
        return with_root.next().is_none().then_some(only);
    }
    let named = |device: &&UbiInfo| {
        let mtd = device.mtd.map(PartitionId::Mtd);
        board.partitions.iter().any(|p| Some(p.id) == mtd && p.name == UBI)
    };
    let mut named = all.iter().filter(named);
    let only = named.next()?;
    named.next().is_none().then_some(only)
}

/// `fills`: the root is a UBIFS, which grows to its volume, and needs no `rootfs_data` over it.
fn changes(device: &UbiInfo, parts: &[&Part], fills: bool) -> Option<VolumeChanges> {
    let leb = u64::from(device.leb_size);
    let data = device.volumes.iter().find(|volume| volume.name == DATA);
    let mut free = u64::from(device.avail_eraseblocks) + data.map_or(0, |data| u64::from(data.reserved_ebs));
    let mut taken: Vec<u32> = device.volumes.iter().map(|volume| volume.id).collect();
    let mut next = || {
        let id = (0..VOLUMES).find(|id| !taken.contains(id))?;
        taken.push(id);
        Some(id)
    };
    let mut sized = Vec::new();
    for part in parts {
        let is = device.volumes.iter().find(|volume| volume.name == part.name);
        // What is written as a whole, or aligned otherwise, is left to the layout.
        if is.is_some_and(|is| is.kind != VolumeKind::Dynamic || u64::from(is.usable_eb_size) != leb) {
            return None;
        }
        let had = is.map(|is| is.reserved_ebs);
        let needed = part.size.div_ceil(leb).max(1);
        // A kernel in a volume that is large enough stays where it is.
        let gets = match (part.name.as_str(), had) {
            ("kernel", Some(had)) if u64::from(had) >= needed => u64::from(had),
            _ => needed,
        };
        free = (free + u64::from(had.unwrap_or_default())).checked_sub(gets)?;
        sized.push(SizedVolume {
            id: match is {
                Some(is) => is.id,
                None => next()?,
            },
            name: part.name.clone(),
            had,
            gets: u32::try_from(gets).ok()?,
        });
    }
    if fills && let Some(root) = sized.iter_mut().find(|volume| volume.name == "rootfs") {
        root.gets = root.gets.checked_add(u32::try_from(free).ok()?)?;
        free = 0;
    }
    // The smaller ones first, so that there is room for the others.
    let more = |volume: &SizedVolume| i64::from(volume.gets) - i64::from(volume.had.unwrap_or_default());
    sized.sort_unstable_by_key(|volume| (more(volume), volume.id));
    Some(VolumeChanges {
        ubi: device.index,
        leb_size: device.leb_size,
        removed: data.map(|data| data.id),
        sized,
        data: match (fills || free == 0, data) {
            (true, _) => None,
            (false, Some(data)) => Some(data.id),
            (false, None) => Some(next()?),
        },
    })
}

/// The board as it will be, for the plan.
pub(super) fn foresee(board: &mut Board, changes: &VolumeChanges) {
    for volume in changes.sized.iter().filter(|volume| volume.changes()) {
        let id = PartitionId::Volume {
            ubi: changes.ubi,
            id: volume.id,
        };
        let below = board.map.ubi().iter().find(|device| device.index == changes.ubi);
        let min_io_size = below.map_or(1, |device| device.min_io_size);
        match board.partitions.iter_mut().find(|partition| partition.id == id) {
            Some(partition) => {
                if let Some(info) = &mut partition.volume {
                    info.reserved_ebs = volume.gets;
                    partition.geometry = UbiVolume::geometry_of(info);
                }
            }
            None => board.partitions.push(new(changes, volume, min_io_size)),
        }
    }
}

/// A volume that is not there yet. Its device number is not known; nothing opens it before the board is read anew.
fn new(changes: &VolumeChanges, volume: &SizedVolume, min_io_size: u32) -> Partition {
    Partition::of_volume(VolumeInfo {
        ubi: changes.ubi,
        id: volume.id,
        name: volume.name.clone(),
        kind: VolumeKind::Dynamic,
        data_bytes: 0,
        reserved_ebs: volume.gets,
        usable_eb_size: changes.leb_size,
        upd_marker: false,
        corrupted: false,
        min_io_size,
        device: (0, 0),
    })
}

/// The targets that are there already, and the volumes that are changed.
pub(super) fn with(changes: &VolumeChanges, mut targets: Vec<PartitionId>, board: &Board) -> Vec<PartitionId> {
    let there = |id: &PartitionId| {
        let partition = board.get(*id);
        partition.is_some_and(|partition| partition.volume.as_ref().is_none_or(|info| info.device != (0, 0)))
    };
    targets.retain(there);
    targets.extend(changes.touched());
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Takes the old `rootfs_data` away and gives the others their sizes. What was done already, by an attempt before this one, is
/// passed over.
///
/// # Errors
/// What the kernel refused. The old system does not start any more then.
pub(super) fn change(changes: &VolumeChanges, proof: &Unheld) -> Result<()> {
    let ubi = changes.ubi;
    let device = now(ubi)?;
    as_planned(changes, &device)?;
    let is = |id: u32| device.volumes.iter().find(|volume| volume.id == id);
    let mut begun = false;
    if let Some(id) = changes
        .removed
        .filter(|id| is(*id).is_some_and(|volume| volume.name == DATA))
    {
        stages::remove_volume(proof, ubi, id).map_err(|error| failed(ubi, DATA, &error, begun))?;
        begun = true;
    }
    for volume in &changes.sized {
        let bytes = u64::from(volume.gets) * u64::from(changes.leb_size);
        let changed = match is(volume.id) {
            Some(found) if found.reserved_ebs == volume.gets => continue,
            Some(_) => stages::resize_volume(proof, ubi, volume.id, bytes),
            None => {
                // It may be there although it cannot be opened.
                begun = true;
                stages::create_volume(ubi, volume.id, &volume.name, bytes)
            }
        };
        changed.map_err(|error| failed(ubi, &volume.name, &error, begun))?;
        begun = true;
    }
    Ok(())
}

/// Makes `rootfs_data` anew of all that is free.
///
/// # Errors
/// What the kernel refused. The new system is whole all the same; it keeps its settings in RAM then.
pub(super) fn data_again(changes: &VolumeChanges) -> Result<()> {
    let Some(id) = changes.data else {
        return Ok(());
    };
    let devices = mtd_rs::ubi::list(&mtd_rs::SystemPaths::default()).map_err(Failure::system)?;
    let device = devices.iter().find(|device| device.index == changes.ubi);
    let Some(device) = device.filter(|device| device.volumes.iter().all(|volume| volume.name != DATA)) else {
        return Ok(());
    };
    let bytes = u64::from(device.avail_eraseblocks) * u64::from(device.leb_size);
    stages::create_volume(changes.ubi, id, DATA, bytes)
        .map_err(|error| Failure::system(format_args!("ubi{}:{DATA} could not be made: {error}", changes.ubi)))
}

/// Whether it is the UBI that the changes were planned for, which may have another number since: each volume is as it was then, or as
/// it is to be.
fn as_planned(changes: &VolumeChanges, device: &UbiInfo) -> Result<()> {
    let differs = changes.sized.iter().find(|volume| {
        let found = device.volumes.iter().find(|found| found.id == volume.id);
        match (found, volume.had) {
            (None, had) => had.is_some(),
            (Some(found), had) => {
                let sizes = [had, Some(volume.gets)];
                found.name != volume.name || !sizes.contains(&Some(found.reserved_ebs))
            }
        }
    });
    let what = match differs {
        Some(volume) => format!("ubi{}:{} is not as it was planned", changes.ubi, volume.name),
        None if device.leb_size != changes.leb_size => format!("ubi{} is not as it was planned", changes.ubi),
        None => return Ok(()),
    };
    Err(Failure::new(Exit::System, Code::Mtd, what).hint("flasher devices"))
}

fn now(ubi: u32) -> Result<UbiInfo> {
    let devices = mtd_rs::ubi::list(&mtd_rs::SystemPaths::default()).map_err(Failure::system)?;
    let device = devices.into_iter().find(|device| device.index == ubi);
    device.ok_or_else(|| {
        Failure::new(
            Exit::System,
            Code::Mtd,
            format_args!("ubi{ubi} is not attached any more"),
        )
        .hint("flasher devices")
    })
}

/// Of a UBI that may only be read, and of a volume that is in use, nothing is changed (`ubi_remove_volume` and `ubi_resize_volume` of
/// drivers/mtd/ubi/vmt.c ask for both first).
fn failed(ubi: u32, name: &str, error: &std::io::Error, begun: bool) -> Failure {
    let refused = !begun && matches!(error.raw_os_error(), Some(libc::EROFS | libc::EBUSY));
    let what = format!("the volume ubi{ubi}:{name} could not be changed: {error}");
    match refused {
        true => Failure::new(Exit::System, Code::Flash, what).hint("dmesg says why; the old firmware is whole"),
        false => Failure::new(Exit::Flash, Code::Flash, what).harm(Harm::Partly),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::image::FileKind;

    fn volume(id: u32, name: &str, reserved_ebs: u32) -> VolumeInfo {
        VolumeInfo {
            ubi: 0,
            id,
            name: name.into(),
            kind: VolumeKind::Dynamic,
            data_bytes: 0,
            reserved_ebs,
            usable_eb_size: 1000,
            upd_marker: false,
            corrupted: false,
            min_io_size: 100,
            device: (250, id + 1),
        }
    }

    fn device(avail_eraseblocks: u32, volumes: Vec<VolumeInfo>) -> UbiInfo {
        UbiInfo {
            index: 0,
            mtd: Some(1),
            leb_size: 1000,
            min_io_size: 100,
            total_eraseblocks: 100,
            avail_eraseblocks,
            bad_peb_count: 0,
            reserved_for_bad: 0,
            max_ec: 1,
            volumes,
        }
    }

    fn part(name: &str, size: u64) -> Part {
        Part {
            name: name.into(),
            member: None,
            offset: 0,
            size,
            content: None,
            file: FileKind::default(),
        }
    }

    fn of(device: &UbiInfo, parts: &[(&str, u64)], fills: bool) -> Option<VolumeChanges> {
        let parts: Vec<_> = parts.iter().map(|(name, size)| part(name, *size)).collect();
        changes(device, &parts.iter().collect::<Vec<_>>(), fills)
    }

    /// As `nand_upgrade_prepare_ubi` does it: root as large as it has to be, the rest for `rootfs_data`.
    #[test]
    fn the_root_gets_what_it_needs_and_its_overlay_the_rest() {
        let used = device(
            0,
            vec![volume(0, "rootfs", 20), volume(1, DATA, 60), volume(2, "factory", 5)],
        );
        for (size, gets) in [(30_001, 31), (1, 1), (80_000, 80), (20_000, 20)] {
            let changes = of(&used, &[("rootfs", size)], false).unwrap();
            assert_eq!((changes.removed, changes.sized[0].id), (Some(1), 0));
            assert_eq!((changes.sized[0].had, changes.sized[0].gets), (Some(20), gets));
            assert_eq!(changes.data, (gets < 80).then_some(1), "{gets}");
            assert_eq!(changes.resizes_any(), gets != 20);
        }
        assert_eq!(of(&used, &[("rootfs", 80_001)], false), None, "the factory data stay");
        let fills = of(&used, &[("rootfs", 5000)], true).unwrap();
        assert_eq!((fills.sized[0].gets, fills.data, fills.removed), (80, None, Some(1)));
    }

    #[test]
    fn what_is_not_there_is_made_and_a_kernel_that_fits_stays() {
        let blank = device(90, vec![volume(1, "env", 2)]);
        let changes = of(&blank, &[("kernel", 9_000), ("rootfs", 20_000)], false).unwrap();
        let made: Vec<_> = changes
            .sized
            .iter()
            .map(|volume| (volume.id, volume.had, volume.gets))
            .collect();
        assert_eq!(made, [(0, None, 9), (2, None, 20)]);
        assert_eq!((changes.removed, changes.data), (None, Some(3)));
        assert!(changes.touched().is_empty());
        let used = device(
            3,
            vec![volume(0, "kernel", 10), volume(1, "rootfs", 30), volume(2, DATA, 5)],
        );
        let changes = of(&used, &[("kernel", 9_000), ("rootfs", 20_000)], false).unwrap();
        let sizes: Vec<_> = changes
            .sized
            .iter()
            .map(|volume| (volume.name.as_str(), volume.gets))
            .collect();
        assert_eq!(sizes, [("rootfs", 20), ("kernel", 10)]);
        // The one that becomes smaller makes room for the other.
        let changes = of(&used, &[("kernel", 15_000), ("rootfs", 20_000)], false).unwrap();
        assert_eq!(changes.sized[0].name, "rootfs");
    }

    /// Numbers are given out anew when a UBI is attached.
    #[test]
    fn a_ubi_that_is_not_the_planned_one_is_not_changed() {
        let used = device(3, vec![volume(0, "rootfs", 20), volume(1, DATA, 60)]);
        let changes = of(&used, &[("kernel", 9_000), ("rootfs", 30_000)], false).unwrap();
        let now = |volumes| as_planned(&changes, &device(3, volumes));
        assert!(now(used.volumes.clone()).is_ok());
        // What an attempt before this one did.
        assert!(now(vec![volume(0, "rootfs", 30), volume(2, "kernel", 9)]).is_ok());
        for other in [
            vec![],
            vec![volume(0, "rootfs", 40), volume(1, DATA, 60)],
            vec![volume(0, "calibration", 20)],
            vec![volume(0, "rootfs", 20), volume(2, "calibration", 9)],
        ] {
            assert_eq!(now(other).unwrap_err().harm, Harm::Untouched);
        }
        let mut other = used.clone();
        other.leb_size = 2000;
        assert!(as_planned(&changes, &other).is_err());
    }

    #[test]
    fn a_ubi_that_may_only_be_read_is_untouched() {
        let harm = |number, begun| failed(0, "rootfs", &std::io::Error::from_raw_os_error(number), begun).harm;
        for number in [libc::EROFS, libc::EBUSY] {
            assert_eq!(harm(number, false), Harm::Untouched);
            assert_eq!(harm(number, true), Harm::Partly);
        }
        assert_eq!(harm(libc::EIO, false), Harm::Partly);
    }

    #[test]
    fn what_is_replaced_as_a_whole_is_left_alone() {
        let mut root = volume(0, "rootfs", 20);
        root.kind = VolumeKind::Static;
        assert_eq!(of(&device(50, vec![root]), &[("rootfs", 1000)], false), None);
    }
}
