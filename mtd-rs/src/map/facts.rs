//! What the kernel says of a box's flash, as it says it. What follows from it is found elsewhere.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::cmdline;
use super::tree::{self, Tree};
use crate::discover::{MtdInfo, list, mtd_number};
use crate::error::Result;
use crate::id::number;
use crate::kind::FlashKind;
use crate::paths::SystemPaths;
use crate::ubi::{self, UbiBlock, UbiInfo};

/// Of `/proc/cmdline`; the longest that an architecture takes is 64 KiB.
const MAX_CMDLINE: u64 = 64 << 10;

/// Since this release a partition within a partition is always shown below it in sysfs, its offset relative to it (commit
/// 97519dc52b44, "mtd: partitions: add support for subpartitions").
pub(super) const TREE_SHOWN: (u32, u32) = (4, 13);
/// Since this release partitions have the attribute `offset`.
pub(super) const OFFSET_SHOWN: (u32, u32) = (4, 1);

/// A table of partitions that somebody wrote down for a chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// What it is written for. That need not be what sysfs calls it.
    pub(super) chip: String,
    pub(super) entries: Vec<Entry>,
}

/// A line of it. A size of `None` is the rest of the chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) offset: u64,
}

/// The device that an MTD hangs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// Its directory below the root of sysfs.
    Device(String),
    /// None: the driver named no device (`/sys/devices/virtual/mtd`). Every such MTD is there, whatever its chip.
    Virtual,
    /// A block device, which may be flash itself (`drivers/mtd/devices/block2mtd.c`).
    Block,
    /// There is no sysfs, or it does not say.
    Unknown,
}

impl Home {
    /// The name of the device.
    pub(super) fn name(&self) -> &str {
        match self {
            // A master that only the kernel sees may stand between the device and its partitions.
            Home::Device(path) => path
                .rsplit('/')
                .find(|part| !part.starts_with("mtd_master"))
                .unwrap_or(path),
            Home::Virtual => "virtual",
            Home::Block => "block device",
            Home::Unknown => "flash",
        }
    }
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Major and minor number of the kernel's release.
    pub(super) release: Option<(u32, u32)>,
    pub(super) devices: Vec<(MtdInfo, Home)>,
    /// Of the command line and of the device tree.
    pub(super) tables: Vec<Table>,
    /// Concatenations that the device tree describes: the name of the device, and of what it is made of.
    pub(super) concats: Vec<tree::Concat>,
    pub(super) ubi: Vec<UbiInfo>,
    /// Block devices of volumes.
    pub(super) blocks: Vec<UbiBlock>,
}

pub(super) fn read(paths: &SystemPaths) -> Result<Facts> {
    // Such a device may have any name, so what is like one counts as one while the driver is there.
    let block2mtd = paths.sys.join("module/block2mtd").symlink_metadata().is_ok();
    let devices: Vec<(MtdInfo, Home)> = list(paths)?
        .into_iter()
        .map(|info| {
            let like_one = block2mtd && info.geometry.kind == FlashKind::Ram || info.name.starts_with("block2mtd");
            match home(paths, info.index) {
                Home::Virtual | Home::Unknown if like_one => (info, Home::Block),
                home => (info, home),
            }
        })
        .collect();
    let release = limited(&paths.proc.join("sys/kernel/osrelease"), 256).and_then(|text| release(&text));
    // A walk over the device tree takes its time on a small box, and mostly there is nothing to learn from it.
    let tree = if release.is_none_or(|release| release < TREE_SHOWN)
        || devices.iter().any(|(info, home)| may_be_concat(paths, info, home))
    {
        tree::read(&paths.proc.join("device-tree"))
    } else {
        Tree::default()
    };
    let Tree { tables, concats } = tree;
    let mut facts = Facts {
        release,
        devices,
        tables,
        concats,
        ubi: ubi::list(paths)?,
        blocks: ubi::blocks(paths)?,
    };
    if let Some(cmdline) = limited(&paths.proc.join("cmdline"), MAX_CMDLINE) {
        facts.tables.extend(cmdline::tables(&String::from_utf8_lossy(&cmdline)));
    }
    Ok(facts)
}

/// Whether the driver of the device, or its name, is that of a concatenation.
fn may_be_concat(paths: &SystemPaths, info: &MtdInfo, home: &Home) -> bool {
    let compatible = match home {
        Home::Device(path) => limited(&paths.sys.join(path).join("of_node/compatible"), 4096).unwrap_or_default(),
        Home::Virtual | Home::Block | Home::Unknown => Vec::new(),
    };
    looks_like_concat(&info.name)
        || looks_like_concat(home.name())
        || String::from_utf8_lossy(&compatible).contains("mtd-concat")
}

/// What concatenations are called: `virtual_flash` and `mtd-concat` by OpenWrt, `a-b-concat` by the kernel's own
/// `drivers/mtd/mtd_virt_concat.c`, `a+b` by those who write a driver for one board.
pub(super) fn looks_like_concat(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.contains("concat") || name.contains("virtual_flash") || name.contains('+')
}

/// The bytes of a small file; `None` where it is missing, unreadable or longer.
pub(super) fn limited(path: &Path, max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(max + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= max).then_some(bytes)
}

fn release(text: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (major, rest) = text.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((number(major, 10)?, number(&rest[..end], 10)?))
}

/// Follows the link of the class to `…/spi0.0/mtd/mtd3/mtd4` and takes off what MTD put there.
fn home(paths: &SystemPaths, index: u32) -> Home {
    let found = || {
        let mut path = fs::canonicalize(paths.sys_class_mtd.join(format!("mtd{index}"))).ok()?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        while mtd_number(&name(&path)?).is_some() {
            path.pop();
        }
        if name(&path)? != "mtd" {
            return None;
        }
        path.pop();
        Some(path)
    };
    let Some(path) = found() else { return Home::Unknown };
    let root = fs::canonicalize(&paths.sys).unwrap_or_else(|_| PathBuf::from("/sys"));
    let below = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
    match below.as_str() {
        "devices/virtual" => Home::Virtual,
        // The class directory itself: no link, so nothing is said.
        "class" => Home::Unknown,
        _ => Home::Device(below),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_up_to_what_distributions_add() {
        assert_eq!(release(b"6.1.0-18-marvell\n"), Some((6, 1)));
        assert_eq!(release(b"3.18.23\n"), Some((3, 18)));
        assert_eq!(release(b"5.4-rc1"), Some((5, 4)));
        for text in [&b""[..], b"linux", b"6", b"x.1", b"6.x", b"\xff.1"] {
            assert_eq!(release(text), None);
        }
    }

    #[test]
    fn the_name_of_a_home_is_that_of_the_device() {
        assert_eq!(Home::Device("devices/platform/soc/spi0.0".into()).name(), "spi0.0");
        let hidden = Home::Device("devices/platform/spi0.0/mtd_master/mtd_master0".into());
        assert_eq!(hidden.name(), "spi0.0");
    }
}
