//! Files of the user's that outlive the update: listed and measured in the plan, saved into RAM as a tar before anything is
//! stopped, put into the new firmware when it is written and verified, and read back.
//!
//! Where they go says a *place*, `FS:WHERE[,DIRECTORY]`: `jffs2:config`, `raw:spare`, `ext4:/dev/sda1`,
//! `ubifs:ubi0:rootfs_data,upper`. `raw` is the tar itself in a partition, written by the engine as everything else;
//! the others are file systems that are mounted for it. The new firmware is good whatever becomes of the files.

#![forbid(unsafe_code)]

mod behind;
mod check;
mod jffs2;
mod list;
mod openwrt;
mod put;
mod room;
mod services;
mod settings;
mod tar;

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::files;
use crate::base::files::{Directory, Readers};
use crate::base::outcome::{Fate, KeptState};
use crate::base::quoted::{Quoted, Shown};
use crate::base::units::hex;
use crate::base::words::words;
use crate::board::Board;
use crate::bytes::store::Store;
use crate::plan::{Form, KeptFiles, Write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use check::{Asked, kept_files};

/// The name of the tar in the RAM root, in a simulated box, and beside the partitions of a backup.
const TAR: &str = "keep.tar";
/// Where a tar is left that could not be unpacked, in the file system that was to have the files.
const LEFT: &str = "flasher-keep.tar";

/// Bytes by which packed settings may become longer between the plan and the update.
const SLACK: u64 = 64 << 10;

/// What the user asked to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `--keep`: paths and globs.
    pub paths: Vec<String>,
    /// `--keep-to`.
    pub to: Option<String>,
    /// `--no-keep`.
    pub nothing: bool,
}

/// What is left to do after the update: crosses the hand-off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    to: String,
    source: String,
    sha256: String,
    files: u64,
    form: Form,
    /// For a raw place.
    write: Option<Write>,
    /// Another copy of the tar, made by `--backup`.
    copy: Option<String>,
}

words! {
    /// What is known of how a place takes files. Whatever else the kernel mounts can be one as well.
    pub enum Filesystem {
        /// None: the tar itself is written.
        Raw = "raw",
        /// In a partition, compressed.
        Jffs2 = "jffs2",
        /// In a volume of UBI.
        Ubifs = "ubifs",
    }
}

/// A place, taken apart.
struct Place<'a> {
    /// As the kernel calls it, or a word of ours.
    fs: &'a str,
    on: &'a str,
    directory: &'a str,
}

impl<'a> Place<'a> {
    fn known(&self) -> Option<Filesystem> {
        Filesystem::from_word(self.fs)
    }

    fn parse(text: &'a str) -> Result<Place<'a>> {
        let (at, directory) = text.split_once(',').unwrap_or((text, ""));
        match at.split_once(':') {
            Some((fs, on)) if !fs.is_empty() && !on.is_empty() && !directory.split('/').any(|word| word == "..") => {
                Ok(Place {
                    fs,
                    on,
                    directory: directory.trim_matches('/'),
                })
            }
            _ => Err(Failure::usage(format_args!(
                "kept files go to FS:WHERE[,DIRECTORY], such as jffs2:config or ext4:/dev/sda1, not {}",
                Quoted(text)
            ))
            .hint("flasher help apply")),
        }
    }
}

/// The tar of a box in this directory.
pub fn tar_in(directory: &Path) -> PathBuf {
    directory.join(TAR)
}

/// Saves the files as a tar in `directory`, and a copy of it in that of a backup.
///
/// # Errors
/// Files that cannot be read, or that grew since they were measured; nothing was touched.
pub fn save(kept: &KeptFiles, directory: &Path, backup: Option<&Path>) -> Result<Task> {
    let path = tar_in(directory);
    // Of a run before, on a simulated box.
    let _ = fs::remove_file(&path);
    let mut out = Hashed {
        file: for_owner(&path).context(path.display())?,
        hash: Sha256::new(),
    };
    // What a backup has a copy of, and its name there: the archive, not the file system around it.
    let (name, archive) = match kept.form {
        Form::Files => {
            for file in &kept.files {
                tar::append(file, &mut out).map_err(|error| cannot(format_args!("{}: {error}", Shown(&file.path))))?;
            }
            tar::end(&mut out).context(path.display())?;
            (TAR, None)
        }
        form => {
            let packed = settings::pack(&kept.files, kept.bytes + SLACK).map_err(cannot)?;
            let archive = backup.map(|_| packed.clone());
            let mut bytes = settings::shaped(form, packed);
            if form != Form::Archive && bytes.len() as u64 > kept.bytes {
                return Err(cannot("the settings have become longer since they were measured"));
            }
            if kept.write.is_some() {
                bytes.resize(kept.bytes as usize, 0xff);
            }
            out.write_all(&bytes).context(path.display())?;
            (settings::ARCHIVE, archive)
        }
    };
    let copy = match backup {
        None => None,
        Some(backup) => {
            // It may have keys and passwords in it.
            let into = Directory::make(backup).map_err(Failure::system)?;
            files::put(&into, OsStr::new(name), Readers::Owner, &mut |to| match &archive {
                Some(archive) => to.write_all(archive).context(name),
                None => {
                    let mut tar = File::open(&path).context(path.display())?;
                    io::copy(&mut tar, to).context(name).map(drop)
                }
            })?;
            Some(backup.join(name).display().to_string())
        }
    };
    let task = Task {
        to: kept.to.clone(),
        source: kept.source.clone(),
        sha256: hex(&out.hash.finalize()),
        files: kept.files.len() as u64,
        form: kept.form,
        write: kept.write.clone(),
        copy,
    };
    task.tar(directory)?;
    Ok(task)
}

/// Why the files cannot be kept; nothing was touched.
fn cannot(why: impl std::fmt::Display) -> Failure {
    Failure::system(format_args!("the files cannot be kept: {why}"))
        .hint("try again, or leave what is named out of the keep list")
}

/// A new file, for its owner alone: there may be keys and passwords in it.
fn for_owner(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

struct Hashed {
    file: File,
    hash: Sha256,
}

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Something that is done with the tar below a directory.
type Step = fn(&Store, &Path) -> io::Result<()>;

impl Task {
    /// How the tar is written to a raw place.
    pub fn write(&self) -> Option<&Write> {
        self.write.as_ref()
    }

    /// For settings in a JFFS2 that is made for them: how its first erase block becomes the mark of one that is empty.
    pub fn blank(&self) -> Option<(Write, Vec<u8>)> {
        let (Form::Jffs2 { erase_size, .. }, Some(write)) = (self.form, &self.write) else {
            return None;
        };
        let mut mark = jffs2::MARK.to_vec();
        mark.resize(erase_size as usize, 0xff);
        let mut write = write.clone();
        write.source.end = write.source.start + u64::from(erase_size);
        write.range.end = write.range.start + u64::from(erase_size);
        write.erase_blocks = 1;
        Some((write, mark))
    }

    /// Whether the new firmware unpacks it by itself.
    pub fn unpacks_itself(&self) -> bool {
        self.form != Form::Files
    }

    /// How it stands.
    pub fn fate(&self, state: KeptState, text: String) -> Fate {
        Fate {
            state,
            to: self.to.clone(),
            files: self.files,
            text,
        }
    }

    /// The tar, if it is the one that was saved.
    ///
    /// # Errors
    /// Otherwise.
    pub fn tar(&self, directory: &Path) -> Result<Store<'_>> {
        let path = tar_in(directory);
        let store = File::open(&path).and_then(Store::file).context(path.display())?;
        match store.sha256(&mut |_| ()).context(path.display())? == self.sha256 {
            true => Ok(store),
            false => Err(Failure::new(
                Exit::System,
                Code::Keep,
                "the kept files in RAM are not those that were saved",
            )),
        }
    }

    /// Puts the files into the file system of the place and reads them back from its device.
    ///
    /// # Errors
    /// What failed, and where the tar is left.
    pub fn put_back(&self, directory: &Path) -> Result<()> {
        let tar = self.tar(directory)?;
        let place = Place::parse(&self.to)?;
        let mount =
            || stages::Attached::mount(place.fs, &self.source, &directory.join("keep")).map_err(Failure::system);
        let attached = mount()?;
        let (put, compare): (Step, Step) = match self.form {
            Form::Archive => (put::put_archive, put::compare_archive),
            _ => (put::put, put::compare),
        };
        let done = put(&tar, attached.path())
            .and_then(|()| attached.unmount().map_err(io::Error::other))
            // Mounted anew, so that what is compared comes from the device and not from the page cache.
            .and_then(|()| mount().map_err(|failure| io::Error::other(failure.told().what)))
            .and_then(|attached| compare(&tar, attached.path()));
        done.map_err(|error| {
            let left = self.leave(&tar_in(directory), &mount);
            Failure::system(format_args!("{error}; {left}"))
        })
    }

    /// The tar must not be lost with the RAM.
    fn leave(&self, tar: &Path, mount: &dyn Fn() -> Result<stages::Attached>) -> String {
        let left = mount().is_ok_and(|attached| {
            let to = attached.path().join(LEFT);
            let copied = File::open(tar).and_then(|mut from| {
                let _ = fs::remove_file(&to);
                let mut left = for_owner(&to)?;
                io::copy(&mut from, &mut left)?;
                left.sync_all()
            });
            if copied.is_err() {
                // Half a tar helps nobody, and fills what the new firmware needs.
                let _ = fs::remove_file(&to);
            }
            copied.is_ok() && attached.unmount().is_ok()
        });
        match (&self.copy, left) {
            (Some(copy), _) => format!("they are in {copy}"),
            (None, true) => format!("they are in {} as {LEFT}", self.to),
            (None, false) => "they could be left nowhere".to_owned(),
        }
    }

    /// Where else the tar is.
    pub fn elsewhere(&self) -> String {
        match &self.copy {
            Some(copy) => format!("; they are in {copy}"),
            None => String::new(),
        }
    }

    /// The node that PID 1 needs where `/dev` is not carried over.
    pub fn node(&self) -> Option<stages::DeviceNode> {
        stages::DeviceNode::like(&self.source)
    }
}

/// The lists that a firmware or its owner may have, besides `--keep`: ours and those of OpenWrt's sysupgrade.
fn lists(board: &Board) -> Vec<PathBuf> {
    if board.is_sim() {
        return Vec::new();
    }
    let mut lists = vec![OURS.into(), "/etc/sysupgrade.conf".into()];
    let more = Path::new("/lib/upgrade/keep.d");
    let entries = fs::read_dir(more).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    match entries {
        Ok(entries) => lists.extend(entries.iter().map(fs::DirEntry::path)),
        // To read it as a list fails too, which is told.
        Err(error) if error.kind() != io::ErrorKind::NotFound => lists.push(more.to_owned()),
        Err(_) => (),
    }
    lists
}

/// Our own list.
const OURS: &str = "/etc/flasher/keep";

/// Any bytes as the settings of a box: what is made of them is read again as what it was.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(which: u8, content: &[u8]) {
    use crate::base::machine::Order;
    use crate::image::jffs2::recognise;
    let order = if which & 1 == 0 { Order::Little } else { Order::Big };
    let erase_size = 2048usize << (which >> 1 & 7);
    let made = jffs2::with_file(jffs2::Shape { order, erase_size }, "sysupgrade.tgz", content);
    assert_eq!(made.is_empty(), erase_size < 4096);
    if let Some(nodes) = made.len().checked_sub(erase_size) {
        let store = Store::Memory(made[..nodes].to_vec());
        let found = recognise(&store, &(0..store.len())).ok().flatten();
        assert!(found.is_some_and(|found| found.problem.is_none() && found.doubt.is_none()));
    }
    // An archive has an end at least; what holds nothing is refused.
    if content.is_empty() {
        return;
    }
    let mut packed = Vec::new();
    if let Ok(mut gzip) = crate::bytes::gzip_write::GzipWriter::new(&mut packed) {
        use std::io::Write;
        let written = content
            .chunks(1 + usize::from(which) * 37)
            .try_for_each(|chunk| gzip.write_all(chunk));
        assert!(written.is_ok() && gzip.finish().is_ok());
    }
    let length = packed.len() as u64;
    let store = std::sync::Arc::new(Store::Memory(packed));
    let room = content.len() as u64;
    let unpacked = crate::bytes::packed::Packed::open(store, crate::bytes::packed::Codec::Gzip, length, room);
    let mut same = Vec::new();
    let store = unpacked.map(Store::Packed);
    let read = store.and_then(|store| store.scan(0..store.len(), |chunk| same.extend_from_slice(chunk)));
    assert!(read.is_ok() && same == content, "what was packed is unpacked");
}
