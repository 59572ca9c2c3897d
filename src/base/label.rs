//! What to call a partition in messages.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use mtd_rs::PartitionId;

/// `mtd1 "Kernel"`, `ubi0_1 "rootfs"`. The name of a volume may begin with that of its device (`ubi0:rootfs`).
pub fn label(id: PartitionId, name: &str) -> String {
    let name = match id {
        PartitionId::Mtd(_) => name,
        PartitionId::Volume { .. } => name.split_once(':').map_or(name, |(_, name)| name),
    };
    format!("{id} {}", Quoted(name))
}
