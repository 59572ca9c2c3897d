//! Partitions to which the kernel itself writes what it says when it oopses: mtdoops, and pstore on MTD.
//!
//! They claim nothing, and show no device of their own; only their parameters name the partition (`drivers/mtd/mtdoops.c`,
//! `fs/pstore/blk.c`).
#![forbid(unsafe_code)]

use crate::digits::decimal;
use mtd_rs::map::Partition;
use mtd_rs::{Map, PartitionId};
use std::fs;
use std::path::Path;

/// Below `/sys/module`: each has the name of an MTD, or its number.
const PARAMETERS: [&str; 2] = ["mtdoops/parameters/mtddev", "pstore_blk/parameters/blkdev"];

/// Of these partitions and those that share flash with them, the ones that the kernel may write by itself, as `mtd5 (mtdoops)`.
#[must_use]
pub fn dumped_to(map: &Map, targets: &[PartitionId]) -> Vec<String> {
    of(map, targets, Path::new("/sys/module"))
}

fn of(map: &Map, targets: &[PartitionId], modules: &Path) -> Vec<String> {
    let mut ids: Vec<PartitionId> = targets.iter().flat_map(|target| map.overlapping(*target)).collect();
    ids.extend(targets);
    ids.sort_unstable();
    ids.dedup();
    let mut found = Vec::new();
    for parameter in PARAMETERS {
        let text = fs::read(modules.join(parameter)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let named = text.trim_end_matches(['\n', '\0']);
        let is_it = |id: &PartitionId| match (id, map.get(*id)) {
            (PartitionId::Mtd(index), Some(Partition::Mtd(info))) => {
                named == info.name || decimal(named.trim_start_matches("mtd")) == Some(*index)
            }
            _ => false,
        };
        let module = parameter.split('/').next().unwrap_or_default();
        let dumped = ids.iter().filter(|id| is_it(id)).map(|id| format!("{id} ({module})"));
        found.extend(dumped.take(1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use mtd_rs::map::OnChip;
    use mtd_rs::{Geometry, MtdInfo};

    #[test]
    fn the_partition_is_known_by_name_or_number_and_by_what_contains_it() {
        let device = |(index, name, offset): (u32, &str, u64)| OnChip {
            info: MtdInfo::new(
                index,
                name,
                Geometry::nor(if index == 0 { 4 << 20 } else { 1 << 20 }, 0x1_0000),
            ),
            chip: "spi0.0".to_owned(),
            offset: Some(offset << 20),
        };
        let map = Map::new(
            [(0, "all", 0), (1, "kernel", 1), (2, "oops", 2)].map(device),
            Vec::new(),
        );
        let modules = std::env::temp_dir().join(format!("stages-dumps-{}", std::process::id()));
        let found = |targets: &[u32]| -> Vec<String> {
            let targets: Vec<_> = targets.iter().map(|index| PartitionId::Mtd(*index)).collect();
            of(&map, &targets, &modules)
        };
        assert!(found(&[0, 1, 2]).is_empty());
        for text in ["oops\n", "2\n", "mtd2\n"] {
            let parameters = modules.join("mtdoops/parameters");
            fs::create_dir_all(&parameters).expect("made");
            fs::write(parameters.join("mtddev"), text).expect("written");
            assert_eq!(found(&[2]), ["mtd2 (mtdoops)"], "{text}");
            assert_eq!(found(&[0]), ["mtd2 (mtdoops)"], "{text}");
            assert!(found(&[1]).is_empty(), "{text}");
        }
        fs::write(modules.join("mtdoops/parameters/mtddev"), "+2\n").expect("written");
        assert!(found(&[2]).is_empty(), "a name");
        fs::remove_dir_all(&modules).expect("removed");
    }
}
