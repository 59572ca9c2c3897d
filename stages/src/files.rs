//! Files and directories that only root can have made, and new ones that only root can read.
//!
//! A path is gone through once, one directory after the other, each opened below the one before. Every one of them must
//! belong to root (or to whoever runs this), and nobody else may be able to change what is in it; in a directory such as
//! `/tmp`, where everybody may make files and the sticky bit keeps others from taking them away, only what is root's counts,
//! and no link is followed. What was opened so is used by its descriptor, so that it stays what it was.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (`MAXSYMLINKS` of `include/linux/namei.h`).
const LINKS: u32 = 40;
/// `S_IFMT` and two of its values (stat(2)).
const KIND: u32 = 0o170_000;
const PLAIN: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// A directory in which only root decides which name means what, opened once.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    /// Others may make files here, but not touch those of others.
    shared: bool,
}

fn refused(path: &Path, what: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, format!("{}: {what}", path.display()))
}

fn not_plain(path: &Path) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        format!("{}: it is not a plain file", path.display()),
    )
}

fn at(path: &Path) -> impl Fn(Errno) -> io::Error {
    let path = path.display().to_string();
    move |error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{path}: {error}"))
    }
}

/// Device and inode, which tell a file from every other one.
pub fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

/// The same of what a path leads to; `None` where that cannot be looked at.
pub fn identity_at(path: impl AsRef<Path>) -> Option<(u64, u64)> {
    fs::metadata(path).ok().as_ref().map(identity)
}

/// Root, or whoever runs this.
fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Whether nobody can write the file system that this is on.
fn is_read_only(file: &OwnedFd) -> bool {
    fstatvfs(file).is_ok_and(|about| about.flags().contains(FsFlags::ST_RDONLY))
}

/// The type differs between architectures.
#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "on some of them it is the same"
)]
fn mode(about: &FileStat) -> u32 {
    about.st_mode as u32
}

impl Directory {
    /// Opens one that is there.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] with the first directory of the path that somebody else owns or can change, else those of
    /// openat(2).
    pub fn open(path: &Path) -> io::Result<Directory> {
        walk(path, false)
    }

    /// Opens one, and makes those of its path that are not there, with mode 0700.
    ///
    /// # Errors
    /// As [`Directory::open`], and those of mkdirat(2).
    pub fn make(path: &Path) -> io::Result<Directory> {
        walk(path, true)
    }

    /// Makes a directory of this name, which nobody has made before, and opens it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and those of mkdirat(2).
    pub fn create_directory(&self, name: &OsStr) -> io::Result<Directory> {
        let path = self.path.join(name);
        mkdirat(&self.fd, name, Mode::S_IRWXU).map_err(at(&path))?;
        self.directory(name)
    }

    /// Opens the directory of this name.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn directory(&self, name: &OsStr) -> io::Result<Directory> {
        let path = self.path.join(name);
        let fd = open_directory(self.fd.as_fd(), name).map_err(at(&path))?;
        Directory::of(fd, path)
    }

    fn of(fd: OwnedFd, path: PathBuf) -> io::Result<Directory> {
        let about = fstat(&fd).map_err(at(&path))?;
        let mode = mode(&about);
        let mut shared = mode & 0o022 != 0;
        if !is_ours(about.st_uid) || shared {
            // On a file system that is read-only it does not matter whose it is: images of them are often made by somebody else
            // than root.
            let unchangeable = is_read_only(&fd);
            match () {
                () if unchangeable => shared = false,
                () if !is_ours(about.st_uid) => return Err(refused(&path, "the directory is not root's")),
                () if mode & 0o1000 == 0 => return Err(refused(&path, "others can change what is in the directory")),
                () => (),
            }
        }
        Ok(Directory { fd, path, shared })
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether others may make files here.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether both are on one file system; unless that is known they are taken to be.
    #[must_use]
    pub fn is_same_file_system(&self, other: &Directory) -> bool {
        match (fstat(&self.fd), fstat(&other.fd)) {
            (Ok(one), Ok(two)) => one.st_dev == two.st_dev,
            _ => true,
        }
    }

    /// A path to the directory that was opened, whatever becomes of its names: for calls that take nothing but a path.
    #[must_use]
    pub fn by_descriptor(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into()
    }

    /// Opens a plain file of root's to be read. A FIFO does not make it wait.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for what is not root's, or can be written by others; [`ErrorKind::InvalidInput`] for what is
    /// not a plain file; else those of openat(2).
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        self.file_with(name, OFlag::O_RDONLY)
    }

    /// The same, to be read and written.
    ///
    /// # Errors
    /// As [`Directory::file`].
    pub fn file_for_writing(&self, name: &OsStr) -> io::Result<File> {
        self.file_with(name, OFlag::O_RDWR)
    }

    fn file_with(&self, name: &OsStr, access: OFlag) -> io::Result<File> {
        let path = self.path.join(name);
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ELOOP) => return Err(refused(&path, "it is a link")),
            // What nobody reads from is not a plain file (fifo(7)).
            Err(Errno::ENXIO) => return Err(not_plain(&path)),
            other => other.map_err(at(&path))?,
        };
        let about = fstat(&fd).map_err(at(&path))?;
        let mode = mode(&about);
        // Where everybody may make files, a second name of a file of root's could be anybody's (link(2)).
        let second_name = self.shared && about.st_nlink != 1;
        match () {
            () if mode & KIND != PLAIN => Err(not_plain(&path)),
            () if is_read_only(&fd) => Ok(File::from(fd)),
            () if !is_ours(about.st_uid) || second_name => Err(refused(&path, "it is not root's")),
            () if mode & 0o022 != 0 => Err(refused(&path, "others can write it")),
            () => Ok(File::from(fd)),
        }
    }

    /// Reads a plain file of root's.
    ///
    /// # Errors
    /// As [`Directory::file`]; [`ErrorKind::FileTooLarge`] for one of more than `limit` bytes.
    pub fn read(&self, name: &OsStr, limit: u64) -> io::Result<Vec<u8>> {
        read_all(self.file(name)?, &self.path.join(name), limit)
    }

    /// Makes a file that nobody has made before, with mode 0600, to be read and written.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], and those of openat(2).
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map(File::from)
            .map_err(at(&self.path.join(name)))
    }

    /// Gives a file of this directory another name in it; what had that name is gone.
    ///
    /// # Errors
    /// Those of renameat(2).
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        renameat(&self.fd, from, &self.fd, to).map_err(at(&self.path.join(from)))
    }

    /// Takes a file, or a link to one, away.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir).map_err(at(&self.path.join(name)))
    }

    /// Takes an empty directory away.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir).map_err(at(&self.path.join(name)))
    }

    /// Whether this name means this file now.
    #[must_use]
    pub fn is(&self, name: &OsStr, file: &File) -> bool {
        let named = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let opened = fstat(file);
        matches!((named, opened), (Ok(named), Ok(opened))
            if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino))
    }

    /// Whether there is something of this name.
    #[must_use]
    pub fn has(&self, name: &OsStr) -> bool {
        !matches!(
            fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW),
            Err(Errno::ENOENT)
        )
    }

    /// Whether there is something of this name that is not root's.
    #[must_use]
    pub fn is_foreign(&self, name: &OsStr) -> bool {
        let about = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        about.is_ok_and(|about| !is_ours(about.st_uid) || self.shared && mode(&about) & KIND != PLAIN)
    }

    /// The names of what is in it, in their order.
    ///
    /// # Errors
    /// Those of readdir(3).
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = std::fs::read_dir(self.by_descriptor())?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    /// Writes what is in it to the disk (fsync(2)).
    ///
    /// # Errors
    /// Those of fsync(2), but for file systems that have none for directories.
    pub fn sync(&self) -> io::Result<()> {
        match openat(
            &self.fd,
            ".",
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map(File::from)
        .map_err(io::Error::from)
        .and_then(|directory| directory.sync_all())
        {
            // Some network file systems know no fsync of directories (fsync(2)).
            Err(error)
                if matches!(
                    Errno::from_raw(error.raw_os_error().unwrap_or(0)),
                    Errno::EINVAL | Errno::EOPNOTSUPP
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }
}

/// Opens the plain file of root's at this path to be read.
///
/// # Errors
/// As [`Directory::open`] and [`Directory::file`]. A link at the end of the path is followed where only root can have made it.
pub fn open(path: &Path) -> io::Result<File> {
    let (directory, name) = place(path)?;
    directory.file(&name)
}

/// Reads the plain file of root's at this path.
///
/// # Errors
/// As [`open`]; [`ErrorKind::FileTooLarge`] for one of more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_all(open(path)?, path, limit)
}

/// The same as text.
///
/// # Errors
/// As [`read`]; [`ErrorKind::InvalidData`] for what is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let invalid = |_| io::Error::new(ErrorKind::InvalidData, format!("{}: it is not UTF-8", path.display()));
    String::from_utf8(read(path, limit)?).map_err(invalid)
}

fn read_all(file: File, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("{}: it is longer than {limit} bytes", path.display()),
        )),
        false => Ok(bytes),
    }
}

/// The directory of a file, and its name there, once every link at the end of the path is followed that root has made.
fn place(path: &Path) -> io::Result<(Directory, OsString)> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let (directory, name) = split(&path)?;
        let Some(link) = link_of(&directory, &name)? else {
            return Ok((directory, name));
        };
        // Absolute ones replace the path (`Path::join`).
        path = directory.path.join(link);
    }
    Err(at(&path)(Errno::ELOOP))
}

/// The directory of a path, opened, and the last name of it.
///
/// # Errors
/// As [`Directory::open`]; [`ErrorKind::InvalidInput`] for a path that names no file.
pub fn split(path: &Path) -> io::Result<(Directory, OsString)> {
    let none = || {
        io::Error::new(
            ErrorKind::InvalidInput,
            format!("{}: that is not a name for a file", path.display()),
        )
    };
    let name = path.file_name().ok_or_else(none)?;
    Ok((Directory::open(&parent(path))?, name.to_owned()))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}

/// Where a link leads that only root can have made; `None` for what is not a link.
fn link_of(directory: &Directory, name: &OsStr) -> io::Result<Option<PathBuf>> {
    let path = directory.path.join(name);
    match fstatat(&directory.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(about) if mode(&about) & KIND == LINK => (),
        _ => return Ok(None),
    }
    if directory.shared {
        return Err(refused(&path, "it is a link, and anybody can have made it"));
    }
    readlinkat(&directory.fd, name)
        .map(|link| Some(link.into()))
        .map_err(at(&path))
}

fn open_directory(below: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match openat(below, name, flags, Mode::empty()) {
        // Whoever is not root may pass through directories that he cannot list.
        Err(Errno::EACCES) => openat(below, name, flags | OFlag::O_PATH, Mode::empty()),
        other => other,
    }
}

/// Opens one directory of a path after the other.
fn walk(path: &Path, make: bool) -> io::Result<Directory> {
    let mut whole = match path.is_absolute() {
        true => path.to_owned(),
        false => std::env::current_dir()?.join(path),
    };
    // A relative path begins where we are, however that was come to.
    for _ in 0..LINKS {
        match walk_once(&whole, make)? {
            Walked::To(directory) => return Ok(directory),
            Walked::Link(path) => whole = path,
        }
    }
    Err(at(path)(Errno::ELOOP))
}

enum Walked {
    To(Directory),
    /// There is a link on the way, and this is the path behind it.
    Link(PathBuf),
}

fn walk_once(path: &Path, make: bool) -> io::Result<Walked> {
    let root = std::fs::File::open("/")?;
    let mut here = Directory::of(root.into(), "/".into())?;
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => OsStr::from_bytes(b".."),
            _ => continue,
        };
        match here.directory(name) {
            Ok(next) => here = next,
            Err(error) => {
                if let Some(link) = link_of(&here, name)? {
                    return Ok(Walked::Link(here.path.join(link).join(parts.as_path())));
                }
                if !make || error.kind() != ErrorKind::NotFound {
                    return Err(error);
                }
                here = here.create_directory(name)?;
            }
        }
    }
    Ok(Walked::To(here))
}

#[cfg(test)]
mod tests;
