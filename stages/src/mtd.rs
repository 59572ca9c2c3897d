//! Which device numbers and names stand for a set of MTD partitions.
#![forbid(unsafe_code)]

use crate::proof::MtdTarget;
use crate::ubi;
use std::fs;
use std::path::Path;

/// Block major of mtdblock and, as `s_dev`, of file systems mounted straight from an MTD (`get_tree_mtd`).
pub(crate) const BLOCK_MAJOR: u32 = 31;
/// Character major of mtdchar; minor 2N is `mtdN`, 2N+1 is `mtdNro`.
pub(crate) const CHAR_MAJOR: u32 = 90;

/// The partitions whose bytes are about to change: the targets and all that share flash with them.
pub(crate) struct Wanted {
    indexes: Vec<u32>,
    names: Vec<String>,
    /// UBI devices attached to one of them.
    pub(crate) ubi: Vec<(u32, u32)>,
    /// UBI volumes: targets, and those of the devices above.
    volumes: Vec<ubi::Volume>,
    /// The targets among them.
    pub(crate) named: Vec<(u32, u32)>,
}

impl Wanted {
    /// Looks names and UBI devices up under the given `/proc` and `/sys`.
    pub(crate) fn new(targets: &[MtdTarget], proc: &Path, sys: &Path) -> Self {
        let mut indexes: Vec<u32> = targets
            .iter()
            .filter(|t| t.volume.is_none())
            .flat_map(|t| std::iter::once(t.index).chain(t.overlaps.iter().copied()))
            .collect();
        indexes.sort_unstable();
        indexes.dedup();
        let table = fs::read_to_string(proc.join("mtd")).unwrap_or_default();
        let mut names: Vec<String> = parse_proc_mtd(&table)
            .filter(|(index, _)| indexes.contains(index))
            .map(|(_, name)| name)
            .collect();
        names.extend(targets.iter().filter(|t| t.volume.is_none()).map(|t| t.name.clone()));
        let ubi: Vec<_> = ubi::devices(sys)
            .into_iter()
            .filter(|(_, mtd)| indexes.contains(mtd))
            .collect();
        let named: Vec<_> = targets.iter().filter_map(|t| t.volume).collect();
        let mut volumes = ubi::volumes(sys);
        volumes.retain(|volume| named.contains(&volume.id) || ubi.iter().any(|&(device, _)| device == volume.id.0));
        Self {
            indexes,
            names,
            ubi,
            volumes,
            named,
        }
    }

    /// The partition numbers, ascending.
    pub(crate) fn indexes(&self) -> &[u32] {
        &self.indexes
    }

    /// Whether a block device or a file system's device number is one of them.
    pub(crate) fn has_block(&self, device: (u32, u32)) -> bool {
        device.0 == BLOCK_MAJOR && self.indexes.contains(&device.1)
            || self.volumes.iter().any(|volume| volume.block == Some(device))
    }

    /// Whether a character device is one of them.
    pub(crate) fn has_char(&self, device: (u32, u32)) -> bool {
        device.0 == CHAR_MAJOR && self.indexes.contains(&(device.1 / 2))
            || self.volumes.iter().any(|volume| volume.node == Some(device))
    }

    /// Whether a mount source, swap or loop backing file names one of them.
    ///
    /// Forms: `/dev/mtdblock3`, `mtdblock3`, `/dev/mtdblock/3`, `mtd3`, `mtd:NAME` (`fs/super.c`, `drivers/mtd/mtdsuper.c`) and of
    /// UBI `ubi0:volume`, `ubi0!volume`, `ubi:volume`, `ubi0_1`, `/dev/ubi0_1` (`open_ubi` in fs/ubifs/super.c),
    /// `/dev/ubiblock0_1`.
    pub(crate) fn has_source(&self, source: &str) -> bool {
        if let Some(name) = source.strip_prefix("mtd:") {
            return self.names.iter().any(|known| known == name);
        }
        let name = source.strip_prefix("/dev/").unwrap_or(source);
        let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
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
        // `ubi:volume` is one of ubi0.
        let Ok(device) = (if device.is_empty() { "0" } else { device }).parse::<u32>() else {
            return false;
        };
        self.ubi.iter().any(|&(ubi, _)| ubi == device) && (digits > 0 || rest.starts_with([':', '!']))
            || self
                .volumes
                .iter()
                .any(|volume| volume.id.0 == device && volume.is_called(rest))
    }
}

/// `mtd0: 00080000 00020000 "U-Boot"`; the name may hold anything but a newline.
fn parse_proc_mtd(table: &str) -> impl Iterator<Item = (u32, String)> + '_ {
    table.lines().filter_map(|line| {
        let (device, rest) = line.split_once(": ")?;
        let name = rest.split_once('"')?.1.strip_suffix('"')?;
        Some((device.strip_prefix("mtd")?.parse().ok()?, name.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            indexes: vec![2, 5],
            names: vec!["RootFS1".into(), "NAS Config".into()],
            ubi: vec![(0, 5)],
            volumes: vec![ubi::Volume {
                id: (3, 1),
                name: "rootfs".into(),
                node: Some((252, 9)),
                block: Some((254, 8)),
            }],
            named: vec![(3, 1)],
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
            "ubi3",
            "ubi3:kernel",
            "ubi3_11",
            "ubi",
            "/dev/sda2",
            "ubifs",
            "",
            "mtd",
            "/dev/mtdblock2p1",
            "2",
        ] {
            assert!(!w.has_source(no), "{no}");
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

    #[test]
    fn proc_mtd_of_a_qnap_is_read() {
        let table = "dev:    size   erasesize  name\nmtd0: 00080000 00040000 \"U-Boot\"\nmtd5: 00140000 00040000 \"NAS Config\"\n";
        assert_eq!(
            parse_proc_mtd(table).collect::<Vec<_>>(),
            [(0, "U-Boot".to_owned()), (5, "NAS Config".to_owned())]
        );
    }
}
