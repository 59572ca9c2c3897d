//! A partition of the box: an MTD device, or a UBI volume.
//!
//! A volume is named as in `mount -t ubifs ubi0:rootfs`, so that it never takes the name of an MTD partition.

#![forbid(unsafe_code)]

use super::profile::Protection;
use super::purpose::Purpose;
use crate::base::label::label;
use mtd_rs::ubi::{UbiVolume, VolumeInfo, VolumeKind};
use mtd_rs::{Geometry, PartitionId};
use std::ops::Range;

/// A partition of this box; plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Which one.
    pub id: PartitionId,
    /// The name in `/proc/mtd`; `ubi0:rootfs` of a volume. Names need not be unique.
    pub name: String,
    /// Size, erase blocks, pages.
    pub geometry: Geometry,
    /// Offsets of bad blocks, ascending, in bytes.
    pub bad: Vec<u64>,
    /// Whether the kernel lets it be written.
    pub writable: bool,
    /// Why the profile wants it kept.
    pub keep: Option<Protection>,
    /// What the profile says it holds; empty where that is not known.
    pub holds: Vec<Purpose>,
    /// Whether it is the way back when everything else fails.
    pub recovery: bool,
    /// Whether the boot loader reads it at fixed offsets, bad blocks or not.
    pub fixed_offset: bool,
    /// Whether the boot loader takes all of it for the initial ramdisk.
    pub fixed_length: bool,
    /// Bytes of it that the boot loader loads, if these are not all.
    pub loads: Option<u64>,
    /// ECC counters and such, for people.
    pub health: Health,
    /// What UBI says of it, if it is a volume.
    pub volume: Option<VolumeInfo>,
}

/// What the driver counts about a partition's chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Bits corrected by ECC so far.
    pub corrected: Option<u32>,
    /// Uncorrectable pages met so far.
    pub failed: Option<u32>,
}

impl Partition {
    /// A volume of UBI's, of which no profile says anything. UBI is what makes fixed offsets stand in spite of bad blocks.
    pub fn of_volume(info: VolumeInfo) -> Partition {
        let geometry = UbiVolume::geometry_of(&info);
        Partition {
            id: PartitionId::Volume {
                ubi: info.ubi,
                id: info.id,
            },
            name: format!("ubi{}:{}", info.ubi, info.name),
            writable: geometry.is_writable(),
            geometry,
            bad: Vec::new(),
            keep: None,
            holds: Vec::new(),
            recovery: false,
            fixed_offset: false,
            fixed_length: false,
            loads: None,
            health: Health::default(),
            volume: Some(info),
        }
    }

    /// `mtd1 "Kernel"`, `ubi0_1 "rootfs"`.
    pub fn label(&self) -> String {
        label(self.id, &self.name)
    }

    /// The blocks that can hold data, ascending.
    pub fn good_blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.geometry.blocks().filter(|block| !self.bad.contains(&block.start))
    }

    /// Bytes that it can hold.
    pub fn capacity(&self) -> u64 {
        self.good_blocks().map(|block| block.end - block.start).sum()
    }

    /// What to know before it is written, if it is a volume that UBI does not write block by block.
    pub fn remark(&self) -> Option<&'static str> {
        let info = self.volume.as_ref()?;
        if info.upd_marker {
            return Some(
                "has no content, because an update of it was broken off, as its update marker says: all of it is written",
            );
        }
        if info.corrupted {
            return Some("has lost its content, as UBI found by its CRC: all of it is written");
        }
        (info.kind == VolumeKind::Static).then_some(
            "is a static volume, which UBI replaces only as a whole: a power cut or a fault meanwhile leaves it without \
             content until the same is done again, and the old content cannot be put back",
        )
    }

    /// Its character devices, for a `/dev` that has none.
    pub fn nodes(&self) -> Vec<stages::DeviceNode> {
        match (self.id, &self.volume) {
            (PartitionId::Mtd(index), _) => stages::DeviceNode::mtd(index).into(),
            // One that is only foreseen has none yet.
            (_, Some(info)) if info.device == (0, 0) => Vec::new(),
            (id, Some(info)) => vec![stages::DeviceNode {
                name: id.to_string(),
                block: false,
                major: info.device.0,
                minor: info.device.1,
            }],
            (_, None) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(change: fn(&mut VolumeInfo)) -> Partition {
        let mut info = VolumeInfo {
            ubi: 1,
            id: 2,
            name: "a:b".into(),
            kind: VolumeKind::Dynamic,
            data_bytes: 0,
            reserved_ebs: 1,
            usable_eb_size: 4096,
            upd_marker: false,
            corrupted: false,
            min_io_size: 1,
            device: (252, 3),
        };
        change(&mut info);
        Partition::of_volume(info)
    }

    #[test]
    fn labels_tell_volumes_from_mtd_devices() {
        assert_eq!(label(PartitionId::Mtd(3), "Kernel"), "mtd3 \"Kernel\"");
        assert_eq!(volume(|_| ()).label(), "ubi1_2 \"a:b\"");
    }

    #[test]
    fn what_is_replaced_as_a_whole_is_said_to_be() {
        assert_eq!(volume(|_| ()).remark(), None);
        let remark = |change: fn(&mut VolumeInfo)| volume(change).remark().expect("a remark");
        assert!(remark(|info| info.kind = VolumeKind::Static).contains("only as a whole: a power cut"));
        assert!(remark(|info| info.upd_marker = true).contains("was broken off"));
        assert!(remark(|info| info.corrupted = true).contains("lost its content"));
    }
}
