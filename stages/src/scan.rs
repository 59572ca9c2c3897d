//! Processes and what they use: working and root directories, open files, mapped text, mount namespaces.
//!
//! What cannot be looked into counts as a holder ([`Holder::Unread`]), once for all processes and behind what was found. A
//! process that ends while it is looked at is none.
#![forbid(unsafe_code)]

use crate::device::{Numbers, numbers};
use crate::holder::Holder;
use crate::mounts::{Mount, is_remote, mount_of, mounts_of};
use crate::process::{Process, pids, process};
use crate::shown::shown;
use crate::sys;
use nix::libc;
use nix::sys::stat::SFlag;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file as the kernel identifies it.
pub(crate) struct Identity<'a> {
    /// The device of the file system it lies on.
    pub(crate) on: Numbers,
    /// For device nodes: whether it is a block device, and its numbers.
    pub(crate) node: Option<(bool, Numbers)>,
    /// Its path, where known.
    pub(crate) path: &'a Path,
}

/// Whether it is only that something is not there (any more).
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Looks at working directory, root, program, open files and mappings of every process but our own.
///
/// A file on a mount that is a server's is known by its path alone: to ask a server that has gone takes for ever, and no flash is
/// there. Only what looks like a device node is asked for, on boxes that have their `/dev` there. Of a mount that is in no table
/// any more (`umount -l`) only the kernel knows that a server has it: it is asked for what it has in its cache.
pub(crate) fn scan_processes(proc: &Path, wanted: &dyn Fn(&Identity<'_>) -> bool) -> Vec<Holder> {
    let mut scan = Scan {
        tables: Tables::new(proc),
        wanted,
        found: Vec::new(),
        unread: None,
    };
    // Without the list of processes nobody is seen.
    if let Err(error) = fs::read_dir(proc).and_then(|mut entries| entries.try_for_each(|entry| entry.map(drop))) {
        scan.unread = Some(Holder::unread(proc, error));
    }
    for pid in others(proc) {
        let dir = proc.join(pid.to_string());
        let unread = match process(proc, pid) {
            Some(owner) if owner.is_alive() => scan.process(&dir, &owner).err(),
            Some(_) => None,
            None => Some(Holder::unread(&dir.join("stat"), "it makes no sense")),
        };
        // It may just have ended, and then there is nothing to be read any more.
        let is_there = || match process(proc, pid) {
            Some(process) => process.is_alive(),
            None => dir.exists(),
        };
        if let Some(unread) = unread
            && scan.unread.is_none()
            && is_there()
        {
            scan.unread = Some(unread);
        }
    }
    scan.found.extend(scan.unread);
    scan.found
}

/// What is mounted where, for each mount namespace that was met: a path of a process is one of its own.
struct Tables(Vec<(Option<PathBuf>, Vec<Mount>)>);

impl Tables {
    fn new(proc: &Path) -> Self {
        let own = proc.join("self");
        let mut tables = Tables(Vec::new());
        tables.read(&own, fs::read_link(own.join("ns/mnt")).ok());
        tables
    }

    fn read(&mut self, face: &Path, namespace: Option<PathBuf>) -> usize {
        let table = mounts_of(&face.join("mountinfo")).unwrap_or_default();
        self.0.push((namespace, table));
        self.0.len() - 1
    }

    /// Which of them is that of a process.
    fn of(&mut self, face: &Path) -> usize {
        // Kernels without namespaces have no such links.
        let Ok(namespace) = fs::read_link(face.join("ns/mnt")).map(Some) else {
            return 0;
        };
        let known = self.0.iter().position(|(other, _)| *other == namespace);
        known.unwrap_or_else(|| self.read(face, namespace))
    }

    /// Whether a file may be asked for.
    fn may_ask(&self, table: usize, path: &Path) -> bool {
        path.components().any(|part| part.as_os_str() == "dev")
            || !mount_of(&self.0[table].1, path).is_some_and(|mount| is_remote(&mount.fs))
    }
}

struct Scan<'a> {
    tables: Tables,
    wanted: &'a dyn Fn(&Identity<'_>) -> bool,
    found: Vec<Holder>,
    /// The first thing that could not be read.
    unread: Option<Holder>,
}

impl Scan<'_> {
    /// The error is the first thing of this process that cannot be read; the rest is looked at all the same.
    fn process(&mut self, dir: &Path, owner: &Process) -> Result<(), Holder> {
        let before = self.found.len();
        let faces = match owner.faces(dir) {
            Ok(faces) => faces,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(Holder::unread(&dir.join("task"), error)),
        };
        let mut unread = Ok(());
        for (index, face) in faces.iter().enumerate() {
            let known = self.found.len();
            // Threads share their memory.
            unread = unread.and(self.face(face, owner, index == 0));
            // Mostly they share the rest, too.
            let new = self.found.split_off(known);
            for kind in new {
                if !self.found[before..].contains(&kind) {
                    self.found.push(kind);
                }
            }
        }
        unread
    }

    fn face(&mut self, dir: &Path, owner: &Process, mapped: bool) -> Result<(), Holder> {
        let (pid, comm) = (owner.pid, named(owner));
        let table = self.tables.of(dir);
        let mut unread = Ok(());
        let mut note = |what: &Path, error: io::Error| {
            if unread.is_ok() && !is_gone(&error) {
                unread = Err(Holder::unread(what, error));
            }
        };
        let mut hit = |link: &Path| {
            self.hit(link, table).unwrap_or_else(|error| {
                note(link, error);
                None
            })
        };
        let cwd = hit(&dir.join("cwd"));
        let root = hit(&dir.join("root"));
        let files = dir.join("fd");
        let mut open = Vec::new();
        let mut closed = None;
        match fs::read_dir(&files) {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => open.extend(hit(&entry.path())),
                        Err(error) => closed = Some(error),
                    }
                }
            }
            Err(error) => closed = Some(error),
        }
        if let Some(error) = closed {
            note(&files, error);
        }
        let maps = dir.join("maps");
        let text = match mapped {
            true => fs::read(&maps).unwrap_or_else(|error| {
                note(&maps, error);
                Vec::new()
            }),
            false => Vec::new(),
        };
        let mapped = self.mapped(&text, &dir.join("root"), table);
        let name = || comm.clone();
        let found = &mut self.found;
        found.extend(cwd.map(|path| Holder::Cwd {
            pid,
            comm: name(),
            path,
        }));
        found.extend(root.map(|path| Holder::Root {
            pid,
            comm: name(),
            path,
        }));
        found.extend(open.into_iter().map(|path| Holder::OpenFile {
            pid,
            comm: name(),
            path,
        }));
        found.extend(mapped.into_iter().map(|path| Holder::MappedText {
            pid,
            comm: name(),
            path,
        }));
        unread
    }

    /// The path behind a link of `/proc/PID`, where it is wanted.
    fn hit(&self, link: &Path, table: usize) -> io::Result<Option<String>> {
        let path = fs::read_link(link)?;
        let (on, node) = match self.tables.may_ask(table, &path) {
            // Through the link, so that deleted files and other namespaces count.
            true => identity(link)?,
            false => ((0, 0), None),
        };
        let identity = Identity { on, node, path: &path };
        Ok((self.wanted)(&identity).then(|| shown(&path)))
    }

    /// The files that are wanted and mapped.
    fn mapped(&self, maps: &[u8], root: &Path, table: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut last: Option<PathBuf> = None;
        for (on, path) in maps.split(|byte| *byte == b'\n').filter_map(parse_map) {
            // One library is mapped in several pieces, one after the other.
            if last.as_deref() != Some(path) {
                let below = root.join(path.strip_prefix("/").unwrap_or(path));
                // A block device may be mapped and closed; the table has the file system of its node then.
                let asked = self.tables.may_ask(table, path).then(|| identity(&below).ok());
                let node = asked.flatten().and_then(|(_, node)| node);
                if (self.wanted)(&Identity { on, node, path }) {
                    found.push(shown(path));
                }
            }
            last = Some(path.to_owned());
        }
        found
    }
}

/// The device that a file's file system is on; and of a device node, whether it is a block device, and its numbers.
fn identity(path: &Path) -> io::Result<(Numbers, Option<(bool, Numbers)>)> {
    let (on, mode, node) = match sys::statx_cached(path) {
        Ok(cached) => (cached.on, cached.mode, cached.node),
        // An older kernel; or an error, which is the same then.
        Err(_) => {
            let about = fs::metadata(path)?;
            (numbers(about.dev()), about.mode(), numbers(about.rdev()))
        }
    };
    let node = match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFBLK => Some((true, node)),
        SFlag::S_IFCHR => Some((false, node)),
        _ => None,
    };
    Ok((on, node))
}

/// The state is worth more to the reader than the bare name, so "(name)" carries it where it matters.
fn named(owner: &Process) -> String {
    let comm = shown(&owner.comm);
    match owner.state {
        'D' => format!("{comm}, in uninterruptible sleep"),
        _ => comm,
    }
}

/// `address perms offset dev inode path`, the device in hexadecimal; inode 0 is memory of no file.
fn parse_map(line: &[u8]) -> Option<(Numbers, &Path)> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let (major, minor) = std::str::from_utf8(fields.nth(3)?).ok()?.split_once(':')?;
    let inode = fields.next()?;
    let path = fields.next()?.trim_ascii_start();
    let device = (
        u32::from_str_radix(major, 16).ok()?,
        u32::from_str_radix(minor, 16).ok()?,
    );
    (inode != b"0" && !path.is_empty()).then_some((device, Path::new(OsStr::from_bytes(path))))
}

/// Mounts that only another namespace has. One line a namespace is enough, and reading a table is not cheap.
pub(crate) fn foreign_mounts(proc: &Path, own: &[Mount], wanted: &dyn Fn(&Mount) -> bool) -> Vec<Holder> {
    // A kernel without namespaces has no such links; then all are the same.
    let namespace = |dir: &Path| match fs::read_link(dir.join("ns/mnt")) {
        Ok(link) => Ok(Some(link)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    };
    let mut seen: Vec<_> = namespace(&proc.join("self")).into_iter().collect();
    let mut found = Vec::new();
    let mut unread = None;
    for pid in others(proc) {
        let Some(owner) = process(proc, pid).filter(Process::is_alive) else {
            continue;
        };
        let dir = proc.join(pid.to_string());
        // That they cannot be listed is told by `scan_processes`, which lists them too.
        for face in owner.faces(&dir).unwrap_or_default() {
            // One whose namespace is not shown may be in any.
            let namespace = namespace(&face).ok();
            // In a chroot our own table lacks what is mounted outside of it (`show_mountinfo`, fs/proc_namespace.c).
            if pid != 1 && namespace.as_ref().is_some_and(|it| seen.contains(it)) {
                continue;
            }
            let path = face.join("mountinfo");
            let table = match mounts_of(&path) {
                Ok(table) => table,
                // Another process of the namespace may still show it.
                Err(error) => {
                    let alive = process(proc, pid).is_some_and(|process| process.is_alive());
                    if !is_gone(&error) && alive && unread.is_none() {
                        unread = Some(Holder::unread(&path, error));
                    }
                    continue;
                }
            };
            seen.extend(namespace);
            for mount in table
                .iter()
                .filter(|mount| wanted(mount) && !own.iter().any(|other| other.id == mount.id))
            {
                found.push(Holder::ForeignMount {
                    pid,
                    comm: shown(&owner.comm),
                    mountpoint: shown(&mount.mountpoint),
                });
            }
        }
    }
    found.extend(unread);
    found
}

fn others(proc: &Path) -> Vec<u32> {
    let me = std::process::id();
    pids(proc).into_iter().filter(|&pid| pid != me).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_lines_are_decoded() {
        assert_eq!(
            parse_map(b"0-1 r-xp 0 1f:02 12    /a b"),
            Some(((31, 2), Path::new("/a b")))
        );
        assert_eq!(parse_map(b"0-1 r-xp 0 00:00 0 [heap]"), None);
    }
}
