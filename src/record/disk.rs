//! A file `flasher.record` in the top directory of a disk. Only one that is there already is written: whoever makes it
//! says by that that the disk may be used. A stick that somebody brings along is no place for it: what its owner was on another
//! machine says nothing here, and what it says would decide which version counts as old.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::files::Directory;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
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

/// Appends the record; `false` where there is no such file.
pub fn save(text: &str) -> Result<bool> {
    let mut kept = false;
    for disk in disks() {
        let (to, line) = (disk.clone(), format!("\n{text}\n"));
        patiently(move || append(&to, &line)).context(disk.display())?;
        kept = true;
    }
    Ok(kept)
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

/// The last record that is whole.
pub fn load() -> Option<String> {
    disks().iter().find_map(|disk| {
        let mut text = Vec::new();
        open(disk, false)?.take(2 * LONGEST).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        let whole = |line: &&str| line.starts_with('{') && line.ends_with('}');
        text.lines().rev().find(whole).map(str::to_owned)
    })
}
