//! Whether the files can be kept: the check `keep` of the plan. Touches nothing.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::Result;
use crate::base::files;
use crate::base::format::Format;
use crate::base::lossless;
use crate::base::quoted::Shown;
use crate::base::units::Grouped;
use crate::board::profile::Protection;
use crate::board::{Board, Partition, Protected};
use crate::bytes::store::Store;
use crate::keep::list::{Found, patterns};
use crate::keep::room::{in_ram, mounted_at, room};
use crate::keep::settings::settings;
use crate::keep::{Filesystem, OURS, Place, Request, lists, tar};
use crate::layout::Placed;
use crate::plan::{Check, Form, KeptFile, KeptFiles, Ram, Route, Status, VolumeChanges, Write};
use mtd_rs::{Area, Overlap, PartitionId};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What jffs2 needs beside the bytes, for each page and for each name (`include/uapi/linux/jffs2.h`).
const JFFS2_NODE: u64 = 72;
/// Bytes of a page, of which each has a node.
pub(super) const PAGE: u64 = 4096;

/// What the answer depends on.
pub struct Asked<'a> {
    /// The box.
    pub board: &'a Board,
    /// What the user wants to keep.
    pub request: &'a Request,
    /// Checks that are overridden; if this one is, nothing is kept.
    pub force: &'a [CheckId],
    /// The root of its file system.
    pub root: &'a Path,
    /// The image.
    pub image: &'a Store<'a>,
    /// Its format.
    pub format: Format,
    /// What of it goes where.
    pub placed: &'a [Placed],
    /// What becomes of the volumes of a UBI.
    pub volumes: Option<&'a VolumeChanges>,
    /// Every planned write, those of the environment among them.
    pub writes: &'a [&'a Write],
    /// How the flash is reached.
    pub route: Route,
    /// What RAM the rest of the update needs.
    pub ram: Ram,
}

/// What is kept, and the check about it.
pub type Kept = (Option<KeptFiles>, Option<Check>);

/// What the settings of an OpenWrt box make of it.
pub enum Answer {
    /// This is it.
    Settled(Option<Box<KeptFiles>>, Option<Check>),
    /// Nothing; what is to be said all the same.
    Other(Option<Check>),
}

/// What is kept, and the check about it.
///
/// # Errors
/// A request that cannot be understood.
pub fn kept_files(asked: &Asked<'_>) -> Result<Kept> {
    let to = asked.request.to.as_ref().or(asked.board.profile.keep_to.as_ref());
    // A place that is named is where everything goes.
    let settings = match to {
        Some(_) if !asked.request.nothing => Answer::Other(None),
        _ => settings(asked),
    };
    let remark = match settings {
        Answer::Settled(kept, check) => return Ok((kept.map(|kept| *kept), check)),
        Answer::Other(remark) => remark,
    };
    if asked.request.nothing {
        return Ok((None, remark));
    }
    let (kept, check) = named(asked, to)?;
    Ok((kept, check.or(remark)))
}

/// Files that are kept because somebody named them and a place for them.
fn named(asked: &Asked<'_>, to: Option<&String>) -> Result<Kept> {
    let (lists, unread) = read(lists(asked.board));
    // OpenWrt's lists are on every OpenWrt box, and ask for nothing by themselves.
    let ours = |path: &Path| path == Path::new(OURS);
    let listed = lists.iter().any(|(_, path)| ours(path)) || unread.as_ref().is_some_and(|(_, path)| ours(path));
    let requested = !asked.request.paths.is_empty() || listed;
    if let Some((why, _)) = unread.filter(|_| requested || to.is_some()) {
        let check = refuse(why, "mend the list, or take it away");
        return Ok((None, Some(check.forced(asked.force, NOTHING))));
    }
    let Some(to) = to else {
        let check = refuse(
            "nothing says where the kept files go",
            "add --keep-to FS:WHERE, such as --keep-to jffs2:config",
        );
        return Ok((None, requested.then(|| check.forced(asked.force, NOTHING))));
    };
    let place = Place::parse(to)?;
    let found = find(asked.board, asked.request, &lists, &place).and_then(|(kept, losses)| {
        let nothing = kept.files.is_empty();
        if nothing && asked.request.to.is_none() {
            return Ok((None, None));
        }
        // A place that somebody names is looked at although nothing goes there.
        let (kept, check) = fits(asked, &place, kept, &losses)?;
        Ok(match nothing {
            false => (Some(kept), Some(check)),
            true => (None, Some(idle(&kept.to))),
        })
    });
    Ok(match found {
        Ok(kept) => kept,
        Err(check) => (None, Some(check.forced(asked.force, NOTHING))),
    })
}

fn idle(to: &str) -> Check {
    let what = format!("nothing is kept in {to}: neither --keep nor a list names a file that is there");
    Check::warn(CheckId::Keep, what)
}

/// The bytes of a list and its path.
type List = (Vec<u8>, PathBuf);

/// The texts of the lists that are there, and why the first of those that cannot be read cannot: it may name files that would be
/// lost.
fn read(paths: Vec<PathBuf>) -> (Vec<List>, Option<(String, PathBuf)>) {
    let (mut texts, mut unread) = (Vec::new(), None);
    for path in paths {
        match files::read(&path, files::TEXT) {
            Ok(text) => texts.push((text, path)),
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            Err(error) => {
                let why = format!("the keep list {} cannot be read: {error}", path.display());
                unread.get_or_insert((why, path));
            }
        }
    }
    (texts, unread)
}

/// What it means to force this check.
pub(super) const NOTHING: &str = " (forced: nothing is kept)";

pub(super) type Checked<T> = std::result::Result<T, Box<Check>>;

pub(super) fn refuse(why: impl Into<String>, remedy: &str) -> Check {
    Check::fail(CheckId::Keep, why, remedy).forceable()
}

pub(super) fn refused<T>(why: impl Into<String>, remedy: &str) -> Checked<T> {
    Err(Box::new(refuse(why, remedy)))
}

/// What the lists and the command line name, as the tar will have it.
fn find(board: &Board, request: &Request, lists: &[List], place: &Place<'_>) -> Checked<(KeptFiles, String)> {
    let mtd = board.device(place.on.as_ref()).ok();
    // A path below the place's own mount point means the same file there.
    let mounted = match place.known() {
        Some(Filesystem::Raw) => None,
        _ if board.is_sim() => None,
        _ => mounted_at(place, mtd).map_err(|error| unseen(place, &error))?,
    };
    let mounted = mounted.map(|at| lossless::of(&at)).filter(|at| at != "/");
    let mounted = mounted.as_deref();
    let rename = |path: &str| match mounted.and_then(|mounted| path.strip_prefix(mounted)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/').to_owned(),
        _ => format!("{}{path}", place.directory).trim_start_matches('/').to_owned(),
    };
    let mut found = Found::default();
    let named = request.paths.iter().map(|path| (path.clone(), true));
    let listed = lists
        .iter()
        .flat_map(|(text, _)| patterns(text))
        .map(|path| (path, false));
    for (pattern, must) in named.chain(listed) {
        let shown = Shown(&pattern);
        match found.add(&pattern, &rename) {
            Ok(false) if must => return refused(format!("there is no {shown}"), "name what is there"),
            Ok(_) => (),
            Err(error) => return refused(format!("{shown}: {error}"), "mend the keep list"),
        }
    }
    let mut bytes = tar::END;
    for item in &found.items {
        let head = tar::head(item);
        if head.bytes().is_none() {
            return refused(
                format!("{} is too long for a tar, or its name is", Shown(&item.name)),
                "leave it out",
            );
        }
        bytes += head.measure();
    }
    let losses = found.losses();
    let source = match mtd.map(|partition| (partition, partition.id)) {
        // As `mount -t ubifs` calls it.
        Some((partition, PartitionId::Volume { .. })) => partition.name.clone(),
        Some((_, id)) if place.known().is_some() => id.to_string(),
        Some((_, PartitionId::Mtd(index))) => format!("/dev/mtdblock{index}"),
        None => place.on.to_owned(),
    };
    let keeping = KeptFiles {
        to: match place.directory {
            "" => format!("{}:{}", place.fs, place.on),
            directory => format!("{}:{},{directory}", place.fs, place.on),
        },
        source,
        bytes,
        form: Form::Files,
        files: found.items,
        write: None,
    };
    Ok((keeping, losses))
}

/// Where the files go cannot be looked at, so that nobody knows whether they would get there.
fn unseen(place: &Place<'_>, error: &io::Error) -> Check {
    refuse(
        format!("{}:{} cannot be looked at: {error}", place.fs, place.on),
        "keep to a place that is there; --force=keep goes on and keeps nothing",
    )
}

/// Whether the place exists, is free, and has room; and whether the RAM has.
fn fits(asked: &Asked<'_>, place: &Place<'_>, mut keeping: KeptFiles, losses: &str) -> Checked<(KeptFiles, Check)> {
    let board = asked.board;
    let mtd = board.device(place.on.as_ref());
    let room = match (place.known(), &mtd) {
        (Some(Filesystem::Raw), Err(why)) => return refused(why, "flasher devices lists the partitions"),
        (Some(Filesystem::Raw), Ok(partition)) => Some(raw(asked, partition, &mut keeping)?),
        _ if board.is_sim() => return refused("a simulated box has no file systems", "keep to raw:PARTITION"),
        (known, mtd) => {
            if !kernel_has(place.fs) {
                return refused(format!("the kernel knows no {}", place.fs), "load its module first");
            }
            match (mtd, known) {
                (Ok(partition), _) => mountable(asked, place.fs, partition)?,
                (Err(why), Some(_)) => return refused(why, "flasher devices lists the partitions"),
                (Err(_), None) => (),
            }
            // A name that the kernel has no node for could not be mounted when the old firmware is gone.
            if keeping.source.starts_with('/') {
                fs::metadata(&keeping.source).map_err(|error| unseen(place, &error))?;
            }
            match keeping.files.is_empty() {
                // What needs no room asks for none: the image would be read for that.
                true => None,
                false => room(asked, place, mtd.as_ref().ok().copied()).map_err(|error| unseen(place, &error))?,
            }
        }
    };
    let needed = match place.known() {
        Some(Filesystem::Raw) => keeping.bytes,
        Some(Filesystem::Jffs2) => sum(&keeping, |item| {
            item.size + (item.size / PAGE + 2) * JFFS2_NODE + item.name.len() as u64
        }),
        _ => sum(&keeping, |item| item.size.next_multiple_of(PAGE) + PAGE),
    };
    if let Some(room) = room.filter(|room| *room < needed) {
        return refused(
            format!(
                "the kept files need {} bytes in {}, where {} are free",
                Grouped(needed),
                keeping.to,
                Grouped(room)
            ),
            "keep less",
        );
    }
    in_ram(asked, keeping.bytes)?;
    let mut check = Check::pass(
        CheckId::Keep,
        format!("{}, are kept in {}", keeping.summary(), keeping.to),
    );
    if room.is_none() {
        warn(&mut check, ", whose free room is not known before it is mounted");
    }
    warn(&mut check, losses);
    Ok((keeping, check))
}

/// Goes on with this, if it is anything, and makes a warning of it.
pub(super) fn warn(check: &mut Check, more: &str) {
    if !more.is_empty() {
        check.status = Status::Warn;
        check.text.push_str(more);
    }
}

fn sum(keeping: &KeptFiles, each: impl Fn(&KeptFile) -> u64) -> u64 {
    keeping.files.iter().map(each).sum()
}

pub(super) fn kernel_has(fs: &str) -> bool {
    fs::read_to_string("/proc/filesystems")
        .is_ok_and(|text| text.lines().any(|line| line.split_whitespace().last() == Some(fs)))
}

/// The tar as a write of its own, from the partition's beginning. Answers the room in bytes.
fn raw(asked: &Asked<'_>, partition: &Partition, keeping: &mut KeptFiles) -> Checked<u64> {
    let board = asked.board;
    let label = partition.label();
    let record = board.record_partition().is_some_and(|record| record.id == partition.id);
    let protected = !board.protected(&board.map.whole(partition.id)).is_empty();
    let in_slot = board.profile.slots.iter().any(|slot| {
        let mut parts = board.partitions.iter().filter(|other| slot.has(&other.name));
        parts.any(|other| {
            board
                .map
                .overlap(&board.map.whole(other.id), &board.map.whole(partition.id))
                != Overlap::No
        })
    });
    let taken = written(asked, partition) || record || protected || in_slot;
    if taken || !partition.writable || !board.is_aligned(partition) {
        return refused(
            format!("{label} is written by the update, protected, one of a slot, or read-only"),
            "keep to another partition",
        );
    }
    if asked.route == Route::InPlace && !board.is_sim() {
        match board.holders(&[partition.id]) {
            Ok(held) if held.is_empty() => (),
            Ok(held) => return refused(format!("{label} is in use: {}", held[0]), "end that use"),
            Err(failure) => return refused(failure.to_string(), "end that use"),
        }
    }
    let write = Write::new(partition.into(), &partition.geometry, 0, 0..keeping.bytes);
    keeping.write = Some(write);
    Ok(partition.capacity())
}

/// Whether the update writes bytes of this partition, or may.
fn written(asked: &Asked<'_>, partition: &Partition) -> bool {
    let map = &asked.board.map;
    let whole = map.whole(partition.id);
    asked.writes.iter().any(|write| {
        let area = Area {
            id: write.to.id,
            range: write.range.clone(),
        };
        map.overlap(&area, &whole) != Overlap::No
    })
}

/// A partition that the kernel cut out of what is written lies elsewhere in the new firmware: a mount would write into
/// the middle of it (`drivers/mtd/mtdsplit` of OpenWrt; Synology's and QNAP's tables are fixed). So it would into a boot loader:
/// JFFS2 erases what it takes for dirty blocks. Settings that are a file system of their own are no worse off for another file.
fn mountable(asked: &Asked<'_>, fs: &str, partition: &Partition) -> Checked<()> {
    let label = partition.label();
    let board = asked.board;
    let map = &board.map;
    let overlaps = asked
        .writes
        .iter()
        .filter(|write| write.to.id != partition.id)
        .any(|write| map.overlap(&map.whole(write.to.id), &map.whole(partition.id)) != Overlap::No);
    let known = board.profile.partition(&partition.name);
    let moves = known.is_some_and(|known| known.moves) || known.is_none() && partition.name == "rootfs_data";
    let mut protected = board.protected(&map.whole(partition.id)).into_iter();
    let protected =
        protected.find(|protected| protected.id != Some(partition.id) || protected.keep != Protection::Settings);
    if let Some(Protected {
        keep, label: protected, ..
    }) = protected
    {
        return refused(
            format!("{label} has, or may have, bytes of {protected}: {}", keep.explain()),
            "keep to another partition or to a disk",
        );
    }
    // `ext` is the word for ext2, ext3 and ext4.
    let mut brought = asked
        .placed
        .iter()
        .filter(|placed| (placed.write.to.id, placed.write.range.start) == (partition.id, 0));
    let other = brought.find(|placed| {
        let source = &placed.write.source;
        match &placed.content {
            Some(content) => !fs.starts_with(content.format.as_str()),
            // JFFS2 takes blank flash for an empty one.
            None => fs != "jffs2" || asked.image.past(source.clone(), 0xff).ok() != Some(source.end),
        }
    });
    if other.is_some() {
        return refused(
            format!("the image brings no {fs} for {label}"),
            "keep to another partition or to a disk",
        );
    }
    match overlaps || moves {
        true => refused(
            format!("where {label} lies depends on the image that is written"),
            "keep to another partition or to a disk",
        ),
        false if !partition.writable => refused(format!("{label} is read-only"), "keep to another partition"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_list_that_cannot_be_read_is_not_one_that_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let [good, missing, latin1, bad] = ["good", "missing", "latin1", "more"].map(|name| dir.path().join(name));
        fs::write(&good, "/etc/passwd\n").unwrap();
        fs::write(&latin1, b"# f\xfcr mich\n/etc/shadow\n").unwrap();
        fs::create_dir(&bad).unwrap();
        let (texts, unread) = read(vec![good.clone(), missing, latin1]);
        assert_eq!((texts.len(), unread), (2, None), "names are bytes");
        let (texts, unread) = read(vec![bad.clone(), good]);
        let (why, path) = unread.unwrap();
        assert_eq!((texts.len(), path), (1, bad));
        assert!(why.contains("cannot be read"), "{why}");
    }
}
