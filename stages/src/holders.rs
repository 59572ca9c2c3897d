//! Finds everything that uses flash: mounts, swap, loop devices, UBI, open files, mapped text, block devices on top.
//!
//! The same scanner serves preflight, the in-place proof and the proof after the unmount, so that they cannot
//! disagree. It reads `/proc` and `/sys` and touches nothing but the block device nodes, which it opens once; where `/dev` lacks one
//! it makes its own for that moment.
//!
//! What cannot be read might have told of a holder, so it is one ([`Holder::Unread`]). What is not there tells of none: a
//! kernel without swap has no `/proc/swaps`, one without namespaces no `ns/mnt`, one without MTD no `/proc/mtd`.
#![forbid(unsafe_code)]

use crate::device::{Numbers, at_own_node, numbers, open_node};
use crate::holder::Holder;
use crate::mounts::{self, Mount, is_remote, mount_of, mounts_of};
use crate::process::{confined, processes};
use crate::scan::{Identity, foreign_mounts, is_gone};
use crate::served::served;
use crate::shown::shown;
use crate::stack::{self, Block};
use crate::used::Processes;
use crate::wanted::{Volume, Wanted};
use mtd_rs::{Map, PartitionId, SystemPaths};
use nix::libc;
use nix::sys::stat::SFlag;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Letters of a process's name (`TASK_COMM_LEN` of include/linux/sched.h, less the zero at its end).
const COMM: usize = 15;
/// Below `/proc`: what the NFS server was told to export.
const EXPORTS: &str = "net/rpc/nfsd.export/content";

/// Everything that uses one of the targets or a partition that shares flash with it, or may. Empty means: nothing does.
///
/// A volume is held by what uses it, under whatever name; that its UBI is attached is what it needs, and the other volumes do not
/// matter. A device that is there and that the map does not know may share flash with any target.
///
/// In a container, which does not see the processes of the machine, there always is one.
///
/// # Errors
/// `/proc/self/mountinfo` cannot be read; without it nothing can be said.
pub fn holders(map: &Map, targets: &[PartitionId]) -> io::Result<Vec<Holder>> {
    let mut found = seen(map, targets)?;
    found.extend(unseen());
    Ok(found)
}

/// [`holders`] of each target by itself, for which the processes are looked through once.
///
/// # Errors
/// As [`holders`].
pub fn holders_of_each(map: &Map, targets: &[PartitionId]) -> io::Result<Vec<Vec<Holder>>> {
    let mut each = scan_each(map, targets, &SystemPaths::default())?;
    each.iter_mut().for_each(|found| found.extend(unseen()));
    Ok(each)
}

fn unseen() -> Option<Holder> {
    confined().then_some(Holder::Unseen)
}

fn scan_each(map: &Map, targets: &[PartitionId], paths: &SystemPaths) -> io::Result<Vec<Vec<Holder>>> {
    let used = RefCell::default();
    scan_with(map, targets, paths, Processes::Noted(&used))?;
    let used = used.into_inner();
    let one = |target: &PartitionId| scan_with(map, &[*target], paths, Processes::Known(&used));
    targets.iter().map(one).collect()
}

/// [`holders`] where nothing runs that cannot be seen.
pub(crate) fn seen(map: &Map, targets: &[PartitionId]) -> io::Result<Vec<Holder>> {
    scan_with(map, targets, &SystemPaths::default(), Processes::Seen)
}

fn scan_with(
    map: &Map,
    targets: &[PartitionId],
    paths: &SystemPaths,
    processes: Processes<'_>,
) -> io::Result<Vec<Holder>> {
    let proc = paths.proc.as_path();
    let wanted = Wanted::new(map, targets, paths);
    let table = mounts_of(&proc.join("self/mountinfo"))?;
    let (blocks, mut unread) = stack::blocks(&paths.sys);
    unread.extend(wanted.unread.iter().cloned());
    let mut flash = OnFlash {
        wanted: &wanted,
        dev: &paths.dev,
        table: &table,
        blocks: &blocks,
        names: wanted.block_names(),
    };
    let shown_as = |block: &&Block| block.mtd.is_some_and(|mtd| wanted.indexes().contains(&mtd));
    let aliases = blocks.iter().filter(shown_as).map(|block| block.name.clone());
    flash.names.extend(aliases);
    flash.names.sort_unstable();
    flash.names.dedup();
    let above = stack::above(&blocks, &flash.names, &|file, names| flash.has_file(file, names));
    flash.names.extend(above.iter().cloned());

    let mut found = Vec::new();
    for mount in table.iter().filter(|mount| flash.has_mount(mount, &flash.names)) {
        found.push(Holder::Mount {
            device: shown(&mount.source),
            mountpoint: shown(&mount.mountpoint),
            fs: shown(&mount.fs),
        });
    }
    for &(ubi, mtd) in &wanted.ubi {
        found.push(match mtd {
            Some(mtd) => Holder::Ubi { ubi, mtd },
            None => Holder::UbiUntold { ubi },
        });
    }
    let swaps = read(&proc.join("swaps"), &mut unread);
    found.extend(
        parse_swaps(&swaps)
            .filter(|device| flash.has_file(device, &flash.names))
            .map(|device| Holder::Swap { device: shown(device) }),
    );
    found.extend(
        parse_exports(&read(&proc.join(EXPORTS), &mut unread))
            .into_iter()
            .filter(|path| flash.has_file(path, &flash.names))
            .map(|path| Holder::Export { path: shown(path) }),
    );
    found.extend(
        served(&paths.sys, &mut unread)
            .into_iter()
            .filter(|path| flash.has_file(path, &flash.names))
            .map(|path| Holder::Served { path: shown(path) }),
    );
    found.extend(stack::holding(&blocks, &above));
    // Files on a file system that is mounted in our sight need no line each: the mount has one.
    let mounted = |device| table.iter().any(|mount| mount.device == device);
    let uses = |file: &Identity<'_>| match file.node {
        Some((true, device)) => flash.has_block(device, &flash.names),
        Some((false, device)) => wanted.has_char(device),
        None => flash.has_block(file.on, &flash.names) && !mounted(file.on),
    };
    found.extend(processes.using(proc, &uses));
    found.extend(foreign_mounts(proc, &table, &|mount| {
        flash.has_mount(mount, &flash.names)
    }));
    found.extend(unread);
    if found.is_empty() {
        found.extend(flash.names.iter().filter_map(|name| claimed(&paths.dev, name, &flash)));
        found.extend(collected(proc, &wanted));
        found.extend(
            wanted
                .volumes
                .iter()
                .filter(|volume| wanted.named.contains(&volume.id))
                .filter_map(|volume| in_use(&paths.dev, volume)),
        );
    }
    Ok(found)
}

/// What lies on the wanted partitions, directly or by way of other block devices.
struct OnFlash<'a> {
    wanted: &'a Wanted,
    dev: &'a Path,
    table: &'a [Mount],
    blocks: &'a [Block],
    /// The block devices that do; while they are looked for, those that are known so far.
    names: Vec<String>,
}

impl OnFlash<'_> {
    fn has_block(&self, device: Numbers, names: &[String]) -> bool {
        let mut blocks = self.blocks.iter().filter(|block| names.contains(&block.name));
        self.wanted.has_block(device) || blocks.any(|block| block.device == Some(device))
    }

    fn has_source(&self, source: &str, names: &[String]) -> bool {
        let mut blocks = self.blocks.iter().filter(|block| names.contains(&block.name));
        self.wanted.has_source(source) || blocks.any(|block| block.is_called(source))
    }

    fn has_mount(&self, mount: &Mount, names: &[String]) -> bool {
        self.has_block(mount.device, names)
            || self.has_source(&mount.source, names)
            || mount.fs == "ubifs" && self.may_be_volume(&mount.source)
    }

    /// UBIFS has no number that tells its volume, and takes the path of any node of it: where that is not understood, it may be one
    /// of these.
    fn may_be_volume(&self, source: &str) -> bool {
        if self.wanted.volumes.is_empty() || Wanted::names_volume(source) {
            return false;
        }
        let node = source
            .strip_prefix("/dev/")
            .map(|name| fs::metadata(self.dev.join(name)));
        match node {
            Some(Ok(about)) if about.file_type().is_char_device() => self.wanted.has_char(numbers(about.rdev())),
            _ => true,
        }
    }

    /// A device, by whatever name, or a file that lies on one.
    fn has_file(&self, path: &Path, names: &[String]) -> bool {
        let mount = mount_of(self.table, path);
        // A server that has gone is not asked.
        let node = mount
            .is_none_or(|mount| !is_remote(&mount.fs))
            .then(|| fs::metadata(path).ok())
            .flatten()
            .filter(|about| about.file_type().is_block_device());
        self.has_source(&path.to_string_lossy(), names)
            || mount.is_some_and(|mount| self.has_mount(mount, names))
            || node.is_some_and(|about| self.has_block(numbers(about.rdev()), names))
    }
}

/// The bytes of a file that need not be there.
fn read(path: &Path, unread: &mut Vec<Holder>) -> Vec<u8> {
    Holder::noted(fs::read(path), path, unread).unwrap_or_default()
}

/// The devices and files of `/proc/swaps`.
pub(crate) fn parse_swaps(text: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    text.split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|line| line.split(u8::is_ascii_whitespace).next())
        .filter(|name| !name.is_empty())
        .map(mounts::path)
}

/// The directories that the kernel's NFS server has been told of, in whatever state it is. Each entry holds its file system,
/// also when no server runs (`svc_export_parse`, fs/nfsd/export.c).
pub(crate) fn exports(proc: &Path) -> Vec<PathBuf> {
    parse_exports(&fs::read(proc.join(EXPORTS)).unwrap_or_default())
}

fn parse_exports(text: &[u8]) -> Vec<PathBuf> {
    let name = |line: &[u8]| Some(mounts::path(&line[..line.iter().position(|byte| *byte == b'\t')?]));
    let mut found: Vec<PathBuf> = text
        .split(|byte| *byte == b'\n')
        // The heading, and entries that are not valid (any more).
        .filter(|line| !line.starts_with(b"#"))
        .filter_map(name)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// jffs2 claims no block device, but while it is mounted for writing, wherever that is, its garbage collector runs
/// (`jffs2_start_garbage_collect_thread`, fs/jffs2/background.c).
fn collected(proc: &Path, wanted: &Wanted) -> Option<Holder> {
    let processes = processes(proc);
    wanted.indexes().iter().find_map(|index| {
        let name = format!("jffs2_gcd_mtd{index}");
        // Kernels before 5.17 show as much of it as other names may have.
        let is_it = |comm: &str| comm == name || comm.len() == COMM && name.starts_with(comm);
        let mut collectors = processes.iter().filter(|process| process.kernel);
        collectors.any(|process| is_it(&process.comm)).then(|| Holder::Claimed {
            device: format!("mtd{index}"),
        })
    })
}

/// Opens the block device exclusively, which fails with EBUSY while anything has claimed it, in whatever namespace
/// (`bd_prepare_to_claim`, block/bdev.c). Nothing is read or written.
fn claimed(dev: &Path, name: &str, flash: &OnFlash<'_>) -> Option<Holder> {
    let device = dev.join(name);
    let is_it = |about: &fs::Metadata| {
        about.file_type().is_block_device() && flash.has_block(numbers(about.rdev()), &flash.names)
    };
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_EXCL | libc::O_NONBLOCK);
    if fs::metadata(&device).is_ok_and(|about| is_it(&about)) {
        return busy(&device, options.open(&device));
    }
    // A /dev without a node for it, or with that of another device.
    match flash.blocks.iter().find(|block| block.name == name)?.device {
        Some(known) => busy(&device, at_own_node(dev, SFlag::S_IFBLK, known, &options)),
        None => Some(numberless(&device)),
    }
}

/// Opens a volume for writing, which fails with EBUSY while a file system is mounted from it for writing, in whatever
/// namespace (`ubi_open_volume`, drivers/mtd/ubi/kapi.c). Nothing is written.
fn in_use(dev: &Path, volume: &Volume) -> Option<Holder> {
    let device = dev.join(format!("ubi{}_{}", volume.id.0, volume.id.1));
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true);
    match volume.node {
        Some(node) => busy(&device, open_node(dev, &device, SFlag::S_IFCHR, node, &options)),
        None => Some(numberless(&device)),
    }
}

/// One that is there and cannot be asked.
fn numberless(device: &Path) -> Holder {
    Holder::unread(device, "its number is not known")
}

/// What opening a device tells of others. One that has gone, or that has no driver any more, nobody holds.
fn busy(device: &Path, opened: io::Result<fs::File>) -> Option<Holder> {
    let error = opened.err()?;
    match error.raw_os_error() {
        Some(libc::EBUSY) => Some(Holder::Claimed {
            device: device.display().to_string(),
        }),
        // A UBI that has become read-only is written by nobody.
        Some(libc::ENODEV | libc::ENXIO | libc::EROFS) => None,
        _ if is_gone(&error) => None,
        _ => Some(Holder::unread(device, error)),
    }
}

#[cfg(test)]
mod tests;
