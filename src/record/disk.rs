//! A file `flasher.record` in the top directory of a disk. Only one that is there already is written: whoever makes it
//! says by that that the disk may be used. A stick that somebody brings along is no place for it: what its owner was on another
//! machine says nothing here, and what it says would decide which version counts as old.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::files::Directory;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NAME: &str = "flasher.record";
/// Bytes; beyond that it is begun anew.
const LONGEST: u64 = 64 << 10;
/// For a disk to take the record: one that is frozen or gone must not keep process 1.
const PATIENCE: Duration = Duration::from_secs(5);

/// The mount points of the disks that have one. One that does not answer has none: the way to it may lead over a server
/// that has gone.
pub fn disks() -> Vec<PathBuf> {
    let mut disks = stages::own_disks();
    disks.retain(|disk| {
        let disk = disk.clone();
        // Only to be read: on a file system that is frozen an open for writing does not come back.
        patiently(move || open(&disk, false).map(drop).ok_or(io::ErrorKind::NotFound.into())).is_ok()
    });
    disks
}

fn patiently(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    stages::within(PATIENCE, Box::new(work))
}

/// The file, if nobody but root can have made it or given it its name, and nobody else can write it: a link could name any
/// file.
fn open(disk: &Path, append: bool) -> Option<File> {
    Directory::open(disk).ok()?;
    let file = File::options()
        .read(true)
        .append(append)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(disk.join(NAME))
        .ok()?;
    let about = file.metadata().ok()?;
    let roots_alone = about.uid() == 0 && about.mode() & 0o022 == 0;
    (about.is_file() && roots_alone && about.nlink() == 1).then_some(file)
}

/// Whether one of them can be written, as far as the kernel says without being asked to write.
pub fn can_keep() -> bool {
    disks().into_iter().any(|disk| patiently(move || takes(&disk)).is_ok())
}

/// The kernel makes a file system read-only, too, when it finds it damaged.
fn takes(disk: &Path) -> io::Result<()> {
    match statvfs(disk)?.flags().contains(FsFlags::ST_RDONLY) {
        true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        false => Ok(()),
    }
}

/// Appends the record on each of them; `false` where there is no such file.
pub fn save(text: &str) -> Result<bool> {
    save_on(&disks(), text)
}

/// A disk that takes nothing keeps the record from no other.
fn save_on(disks: &[PathBuf], text: &str) -> Result<bool> {
    let (mut kept, mut failed) = (false, Ok(false));
    for disk in disks {
        let (to, line) = (disk.clone(), format!("\n{text}\n"));
        match patiently(move || append(&to, &line)).context(disk.display()) {
            Ok(()) => kept = true,
            Err(failure) => failed = failed.and(Err(failure)),
        }
    }
    if kept { Ok(true) } else { failed }
}

fn append(disk: &Path, line: &str) -> io::Result<()> {
    let mut file = open(disk, true).ok_or(io::ErrorKind::NotFound)?;
    if file.metadata()?.len() > LONGEST {
        file.set_len(0)?;
    }
    // A line that a power cut left unfinished is ended first.
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// The last record of each of them that is whole.
pub fn load() -> Vec<String> {
    load_from(&disks())
}

fn load_from(disks: &[PathBuf]) -> Vec<String> {
    let found = Arc::new(Mutex::new(Vec::new()));
    for disk in disks {
        let (disk, found) = (disk.clone(), Arc::clone(&found));
        // What cannot be read has none.
        let _ = patiently(move || {
            let last = last(&disk)?;
            if let Ok(mut found) = found.lock() {
                found.extend(last);
            }
            Ok(())
        });
    }
    found
        .lock()
        .map(|mut found| std::mem::take(&mut *found))
        .unwrap_or_default()
}

fn last(disk: &Path) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    let file = open(disk, false).ok_or(io::ErrorKind::NotFound)?;
    file.take(2 * LONGEST).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let whole = |line: &&str| line.starts_with('{') && line.ends_with('}');
    Ok(text.lines().rev().find(whole).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_disk_that_takes_or_gives_nothing_keeps_no_other_from_it() {
        // The file is root's.
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let disks = ["bad", "one", "two"].map(|name| dir.path().join(name));
        for disk in &disks {
            std::fs::create_dir(disk).unwrap();
        }
        assert!(save_on(&disks[..1], "{}").is_err(), "there is no file");
        for disk in &disks[1..] {
            File::create_new(disk.join(NAME)).unwrap();
        }
        assert!(save_on(&disks, "{1}").unwrap());
        assert_eq!(load_from(&disks), ["{1}", "{1}"]);
        assert!(save_on(&disks[2..], "{2}").unwrap());
        assert_eq!(load_from(&disks), ["{1}", "{2}"], "which is newer they say themselves");
        assert!(!save_on(&[], "{}").unwrap());
    }

    #[test]
    fn a_disk_that_is_mounted_read_only_keeps_nothing() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(takes(dir.path()).is_ok());
        // Its mount is another process's own, which ends with its input.
        let mut other = Command::new("unshare")
            .args([
                "-m",
                "sh",
                "-ec",
                "mount -t tmpfs -o ro none \"$1\"; echo; read end",
                "sh",
            ])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mounted = other.stdout.as_mut().unwrap().read(&mut [0]).unwrap();
        let there = format!("/proc/{}/root{}", other.id(), dir.path().display());
        let error = takes(Path::new(&there)).unwrap_err();
        drop(other.stdin.take());
        other.wait().unwrap();
        assert_eq!((mounted, error.kind()), (1, io::ErrorKind::ReadOnlyFilesystem));
    }
}
