//! What happens to the volumes of a UBI around an update, as OpenWrt's `nand_upgrade_prepare_ubi` does it
//! (`package/base-files/files/lib/upgrade/nand.sh`): the volume of the root gets exactly the size that it needs, and
//! `rootfs_data`, which holds what was changed in the old system, is taken away and made anew of all that is left.

#![forbid(unsafe_code)]

use crate::base::units::Blocks;
use mtd_rs::PartitionId;
use serde::{Deserialize, Serialize};

/// The volume that OpenWrt lays over the root.
pub const DATA: &str = "rootfs_data";

/// A volume that gets another size, or is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizedVolume {
    /// M of `ubiN_M`.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Logical erase blocks that it has; none where it is made.
    pub had: Option<u32>,
    /// Logical erase blocks that it gets.
    pub gets: u32,
}

impl SizedVolume {
    /// Whether anything changes.
    pub fn changes(&self) -> bool {
        self.had != Some(self.gets)
    }
}

/// What happens to the volumes of one UBI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeChanges {
    /// N of `ubiN`.
    pub ubi: u32,
    /// Bytes of a logical erase block.
    pub leb_size: u32,
    /// `rootfs_data` as it is now, which is taken away.
    pub removed: Option<u32>,
    /// Volumes that get another size, or keep theirs, in the order in which that is done.
    pub sized: Vec<SizedVolume>,
    /// The number under which `rootfs_data` is made anew; none for a root that needs no such volume.
    pub data: Option<u32>,
}

impl VolumeChanges {
    /// Whether a volume gets another size, or is made.
    pub fn resizes_any(&self) -> bool {
        self.sized.iter().any(SizedVolume::changes)
    }

    /// Whether this one does.
    pub fn resizes(&self, id: PartitionId) -> bool {
        let is = |volume: &SizedVolume| {
            id == PartitionId::Volume {
                ubi: self.ubi,
                id: volume.id,
            }
        };
        self.sized.iter().any(|volume| volume.changes() && is(volume))
    }

    /// The volumes that are there already and are changed.
    pub fn touched(&self) -> Vec<PartitionId> {
        let sized = self
            .sized
            .iter()
            .filter(|volume| volume.had.is_some())
            .map(|volume| volume.id);
        let ids = sized.chain(self.removed);
        ids.map(|id| PartitionId::Volume { ubi: self.ubi, id }).collect()
    }

    /// A line for each, for people.
    pub fn lines(&self) -> Vec<String> {
        let ubi = self.ubi;
        let sized = self
            .sized
            .iter()
            .filter(|volume| volume.changes())
            .map(|volume| match volume.had {
                Some(had) => format!(
                    "volume: ubi{ubi}:{} gets {}, had {had}",
                    volume.name,
                    Blocks(volume.gets.into())
                ),
                None => format!(
                    "volume: ubi{ubi}:{} is made, of {}",
                    volume.name,
                    Blocks(volume.gets.into())
                ),
            });
        let mut lines: Vec<_> = sized.collect();
        match (self.removed, self.data) {
            (Some(_), Some(_)) => lines.push(format!(
                "volume: ubi{ubi}:{DATA} is made anew, empty, of all that is left"
            )),
            (Some(_), None) => lines.push(format!("volume: ubi{ubi}:{DATA} is taken away")),
            (None, Some(_)) => lines.push(format!("volume: ubi{ubi}:{DATA} is made of all that is left")),
            (None, None) => (),
        }
        lines
    }
}
