//! Finds everything that uses flash: mounts, swap, loop devices, UBI, open files, mapped text.
//!
//! The same scanner serves preflight, the in-place proof and the proof after the unmount, so that they cannot
//! disagree. It reads `/proc` and `/sys` and touches nothing but the block device nodes, which it opens once.
#![forbid(unsafe_code)]

use crate::mounts::{Mount, is_remote, mount_of, mounts_of, unescape};
use crate::mtd::{BLOCK_MAJOR, Wanted};
use crate::process::{Process, confined, pids, process, processes};
use crate::proof::MtdTarget;
use nix::libc;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Something that uses a partition or a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it is. `Display` puts it into words.
    pub what: HolderKind,
}

/// The kinds of holders. `pid` and `comm` name a process, paths are as the holder sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are what their names say; the kinds are described"
)]
pub enum HolderKind {
    /// A mounted file system.
    Mount {
        device: String,
        mountpoint: String,
        fs: String,
    },
    /// A mount in the namespace of another process.
    ForeignMount { pid: u32, comm: String, mountpoint: String },
    /// A swap area.
    Swap { device: String },
    /// A loop device whose backing file is, or lies on, the flash.
    Loop { device: String, file: String },
    /// An open file, or an open device node.
    OpenFile { pid: u32, comm: String, path: String },
    /// A running program or library.
    MappedText { pid: u32, comm: String, path: String },
    /// A working directory.
    Cwd { pid: u32, comm: String, path: String },
    /// A root directory (chroot).
    Root { pid: u32, comm: String, path: String },
    /// A directory that the kernel's NFS server gives to others.
    Export { path: String },
    /// An attached UBI device.
    Ubi { ubi: u32, mtd: u32 },
    /// What may run outside of the container that we are in.
    Unseen,
    /// The kernel itself claims the block device: a mount that no process shows, or a driver on top of it.
    Claimed { device: String },
}

impl Holder {
    /// The command that ends this use, where there is one that harms nothing.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self.what {
            HolderKind::Ubi { ubi, .. } => Some(format!("ubidetach -d {ubi}")),
            _ => None,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            HolderKind::Mount { device, mountpoint, fs } => write!(f, "{device} mounted on {mountpoint} ({fs})"),
            HolderKind::ForeignMount { pid, comm, mountpoint } => {
                write!(
                    f,
                    "mounted on {mountpoint} in the mount namespace of process {pid} ({comm})"
                )
            }
            HolderKind::Swap { device } => write!(f, "swap on {device}"),
            HolderKind::Loop { device, file } => write!(f, "loop device {device} on {file}"),
            HolderKind::OpenFile { pid, comm, path } => write!(f, "process {pid} ({comm}), which has {path} open"),
            HolderKind::MappedText { pid, comm, path } => write!(f, "process {pid} ({comm}), which runs {path}"),
            HolderKind::Cwd { pid, comm, path } => {
                write!(f, "process {pid} ({comm}), whose working directory is {path}")
            }
            HolderKind::Root { pid, comm, path } => write!(f, "process {pid} ({comm}), whose root directory is {path}"),
            HolderKind::Export { path } => write!(f, "the NFS export of {path}"),
            HolderKind::Ubi { ubi, mtd } => write!(f, "ubi{ubi} attached to mtd{mtd}"),
            HolderKind::Unseen => {
                f.write_str("whatever runs outside of this container, which cannot be seen from within")
            }
            HolderKind::Claimed { device } => {
                write!(f, "the kernel, which has {device} mounted or claimed out of our sight")
            }
        }
    }
}

/// A file as the kernel identifies it.
pub(crate) struct Identity<'a> {
    /// The device of the file system it lies on.
    pub(crate) on: (u32, u32),
    /// For device nodes: whether it is a block device, and its numbers.
    pub(crate) node: Option<(bool, (u32, u32))>,
    /// Its path, where known.
    pub(crate) path: &'a Path,
}

/// Everything that uses one of the targets or a partition that shares flash with it. Empty means: nothing does.
///
/// In a container, which does not see the processes of the machine, there always is one.
///
/// # Errors
/// `/proc/self/mountinfo` cannot be read; without it nothing can be said.
pub fn holders(targets: &[MtdTarget]) -> io::Result<Vec<Holder>> {
    let mut found = seen(targets)?;
    if confined() {
        let what = HolderKind::Unseen;
        found.push(Holder { what });
    }
    Ok(found)
}

/// [`holders`] where nothing runs that cannot be seen.
pub(crate) fn seen(targets: &[MtdTarget]) -> io::Result<Vec<Holder>> {
    scan(targets, Path::new("/proc"), Path::new("/sys"), Path::new("/dev"))
}

fn scan(targets: &[MtdTarget], proc: &Path, sys: &Path, dev: &Path) -> io::Result<Vec<Holder>> {
    let wanted = Wanted::new(targets, proc, sys);
    let table = mounts_of(&proc.join("self/mountinfo"))?;
    let mut found: Vec<HolderKind> = Vec::new();
    let direct = |mount: &Mount| wanted.has_block(mount.device) || wanted.has_source(&mount.source);
    let lies_on_flash = |file: &str| wanted.has_source(file) || mount_of(&table, Path::new(file)).is_some_and(direct);
    let mut loops = loops(sys);
    loops.retain(|(_, file)| lies_on_flash(file));
    let on_flash = |mount: &Mount| direct(mount) || loops.iter().any(|(device, _)| *device == mount.source);
    for mount in table.iter().filter(|mount| on_flash(mount)) {
        found.push(HolderKind::Mount {
            device: mount.source.clone(),
            mountpoint: mount.mountpoint.display().to_string(),
            fs: mount.fs.clone(),
        });
    }
    found.extend(wanted.ubi.iter().map(|&(ubi, mtd)| HolderKind::Ubi { ubi, mtd }));
    let swaps = fs::read_to_string(proc.join("swaps")).unwrap_or_default();
    found.extend(
        parse_swaps(&swaps)
            .filter(|device| lies_on_flash(device))
            .map(|device| HolderKind::Swap { device }),
    );
    found.extend(
        exports(proc)
            .into_iter()
            .filter(|path| lies_on_flash(path))
            .map(|path| HolderKind::Export { path }),
    );
    let backed = |(device, file): &(String, String)| HolderKind::Loop {
        device: device.clone(),
        file: file.clone(),
    };
    found.extend(loops.iter().map(backed));
    // Files on a file system that is mounted in our sight need no line each: the mount has one.
    let mounted = |device| table.iter().any(|mount| mount.device == device);
    found.extend(scan_processes(proc, &|file| match file.node {
        Some((true, device)) => wanted.has_block(device),
        Some((false, device)) => wanted.has_char(device),
        None => wanted.has_block(file.on) && !mounted(file.on),
    }));
    found.extend(foreign_mounts(proc, &table, &|mount| on_flash(mount)));
    if found.is_empty() {
        found.extend(wanted.indexes().iter().filter_map(|index| claimed(dev, *index)));
        found.extend(collected(proc, &wanted));
        found.extend(wanted.named.iter().filter_map(|volume| in_use(dev, *volume)));
    }
    Ok(found.into_iter().map(|what| Holder { what }).collect())
}

/// The devices and files of `/proc/swaps`.
pub(crate) fn parse_swaps(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines()
        .skip(1)
        .filter_map(|line| Some(unescape(line.split_ascii_whitespace().next()?)))
}

/// The directories that the kernel's NFS server has been told of, in whatever state it is. Each entry holds its file system,
/// also when no server runs (`svc_export_parse`, fs/nfsd/export.c).
pub(crate) fn exports(proc: &Path) -> Vec<String> {
    let text = fs::read_to_string(proc.join("net/rpc/nfsd.export/content")).unwrap_or_default();
    let mut found: Vec<String> = text
        .lines()
        // The heading, and entries that are not valid (any more).
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(unescape(line.split_once('\t')?.0)))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// jffs2 claims no block device, but while it is mounted for writing, wherever that is, its garbage collector runs
/// (`jffs2_start_garbage_collect_thread`, fs/jffs2/background.c).
fn collected(proc: &Path, wanted: &Wanted) -> Option<HolderKind> {
    processes(proc).into_iter().find_map(|process| {
        let index = process.comm.strip_prefix("jffs2_gcd_mtd")?.parse().ok()?;
        (process.kernel && wanted.indexes().contains(&index)).then(|| HolderKind::Claimed {
            device: format!("mtd{index}"),
        })
    })
}

/// Each loop device in use with its backing file. The attribute came with 2.6.37; before that loops go unseen here.
pub(crate) fn loops(sys: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(sys.join("block")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for name in entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("loop"))
    {
        if let Ok(file) = fs::read_to_string(sys.join("block").join(&name).join("loop/backing_file")) {
            found.push((format!("/dev/{name}"), file.trim_end_matches('\n').to_owned()));
        }
    }
    found
}

/// Looks at working directory, root, program, open files and mappings of every process but our own.
///
/// A file on a mount that is a server's is known by its path alone: to ask a server that has gone takes for ever, and no flash is
/// there. Only what looks like a device node is asked for, on boxes that have their `/dev` there.
pub(crate) fn scan_processes(proc: &Path, wanted: &dyn Fn(&Identity<'_>) -> bool) -> Vec<HolderKind> {
    let table = mounts_of(&proc.join("self/mountinfo")).unwrap_or_default();
    let ask = |path: &Path| {
        path.components().any(|part| part.as_os_str() == "dev")
            || !mount_of(&table, path).is_some_and(|mount| is_remote(&mount.fs))
    };
    let mut found = Vec::new();
    for pid in others(proc) {
        if let Some(owner) = process(proc, pid).filter(Process::is_alive) {
            scan_process(&proc.join(pid.to_string()), &owner, &ask, wanted, &mut found);
        }
    }
    found
}

fn scan_process(
    dir: &Path,
    owner: &Process,
    ask: &dyn Fn(&Path) -> bool,
    wanted: &dyn Fn(&Identity<'_>) -> bool,
    found: &mut Vec<HolderKind>,
) {
    let (pid, comm) = (owner.pid, owner.to_string());
    // The state is worth more to the reader than the bare name, so "(name)" carries it where it matters.
    let comm = if owner.state == 'D' {
        comm.split_once('(')
            .map_or(owner.comm.clone(), |(_, rest)| rest.replacen(')', ",", 1))
    } else {
        owner.comm.clone()
    };
    let hit = |link: &Path| {
        let path = fs::read_link(link).ok()?;
        let (mut on, mut node) = ((0, 0), None);
        if ask(&path) {
            // Through the link, so that deleted files and other namespaces count.
            let about = fs::metadata(link).ok()?;
            let kind = about.file_type();
            on = numbers(about.dev());
            node = (kind.is_block_device() || kind.is_char_device())
                .then(|| (kind.is_block_device(), numbers(about.rdev())));
        }
        wanted(&Identity { on, node, path: &path }).then(|| path.display().to_string())
    };
    if let Some(path) = hit(&dir.join("cwd")) {
        found.push(HolderKind::Cwd {
            pid,
            comm: comm.clone(),
            path,
        });
    }
    if let Some(path) = hit(&dir.join("root")) {
        found.push(HolderKind::Root {
            pid,
            comm: comm.clone(),
            path,
        });
    }
    for entry in fs::read_dir(dir.join("fd")).into_iter().flatten().flatten() {
        if let Some(path) = hit(&entry.path()) {
            found.push(HolderKind::OpenFile {
                pid,
                comm: comm.clone(),
                path,
            });
        }
    }
    let maps = String::from_utf8_lossy(&fs::read(dir.join("maps")).unwrap_or_default()).into_owned();
    let mut last: Option<PathBuf> = None;
    for (on, path) in maps.lines().filter_map(parse_map) {
        // One library is mapped in several pieces, one after the other.
        if last.as_deref() != Some(path) && wanted(&Identity { on, node: None, path }) {
            found.push(HolderKind::MappedText {
                pid,
                comm: comm.clone(),
                path: path.display().to_string(),
            });
        }
        last = Some(path.to_owned());
    }
}

/// `address perms offset dev inode path`, the device in hexadecimal; inode 0 is memory of no file.
fn parse_map(line: &str) -> Option<((u32, u32), &Path)> {
    let mut fields = line.splitn(6, ' ');
    let (major, minor) = fields.nth(3)?.split_once(':')?;
    let inode = fields.next()?;
    let path = fields.next()?.trim_start();
    let device = (
        u32::from_str_radix(major, 16).ok()?,
        u32::from_str_radix(minor, 16).ok()?,
    );
    (inode != "0" && !path.is_empty()).then_some((device, Path::new(path)))
}

/// Mounts that only another namespace has. One line a namespace is enough, and reading a table is not cheap.
pub(crate) fn foreign_mounts(proc: &Path, own: &[Mount], wanted: &dyn Fn(&Mount) -> bool) -> Vec<HolderKind> {
    let mut seen = vec![fs::read_link(proc.join("self/ns/mnt")).ok()];
    let mut found = Vec::new();
    for pid in others(proc) {
        let namespace = fs::read_link(proc.join(pid.to_string()).join("ns/mnt")).ok();
        // In a chroot our own table lacks what is mounted outside of it (`show_mountinfo`, fs/proc_namespace.c).
        if pid != 1 && seen.contains(&namespace) {
            continue;
        }
        let Some(owner) = process(proc, pid).filter(Process::is_alive) else {
            continue;
        };
        seen.push(namespace);
        let table = mounts_of(&proc.join(pid.to_string()).join("mountinfo")).unwrap_or_default();
        for mount in table
            .iter()
            .filter(|mount| wanted(mount) && !own.iter().any(|other| other.id == mount.id))
        {
            found.push(HolderKind::ForeignMount {
                pid,
                comm: owner.comm.clone(),
                mountpoint: mount.mountpoint.display().to_string(),
            });
        }
    }
    found
}

/// Opens the block device exclusively, which fails with EBUSY while anything has claimed it, in whatever namespace
/// (`bd_prepare_to_claim`, block/bdev.c). Nothing is read or written.
fn claimed(dev: &Path, index: u32) -> Option<HolderKind> {
    let device = dev.join(format!("mtdblock{index}"));
    let about = fs::metadata(&device).ok()?;
    if !about.file_type().is_block_device() || numbers(about.rdev()) != (BLOCK_MAJOR, index) {
        return None;
    }
    let open = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_EXCL | libc::O_NONBLOCK)
        .open(&device);
    let busy = open.is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY));
    busy.then(|| HolderKind::Claimed {
        device: device.display().to_string(),
    })
}

/// Opens a volume for writing, which fails with EBUSY while a file system is mounted from it for writing, in whatever
/// namespace (`ubi_open_volume`, drivers/mtd/ubi/kapi.c). Nothing is written.
fn in_use(dev: &Path, (ubi, id): (u32, u32)) -> Option<HolderKind> {
    let device = dev.join(format!("ubi{ubi}_{id}"));
    let is_node = fs::metadata(&device).is_ok_and(|about| about.file_type().is_char_device());
    let open = fs::OpenOptions::new().read(true).write(is_node).open(&device);
    let busy = open.is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY));
    busy.then(|| HolderKind::Claimed {
        device: device.display().to_string(),
    })
}

fn others(proc: &Path) -> Vec<u32> {
    let me = std::process::id();
    pids(proc).into_iter().filter(|&pid| pid != me).collect()
}

/// Major and minor, by the encoding of `MKDEV` that glibc and musl share.
pub(crate) fn numbers(device: u64) -> (u32, u32) {
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    (major as u32, minor as u32)
}

#[cfg(test)]
mod tests;
