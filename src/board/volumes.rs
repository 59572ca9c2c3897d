//! UBI volumes as partitions of the box.
//!
//! A volume is called as in `mount -t ubifs ubi0:rootfs`, so that it never takes the name of an MTD partition; `ubi0_1` is
//! accepted too, and `rootfs` where nothing else has that name. Its number is none that an MTD ever has: what knows of MTD
//! only must not find the whole device that the volume is a part of.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::quoted::Quoted;
use crate::board::{Health, Partition};
use mtd_rs::ubi::{self, UbiVolume, VolumeInfo, VolumeKind};
use mtd_rs::{Access, Flash, SystemPaths};

/// The number of volume 0 of ubi0.
const FIRST: u32 = 1 << 16;
/// `UBI_MAX_VOLUMES` of `drivers/mtd/ubi/ubi-media.h`.
const EACH: u32 = 128;

/// What a partition is that is a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// As UBI shows it.
    pub info: VolumeInfo,
    /// The number of the MTD that its UBI is attached to, where the kernel says so.
    pub on: Option<u32>,
}

impl Volume {
    /// Its device, without `/dev/`: `ubi0_1`.
    pub fn device(&self) -> String {
        format!("ubi{}_{}", self.info.ubi, self.info.id)
    }

    /// Whether a user may mean it by this.
    pub fn is_called(&self, name: &str) -> bool {
        self.info.name == name || self.device() == name
    }

    /// What to know before it is written, if UBI does not write it block by block.
    pub fn remark(&self) -> Option<&'static str> {
        if self.info.upd_marker {
            return Some(
                "has no content, because an update of it was broken off, as its update marker says: all of it is written",
            );
        }
        if self.info.corrupted {
            return Some("has lost its content, as UBI found by its CRC: all of it is written");
        }
        (self.info.kind == VolumeKind::Static).then_some(
            "is a static volume, which UBI replaces only as a whole: a power cut or a fault meanwhile leaves it without \
             content until the same is done again, and the old content cannot be put back",
        )
    }
}

/// What to call a partition with this number and name: `mtd1 "Kernel"`, `ubi0_1 "rootfs"`.
pub fn label(number: u32, name: &str) -> String {
    match number.checked_sub(FIRST) {
        None => format!("mtd{number} {}", Quoted(name)),
        Some(volume) => {
            let name = name.split_once(':').map_or(name, |(_, name)| name);
            format!("ubi{}_{} {}", volume / EACH, volume % EACH, Quoted(name))
        }
    }
}

fn unsupported(error: mtd_rs::Error) -> Failure {
    Failure::system(error).hint("flasher devices")
}

/// The volumes of every UBI that is attached. What must be kept of an MTD must be kept of its volumes.
pub(super) fn discover(partitions: &[Partition]) -> Result<Vec<Partition>> {
    let mut volumes = Vec::new();
    for device in ubi::list(&SystemPaths::default()).map_err(unsupported)? {
        let below = partitions.iter().find(|partition| Some(partition.mtd) == device.mtd);
        for info in device.volumes {
            let geometry = UbiVolume::geometry_of(&info);
            volumes.push(Partition {
                mtd: FIRST + EACH * info.ubi + info.id,
                name: format!("ubi{}:{}", info.ubi, info.name),
                writable: geometry.is_writable() && below.is_none_or(|below| below.writable),
                geometry,
                bad: Vec::new(),
                chip_offset: None,
                chip: None,
                keep: below.and_then(|below| below.keep),
                recovery: below.is_some_and(|below| below.recovery),
                // UBI is what makes fixed offsets stand in spite of bad blocks.
                fixed_offset: false,
                health: Health::default(),
                volume: Some(Volume { info, on: device.mtd }),
            });
        }
    }
    Ok(volumes)
}

/// Opens a volume, after looking that it still is the one that was listed.
pub(super) fn open(volume: &Volume, access: Access) -> Result<Box<dyn Flash>> {
    let opened = UbiVolume::open(&SystemPaths::default(), &volume.info, access).map_err(unsupported)?;
    Ok(Box::new(opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> Volume {
        Volume {
            info: VolumeInfo {
                ubi: 1,
                id: 2,
                name: "rootfs".into(),
                kind: VolumeKind::Dynamic,
                data_bytes: 0,
                reserved_ebs: 1,
                usable_eb_size: 4096,
                upd_marker: false,
                corrupted: false,
                min_io_size: 1,
                device: (252, 3),
            },
            on: Some(5),
        }
    }

    #[test]
    fn labels_tell_volumes_from_mtd_devices() {
        assert_eq!(label(3, "Kernel"), "mtd3 \"Kernel\"");
        assert_eq!(label(FIRST, "ubi0:kernel"), "ubi0_0 \"kernel\"");
        assert_eq!(label(FIRST + EACH + 2, "ubi1:a:b"), "ubi1_2 \"a:b\"");
    }

    #[test]
    fn a_volume_answers_to_its_name_and_its_device() {
        assert!(volume().is_called("rootfs") && volume().is_called("ubi1_2"));
        assert!(!volume().is_called("ubi1") && !volume().is_called("ubi1_1"));
    }

    #[test]
    fn what_is_replaced_as_a_whole_is_said_to_be() {
        assert_eq!(volume().remark(), None);
        let remark = |change: fn(&mut VolumeInfo)| {
            let mut volume = volume();
            change(&mut volume.info);
            assert!(volume.info.only_as_a_whole());
            volume.remark().expect("a remark")
        };
        assert!(remark(|info| info.kind = VolumeKind::Static).contains("only as a whole: a power cut"));
        assert!(remark(|info| info.upd_marker = true).contains("was broken off"));
        assert!(remark(|info| info.corrupted = true).contains("lost its content"));
    }
}
