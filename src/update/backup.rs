//! Copies of partitions: a file for each, with their checksums beside them.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Result};
use crate::base::files::{self, Directory, Readers, put};
use crate::base::lossless;
use crate::base::phase::Phase;
use crate::base::quoted::Quoted;
use crate::base::units::{Count, hex};
use crate::board::{Board, Partition};
use crate::bytes::store::Store;
use crate::image::backup::{self, SUMS, file_name, listing};
use crate::plan::told::number;
use crate::report::Reporter;
use mtd_rs::Flash;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// In the directory while copies are made: those that are there meanwhile are of a backup that is not finished.
const UNFINISHED: &str = ".flasher-unfinished";

/// Second readings of a piece until two are alike.
const TRIES: u32 = 4;

/// What a backup came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of all copies, those that were there before included.
    pub size: u64,
    /// The partitions whose copies were there before, and are kept.
    pub kept: Vec<String>,
}

impl Copied {
    /// What is kept, as the end of a sentence; nothing where all is new.
    pub fn keeps(&self) -> String {
        let names: Vec<_> = self.kept.iter().map(|name| Quoted(name).to_string()).collect();
        match names.is_empty() {
            true => String::new(),
            false => format!(
                "; it has copies of {} already, which are kept as they are",
                names.join(", ")
            ),
        }
    }
}

/// What a backup of everything copies, and the names of what it leaves out: devices that are disks by their size, not flash.
pub fn everything<'b>(board: &'b Board, reporter: &mut Reporter) -> (Vec<&'b Partition>, Vec<String>) {
    // Volumes are in the copies of what they lie on.
    let devices = board.partitions.iter().filter(|partition| partition.volume.is_none());
    let (disks, flash): (Vec<_>, Vec<_>) = devices.partition(|partition| partition.geometry.has_too_many_blocks());
    for disk in &disks {
        reporter.warning(format_args!(
            "{} is left out of the backup: it has more erase blocks than any flash; flasher backup --part {} copies it",
            disk.label(),
            disk.id
        ));
    }
    (flash, disks.iter().map(|disk| disk.name.clone()).collect())
}

/// Copies these partitions into the directory and lists them in `SHA256SUMS`. A copy that the list has already is kept: the same
/// command a second time, after an update that failed, would put a mixture in the place of the only copy of the old firmware.
///
/// # Errors
/// Flash that cannot be read, a directory that cannot be written, and one that has copies of another box, damaged ones, or such that
/// no list vouches for.
pub fn copy(board: &Board, partitions: &[&Partition], dir: &Path, reporter: &mut Reporter) -> Result<Copied> {
    let into = Directory::make(dir).and_then(not_shared).map_err(|error| {
        Failure::system(error).hint(
            "name a directory that only root can write; one that is not there is made. A stick with FAT or NTFS is root's alone \
             when it is mounted with -o umask=077",
        )
    })?;
    let mut sums = listed(&into)?;
    let mut copied = Copied::default();
    let mut wanted = Vec::new();
    for partition in partitions {
        let name = file_name(number(partition.id), &partition.name);
        match sums.iter().find(|(_, listed)| *listed == name) {
            Some((sum, _)) => {
                copied.size += is_whole(&into, &name, sum, partition)?;
                copied.kept.push(partition.name.clone());
            }
            None => {
                not_of_another(dir, &name, &sums)?;
                wanted.push((partition, name));
            }
        }
    }
    let marker = OsStr::new(UNFINISHED);
    let unfinished = into.has(marker);
    if !unfinished
        && let Some((_, name)) = wanted
            .iter()
            .find(|(_, name)| into.has(lossless::path(name).as_os_str()))
    {
        return Err(another(format_args!(
            "{} is there already, and {SUMS} does not list it",
            dir.join(lossless::path(name)).display()
        )));
    }
    if wanted.is_empty() {
        return Ok(copied);
    }
    if !unfinished {
        into.create(marker).map_err(Failure::system)?;
    }
    let total: u64 = wanted.iter().map(|(partition, _)| partition.capacity()).sum();
    let mut done = 0;
    for (partition, name) in wanted {
        let mut sum = String::new();
        put(&into, lossless::path(&name).as_os_str(), Readers::Owner, &mut |file| {
            sum = read_out(board, partition, file, &mut |bytes| {
                done += bytes;
                reporter.progress(Phase::Copying, done, total);
            })?;
            Ok(())
        })?;
        sums.push((sum, name));
    }
    copied.size += done;
    let text: String = sums.iter().map(|(sum, name)| format!("{sum}  {name}\n")).collect();
    put(&into, OsStr::new(SUMS), Readers::Owner, &mut |file| {
        file.write_all(&lossless::bytes(&text)).context(SUMS)
    })?;
    into.remove(marker).map_err(Failure::system)?;
    Ok(copied)
}

/// Where everybody may make files, somebody else's could be among those of the backup when it is restored.
fn not_shared(directory: Directory) -> io::Result<Directory> {
    match directory.is_shared() {
        false => Ok(directory),
        true => Err(io::Error::other(format!(
            "{}: others can make files in it",
            directory.path().display()
        ))),
    }
}

/// A copy of the same number that is called otherwise is another box's, or this one's with other partitions: with both nothing could
/// be restored.
fn not_of_another(dir: &Path, name: &str, sums: &[(String, String)]) -> Result<()> {
    let wanted = backup::number(name);
    match sums.iter().find(|(_, listed)| backup::number(listed) == wanted) {
        None => Ok(()),
        Some((_, listed)) => Err(another(format_args!(
            "{} is a copy of the same number as {}, and of another partition",
            dir.join(lossless::path(listed)).display(),
            Quoted(name)
        ))),
    }
}

fn another(what: impl std::fmt::Display) -> Failure {
    Failure::system(format_args!("{what}: a backup is never overwritten")).hint("name another directory for this one")
}

/// Sums and names of the copies that are there.
fn listed(dir: &Directory) -> Result<Vec<(String, String)>> {
    let path = dir.path().join(SUMS);
    let text = match dir.read(OsStr::new(SUMS), files::TEXT) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::system(error)),
    };
    let all: Option<Vec<_>> = listing(&text).collect();
    all.ok_or_else(|| another(format_args!("{} is not a list of checksums", path.display())))
}

/// How long a copy is that is what its list says and, so far as that can be told by its length, one of this partition: a volume
/// may have held less at that time.
fn is_whole(dir: &Directory, name: &str, sum: &str, partition: &Partition) -> Result<u64> {
    let name = lossless::path(name);
    let path = dir.path().join(&name);
    let store = dir
        .file(name.as_os_str())
        .and_then(Store::file)
        .context(path.display())?;
    let capacity = partition.capacity();
    if store.len() > capacity || partition.volume.is_none() && store.len() != capacity {
        return Err(another(format_args!(
            "{} is a copy of another partition",
            path.display()
        )));
    }
    match store.sha256(&mut |_| ()).context(path.display())? == sum {
        true => Ok(store.len()),
        false => Err(another(format_args!("{} is not what {SUMS} lists", path.display()))),
    }
}

/// Reads the good blocks, as far as there is content, and answers their SHA-256. A static volume of UBI's may hold less than it has
/// room for, and cannot be read beyond that.
///
/// # Errors
/// Flash that cannot be read or corrected, and a file that cannot be written.
pub fn read_out(
    board: &Board,
    partition: &Partition,
    file: &mut File,
    progress: &mut dyn FnMut(u64),
) -> Result<String> {
    let mut flash = board.open(partition)?;
    let mut hash = Sha256::new();
    let (mut buffer, mut again) = (vec![0; 16 << 10], Vec::new());
    let before = flash.ecc_stats().map_err(Failure::system)?;
    let holds = flash.holds().unwrap_or(u64::MAX);
    for block in partition.good_blocks() {
        let end = block.end.min(holds).max(block.start);
        let mut at = block.start;
        while at < end {
            let take = (end - at).min(buffer.len() as u64) as usize;
            let buffer = &mut buffer[..take];
            flash.read(at, buffer).map_err(Failure::system)?;
            if before.is_none() {
                read_alike(&mut *flash, at, buffer, &mut again)?;
            }
            hash.update(&*buffer);
            file.write_all(buffer).map_err(|error| {
                Failure::system(format_args!("the copy of {}: {error}", partition.label()))
                    .hint("make room there, name another directory, or copy less with --part")
            })?;
            at += take as u64;
            progress(take as u64);
        }
        progress(block.end - end);
    }
    let after = flash.ecc_stats().map_err(Failure::system)?;
    let (before, after) = (before.map(|stats| stats.failed), after.map(|stats| stats.failed));
    if before == after {
        return Ok(hex(&hash.finalize()));
    }
    // Counters that are there at one of the two times only vouch for nothing.
    let wrong = match before.zip(after) {
        Some((before, after)) => Count(after.wrapping_sub(before).into(), "page").to_string(),
        None => "perhaps some pages".to_owned(),
    };
    Err(Failure::system(format_args!(
        "{}: {wrong} read with errors that ECC could not correct, so this is not a copy of what was written",
        partition.label()
    ))
    .hint("flasher devices shows the counters; --part leaves this partition out"))
}

/// What was read where no ECC vouches for it has to read the same again: a bit that flipped on its way would come back with a copy
/// that nobody can hold against anything later.
fn read_alike(flash: &mut dyn Flash, at: u64, buffer: &mut [u8], again: &mut Vec<u8>) -> Result<()> {
    for _ in 0..TRIES {
        again.resize(buffer.len(), 0);
        flash.read(at, again).map_err(Failure::system)?;
        if *again == buffer {
            return Ok(());
        }
        log::warn!("{}: 0x{at:x} read differently; trying again", flash.label());
        buffer.copy_from_slice(again);
    }
    Err(Failure::system(format_args!(
        "{}: 0x{at:x} reads differently each time, so this is not a copy of what is there",
        flash.label()
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::board::selector::Where;
    use crate::board::{Backend, sim};
    use mtd_rs::Fault;
    use std::fs;

    #[test]
    fn a_bit_that_flips_on_its_way_is_in_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("box");
        sim::create("generic", &at).unwrap();
        let board = Board::discover(&Where {
            sim: Some(at),
            board: None,
        })
        .unwrap();
        let Backend::Sim(backend) = &board.backend else {
            panic!("a simulated box");
        };
        let (bit, times) = (3, 1);
        for offset in [5, 0x1_2345] {
            backend.chip().inject(Fault::FlipOnRead { offset, bit, times });
        }
        let path = dir.path().join("copy");
        let partition = &board.partitions[0];
        read_out(&board, partition, &mut File::create(&path).unwrap(), &mut |_| ()).unwrap();
        let copy = fs::read(path).unwrap();
        assert!(copy.len() as u64 == partition.geometry.size && copy.iter().all(|byte| *byte == 0xff));
    }
}
