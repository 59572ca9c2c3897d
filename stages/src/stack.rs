//! Block devices, and which of them lie on others: device-mapper, md, loop devices, partitions.
#![forbid(unsafe_code)]

use crate::device::{self, Numbers};
use crate::digits::decimal;
use crate::holder::Holder;
use crate::shown::shown;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A block device as `/sys/block` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The kernel's name for it, with a `/` where sysfs has a `!`.
    pub(crate) name: String,
    pub(crate) device: Option<Numbers>,
    /// What it lies on: `slaves` of device-mapper, md and bcache (`bd_link_disk_holder`, block/holder.c), the disk of a partition.
    pub(crate) on: Vec<String>,
    /// The file or device that a loop device or zram has behind it.
    pub(crate) backing: Option<PathBuf>,
    /// The number of the MTD that it shows: `mtdblock3`, `mtdswap3`, and FTL, NFTL, SSFDC and their like, whose names have no
    /// number (`add_mtd_blktrans_dev`, drivers/mtd/mtd_blkdevs.c).
    pub(crate) mtd: Option<u32>,
    /// What device-mapper calls it, in `/dev/mapper`.
    mapped: Option<String>,
    partition: bool,
}

impl Block {
    /// Whether this path of `/dev` is it.
    pub(crate) fn is_called(&self, source: &str) -> bool {
        let Some(name) = source.strip_prefix("/dev/") else {
            return false;
        };
        name == self.name
            || name
                .strip_prefix("mapper/")
                .is_some_and(|name| self.mapped.as_deref() == Some(name))
    }
}

/// Every block device, and what could not be read.
pub(crate) fn blocks(sys: &Path) -> (Vec<Block>, Vec<Holder>) {
    let mut stack = Reader::default();
    for name in stack.names(&sys.join("block")) {
        stack.disk(&sys.join("block").join(&name), &name);
    }
    (stack.blocks, stack.unread)
}

/// The names of all blocks that lie on one of `base`, by any number of steps. `backed` tells of a backing file whether it lies
/// on one of the names.
pub(crate) fn above(blocks: &[Block], base: &[String], backed: &dyn Fn(&Path, &[String]) -> bool) -> Vec<String> {
    let mut found = base.to_vec();
    loop {
        let next = blocks.iter().find(|block| {
            !found.contains(&block.name)
                && (block.on.iter().any(|below| found.contains(below))
                    || block.backing.as_deref().is_some_and(|file| backed(file, &found)))
        });
        match next {
            Some(block) => found.push(block.name.clone()),
            None => return found.split_off(base.len()),
        }
    }
}

/// The blocks of these names that hold what is below by being there. A partition does not.
pub(crate) fn holding(blocks: &[Block], names: &[String]) -> Vec<Holder> {
    let mut found = Vec::new();
    for block in blocks.iter().filter(|block| names.contains(&block.name)) {
        if block.name.starts_with("loop") {
            found.extend(block.backing.clone().map(|file| Holder::Loop {
                device: format!("/dev/{}", block.name),
                file: shown(file),
            }));
        } else if !block.partition {
            let backing = block.backing.iter().map(shown);
            let on: Vec<_> = backing.chain(block.on.iter().cloned()).collect();
            found.push(Holder::Stacked {
                device: block.name.clone(),
                on: on.join(", "),
            });
        }
    }
    found
}

/// Each loop device in use with its backing file. The attribute came with 2.6.37; before that loops go unseen here.
pub(crate) fn loops(sys: &Path) -> Vec<(Block, PathBuf)> {
    let (blocks, _) = blocks(sys);
    let used = blocks.into_iter().filter(|block| block.name.starts_with("loop"));
    used.filter_map(|mut block| block.backing.take().map(|file| (block, file)))
        .collect()
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    unread: Vec<Holder>,
}

impl Reader {
    fn disk(&mut self, path: &Path, name: &str) {
        let zram = self.bytes(&path.join("backing_dev")).filter(|file| file != b"none");
        let backing = self.bytes(&path.join("loop/backing_file")).or(zram);
        let backing = backing.map(|file| OsString::from_vec(file).into());
        let mapped = self.text(&path.join("dm/name"));
        let device = self.device(path);
        let slaves = self.names(&path.join("slaves"));
        let parent = self.parent(path);
        let mtd = parent
            .as_deref()
            .and_then(|parent| decimal(parent.strip_prefix("mtd")?));
        let block = self.block(name);
        (block.backing, block.mapped, block.device, block.mtd) = (backing, mapped, device, mtd);
        // A disk that a driver made of another one, as fitblk does, and that names no slaves.
        let on = parent.filter(|parent| path.with_file_name(parent).exists() && parent != name);
        if let Some(on) = on {
            self.lies_on(name, &on);
        }
        for slave in slaves {
            self.lies_on(name, &slave);
        }
        self.held(path, name);
        // A partition has the name of its disk and more.
        for part in self.names(path).iter().filter(|part| part.starts_with(name)) {
            let below = path.join(part);
            if below.join("partition").exists() {
                let device = self.device(&below);
                let block = self.block(part);
                (block.device, block.partition) = (device, true);
                self.lies_on(part, name);
                self.held(&below, part);
            }
        }
    }

    /// The name of the device that a disk hangs on.
    fn parent(&mut self, path: &Path) -> Option<String> {
        let link = path.join("device");
        let to = self.noted(fs::read_link(&link), &link)?;
        Some(to.file_name()?.to_string_lossy().into_owned())
    }

    /// What sysfs names as lying on this one need not name it in turn.
    fn held(&mut self, path: &Path, name: &str) {
        for holder in self.names(&path.join("holders")) {
            self.lies_on(&holder, name);
        }
    }

    fn lies_on(&mut self, name: &str, below: &str) {
        let below = below.replace('!', "/");
        let block = self.block(name);
        if !block.on.contains(&below) {
            block.on.push(below);
        }
    }

    fn block(&mut self, name: &str) -> &mut Block {
        let name = name.replace('!', "/");
        let index = self
            .blocks
            .iter()
            .position(|block| block.name == name)
            .unwrap_or_else(|| {
                self.blocks.push(Block {
                    name,
                    ..Block::default()
                });
                self.blocks.len() - 1
            });
        &mut self.blocks[index]
    }

    fn names(&mut self, path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let entries = Holder::noted(entries, path, &mut self.unread).unwrap_or_default();
        let names = entries
            .iter()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }

    fn text(&mut self, path: &Path) -> Option<String> {
        let bytes = self.bytes(path)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All of an attribute, without the newline at its end.
    fn bytes(&mut self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = self.noted(fs::read(path), path)?;
        bytes.pop_if(|byte| *byte == b'\n');
        Some(bytes)
    }

    /// What a device of another kind does not have may be looked for below what is no directory.
    fn noted<T>(&mut self, read: io::Result<T>, path: &Path) -> Option<T> {
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
            read => Holder::noted(read, path, &mut self.unread),
        }
    }

    fn device(&mut self, path: &Path) -> Option<Numbers> {
        device::parse(&self.text(&path.join("dev"))?)
    }
}
