//! Which device numbers and names stand for a set of partitions.
#![forbid(unsafe_code)]

use crate::digits::decimal;
use crate::holder::Holder;
use mtd_rs::map::Partition;
use mtd_rs::ubi::{self, UbiBlock, UbiInfo};
use mtd_rs::{FlashKind, MTD_BLOCK_MAJOR, MTD_CHAR_MAJOR, Map, PartitionId, SystemPaths};
use std::fs;
use std::path::Path;

/// A volume, with what stands for it.
pub(crate) struct Volume {
    /// N and M of `ubiN_M`.
    pub(crate) id: (u32, u32),
    pub(crate) name: String,
    /// Its character device.
    pub(crate) node: Option<(u32, u32)>,
    /// The block device that was made of it, `ubiblockN_M`.
    pub(crate) block: Option<(u32, u32)>,
}

impl Volume {
    /// Whether what follows `ubiN` or `ubiblockN` means it: `:rootfs`, `!rootfs`, `_1`.
    fn is_called(&self, rest: &str) -> bool {
        match rest.strip_prefix([':', '!']) {
            Some(name) => name == self.name,
            None => rest.strip_prefix('_').and_then(decimal) == Some(self.id.1),
        }
    }
}

/// The partitions whose bytes are about to change: the targets and all that share flash with them.
///
/// What is there is read anew, because much may have changed since the map was made: a UBI was attached, a module has brought
/// partitions. A device that the map does not know, or knows by another name, may share flash with any target.
pub(crate) struct Wanted {
    indexes: Vec<u32>,
    names: Vec<String>,
    /// UBI devices attached to one of them, each with its MTD, which old kernels do not tell.
    pub(crate) ubi: Vec<(u32, Option<u32>)>,
    /// UBI volumes: targets, and those of the devices above.
    pub(crate) volumes: Vec<Volume>,
    /// The targets among them.
    pub(crate) named: Vec<(u32, u32)>,
    /// What could not be read.
    pub(crate) unread: Vec<Holder>,
}

impl Wanted {
    pub(crate) fn new(map: &Map, targets: &[PartitionId], paths: &SystemPaths) -> Self {
        let mut unread = Vec::new();
        let mut tell = |what: &str, error: mtd_rs::Error| unread.push(Holder::unread(Path::new(what), error));
        let present = mtd_rs::present(paths).unwrap_or_else(|error| {
            tell("the list of MTD devices", error);
            Vec::new()
        });
        let devices = ubi::list(paths).unwrap_or_else(|error| {
            tell("the list of UBI devices", error);
            Vec::new()
        });
        let blocks = ubi::blocks(paths).unwrap_or_else(|error| {
            tell("the list of UBI block devices", error);
            Vec::new()
        });
        let drivers = paths.proc.join("devices");
        let drivers = Holder::noted(fs::read_to_string(&drivers), &drivers, &mut unread).unwrap_or_default();
        let mut wanted = Self {
            indexes: indexes(map, targets, &present),
            names: Vec::new(),
            ubi: Vec::new(),
            volumes: Vec::new(),
            named: targets.iter().filter_map(volume).collect(),
            unread,
        };
        wanted.name(map, &present);
        let any_mtd = targets.iter().any(|target| volume(target).is_none());
        wanted.attached(map, &devices, any_mtd);
        if any_mtd {
            wanted.untold(&devices, &drivers);
        }
        wanted.describe(map, &devices, &blocks);
        wanted
    }

    /// Names are looked up in both lists: a device may have gone, and what is mounted by its name may not.
    fn name(&mut self, map: &Map, present: &[(u32, String)]) {
        let listed = present.iter().map(|(index, name)| (*index, name.as_str()));
        let mapped = map.devices().map(|info| (info.index, info.name.as_str()));
        self.names = listed
            .chain(mapped)
            .filter(|(index, _)| self.indexes.contains(index))
            .map(|(_, name)| name.to_owned())
            .collect();
    }

    fn attached(&mut self, map: &Map, devices: &[UbiInfo], any_mtd: bool) {
        let counts = |mtd: Option<u32>| match mtd {
            Some(index) => self.indexes.contains(&index) || any_mtd && map.get(PartitionId::Mtd(index)).is_none(),
            None => any_mtd,
        };
        let found = devices.iter().filter(|device| counts(device.mtd));
        self.ubi = found.map(|device| (device.index, device.mtd)).collect();
    }

    /// A UBI device that only `/proc/devices` lists, for want of sysfs, may lie on any MTD.
    fn untold(&mut self, devices: &[UbiInfo], drivers: &str) {
        let listed = drivers
            .lines()
            .filter_map(|line| decimal(line.rsplit(' ').next()?.strip_prefix("ubi")?));
        let untold = listed.filter(|index| devices.iter().all(|device| device.index != *index));
        self.ubi.extend(untold.map(|index| (index, None)));
    }

    fn describe(&mut self, map: &Map, devices: &[UbiInfo], blocks: &[UbiBlock]) {
        let block = |id: (u32, u32)| {
            blocks
                .iter()
                .find(|block| (block.ubi, block.id) == id)
                .map(|block| block.device)
        };
        for volume in devices.iter().flat_map(|device| &device.volumes) {
            let id = (volume.ubi, volume.id);
            if self.named.contains(&id) || self.ubi.iter().any(|(ubi, _)| *ubi == id.0) {
                self.volumes.push(Volume {
                    id,
                    name: volume.name.clone(),
                    node: Some(volume.device),
                    block: block(id),
                });
            }
        }
        // A target that is not listed any more is still known by its number, and by the name that it had.
        for &(ubi, id) in &self.named {
            if !self.volumes.iter().any(|volume| volume.id == (ubi, id)) {
                let known = map.get(PartitionId::Volume { ubi, id });
                self.volumes.push(Volume {
                    id: (ubi, id),
                    name: known.map_or_else(String::new, |known| known.name().to_owned()),
                    node: None,
                    block: block((ubi, id)),
                });
            }
        }
    }

    /// The partition numbers, ascending.
    pub(crate) fn indexes(&self) -> &[u32] {
        &self.indexes
    }

    /// What the kernel calls the block devices that stand for them.
    pub(crate) fn block_names(&self) -> Vec<String> {
        let volumes = self
            .volumes
            .iter()
            .map(|volume| format!("ubiblock{}_{}", volume.id.0, volume.id.1));
        let partitions = self.indexes.iter().map(|index| format!("mtdblock{index}"));
        partitions.chain(volumes).collect()
    }

    /// Whether a block device or a file system's device number is one of them.
    pub(crate) fn has_block(&self, device: (u32, u32)) -> bool {
        device.0 == MTD_BLOCK_MAJOR && self.indexes.contains(&device.1)
            || self.volumes.iter().any(|volume| volume.block == Some(device))
    }

    /// Whether a character device is one of them.
    pub(crate) fn has_char(&self, device: (u32, u32)) -> bool {
        device.0 == MTD_CHAR_MAJOR && self.indexes.contains(&(device.1 / 2))
            || self.volumes.iter().any(|volume| volume.node == Some(device))
    }

    /// Whether the source of a UBIFS says which volume it is, in a form that [`has_source`](Self::has_source) understands.
    pub(crate) fn names_volume(source: &str) -> bool {
        let name = source.strip_prefix("/dev/").unwrap_or(source);
        let Some(rest) = name.strip_prefix("ubi") else {
            return false;
        };
        let is_number = |text: &str| decimal::<u32>(text).is_some();
        match (rest.split_once([':', '!']), rest.split_once('_')) {
            (Some((device, _)), _) => device.is_empty() || is_number(device),
            (None, Some((device, volume))) => is_number(device) && is_number(volume),
            (None, None) => is_number(rest),
        }
    }

    /// Whether a mount source, swap or loop backing file names one of them.
    ///
    /// Forms: `/dev/mtdblock3`, `mtdblock3`, `/dev/mtdblock/3`, `mtd3`, `mtd:NAME` (`fs/super.c`, `drivers/mtd/mtdsuper.c`) and of
    /// UBI `ubi0:volume`, `ubi0!volume`, `ubi:volume`, `ubi0_1`, `/dev/ubi0_1`, `ubi1` for volume 1 of ubi0 (`open_ubi` in
    /// fs/ubifs/super.c), `/dev/ubiblock0_1`.
    pub(crate) fn has_source(&self, source: &str) -> bool {
        if let Some(name) = source.strip_prefix("mtd:") {
            return self.names.iter().any(|known| known == name);
        }
        let name = source.strip_prefix("/dev/").unwrap_or(source);
        let number = |prefix: &str| decimal::<u32>(name.strip_prefix(prefix)?);
        if let Some(index) = number("mtdblock")
            .or_else(|| number("mtdblock/"))
            .or_else(|| number("mtd"))
        {
            return self.indexes.contains(&index);
        }
        let Some(volume) = name.strip_prefix("ubiblock").or_else(|| name.strip_prefix("ubi")) else {
            return false;
        };
        let digits = volume.find(|c: char| !c.is_ascii_digit()).unwrap_or(volume.len());
        let (device, rest) = volume.split_at(digits);
        let first = |id| self.ubi.iter().any(|(ubi, _)| *ubi == 0) || self.volumes.iter().any(|it| it.id == (0, id));
        if rest.is_empty() && decimal(device).is_some_and(first) {
            return true;
        }
        // `ubi:volume` is one of ubi0.
        let Some(device) = decimal::<u32>(if device.is_empty() { "0" } else { device }) else {
            return false;
        };
        self.ubi.iter().any(|&(ubi, _)| ubi == device) && (digits > 0 || rest.starts_with([':', '!']))
            || self
                .volumes
                .iter()
                .any(|volume| volume.id.0 == device && volume.is_called(rest))
    }
}

fn volume(target: &PartitionId) -> Option<(u32, u32)> {
    match *target {
        PartitionId::Volume { ubi, id } => Some((ubi, id)),
        PartitionId::Mtd(_) => None,
    }
}

/// The MTD devices that matter. Of a target that is a volume these are the ones that show it as an MTD (gluebi): what else lies on
/// its UBI is not touched, because UBI writes it.
fn indexes(map: &Map, targets: &[PartitionId], present: &[(u32, String)]) -> Vec<u32> {
    let mtd = |id: PartitionId| match id {
        PartitionId::Mtd(index) => Some(index),
        PartitionId::Volume { .. } => None,
    };
    let shows_volume = |index: &u32| match map.get(PartitionId::Mtd(*index)) {
        Some(Partition::Mtd(info)) => info.geometry.kind == FlashKind::UbiVolume,
        _ => true,
    };
    let mut found = Vec::new();
    for &target in targets {
        let around = map.overlapping(target).into_iter().filter_map(mtd);
        match target {
            PartitionId::Mtd(index) => found.extend(around.chain([index])),
            PartitionId::Volume { .. } => found.extend(around.filter(shows_volume)),
        }
    }
    if !targets.is_empty() {
        let known = |index: u32, name: &str| map.get(PartitionId::Mtd(index)).is_some_and(|it| it.name() == name);
        let new = present.iter().filter(|(index, name)| !known(*index, name));
        found.extend(new.map(|(index, _)| *index));
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            indexes: vec![2, 5],
            names: vec!["RootFS1".into(), "NAS Config".into()],
            ubi: vec![(0, Some(5))],
            volumes: vec![Volume {
                id: (3, 1),
                name: "rootfs".into(),
                node: Some((252, 9)),
                block: Some((254, 8)),
            }],
            named: vec![(3, 1)],
            unread: Vec::new(),
        }
    }

    #[test]
    fn every_spelling_of_a_source_is_understood() {
        let w = wanted();
        for yes in [
            "/dev/mtdblock2",
            "mtdblock5",
            "/dev/mtdblock/2",
            "mtd2",
            "mtd:NAS Config",
            "ubi0:rootfs",
            "/dev/ubi0_1",
            "ubi0",
            "/dev/ubiblock0_0",
            "ubi:any",
            "ubi1",
            "ubi3:rootfs",
            "ubi3!rootfs",
            "ubi3_1",
            "/dev/ubi3_1",
            "/dev/ubiblock3_1",
        ] {
            assert!(w.has_source(yes), "{yes}");
        }
        for no in [
            "/dev/mtdblock22",
            "mtd3",
            "mtd:Kernel",
            "ubi1:rootfs",
            "ubi3:kernel",
            "ubi3_11",
            "ubi",
            "/dev/sda2",
            "ubifs",
            "",
            "mtd",
            "mtd+2",
            "/dev/mtdblock+2",
            "ubi3_+1",
            "/dev/mtdblock2p1",
            "2",
        ] {
            assert!(!w.has_source(no), "{no}");
        }
    }

    #[test]
    fn a_volume_without_a_number_that_can_be_is_any() {
        for source in ["ubi0:rootfs", "ubi!rootfs", "ubi3_1", "/dev/ubi3"] {
            assert!(Wanted::names_volume(source), "{source}");
        }
        for source in [
            "ubi",
            "ubi+3",
            "ubi3_+1",
            "ubi4294967296",
            "ubi0_4294967296",
            "/dev/root",
        ] {
            assert!(!Wanted::names_volume(source), "{source}");
        }
    }

    #[test]
    fn numbers_are_matched_by_kind() {
        let w = wanted();
        assert!(w.has_block((31, 2)) && !w.has_block((31, 4)) && !w.has_block((8, 2)));
        assert!(w.has_block((254, 8)) && !w.has_block((254, 9)));
        assert!(w.has_char((252, 9)) && !w.has_char((252, 8)));
        assert!(w.has_char((90, 4)) && w.has_char((90, 5)) && w.has_char((90, 11)) && !w.has_char((90, 6)));
    }
}
