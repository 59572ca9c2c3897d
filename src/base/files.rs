//! Files that are put in place as a whole: whoever opens one finds the old content or all of the new.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Result};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use stages::files::{Directory, identity, identity_at, read, read_text};

/// Bytes of the longest text that is read whole: a profile, a list, a configuration.
pub const TEXT: u64 = 1 << 20;

/// Where files for a while may be, the first choice first. Others may make files in some of them.
pub const TEMPORARY: [&str; 4] = ["/run", "/var/run", "/tmp", "/dev/shm"];

/// Who may read a new file, as far as the umask allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Everybody.
    Everyone,
}

/// A file that has no name of its own yet. Dropped before it is finished, it is removed.
#[derive(Debug)]
pub struct Unfinished {
    /// To write the content to, and to read it back.
    pub file: File,
    /// What it is called meanwhile; `None` once it has its own name.
    path: Option<PathBuf>,
    /// What it is to become.
    target: PathBuf,
}

impl Unfinished {
    /// Begins a file that is to become `target`. It is new: where everybody may write, one that is there could be
    /// anybody's, or a link.
    ///
    /// # Errors
    /// A target that names no file, and those of the file system.
    pub fn new(target: &Path, readers: Readers) -> Result<Unfinished> {
        let begun = Unfinished::begin(target, readers).context(target.display());
        begun.map_err(|failure| failure.hint("name a file in a directory that is there and can be written"))
    }

    fn begin(target: &Path, readers: Readers) -> io::Result<Unfinished> {
        let mut name = OsString::from(".");
        name.push(file_name(target)?);
        // A device, or a link to one such as /dev/stdout, would be gone for everybody.
        if fs::metadata(target).is_ok_and(|about| !about.is_file()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is there, and is not a plain file",
            ));
        }
        name.push(".flasher");
        let path = target.with_file_name(name);
        // What a power cut left.
        let _ = fs::remove_file(&path);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(match readers {
                Readers::Owner => 0o600,
                Readers::Everyone => 0o644,
            })
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)?;
        Ok(Unfinished {
            file,
            path: Some(path),
            target: target.to_owned(),
        })
    }

    /// Gives it another name than it was to have, in the same directory.
    pub fn rename(&mut self, name: impl AsRef<OsStr>) {
        self.target.set_file_name(name);
    }

    /// Gives it its own name, once its content is on the disk. Answers where it is.
    ///
    /// # Errors
    /// Those of the file system; what was there before is then still there.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        self.file.sync_all()?;
        if let Some(path) = &self.path {
            // Whoever writes the same file at the same time has taken ours away, and begun one of its own.
            if identity(&fs::symlink_metadata(path)?) != identity(&self.file.metadata()?) {
                self.path = None;
                return Err(io::Error::other("another program writes it at the same time"));
            }
            fs::rename(path, &self.target)?;
            self.path = None;
        }
        sync_directory(&self.target)?;
        Ok(self.target.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether both are one file, by whatever names; what is not there is none.
pub fn same(one: &Path, other: &Path) -> bool {
    identity_at(one).is_some_and(|one| identity_at(other) == Some(one))
}

/// Puts what `fill` writes at `target`.
///
/// # Errors
/// Those of `fill` and of the file system; what was there before is then still there.
pub fn replace<T>(target: &Path, readers: Readers, fill: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let mut unfinished = Unfinished::new(target, readers)?;
    let value = fill(&mut unfinished.file)?;
    unfinished.finish().context(target.display())?;
    Ok(value)
}

/// Whether there is nothing at this path. A link on the way that leads into nothing is something: where it leads to may be on a
/// disk that is not mounted yet.
pub fn is_absent(path: &Path) -> bool {
    let is_missing = |at: &Path| {
        let about = at.symlink_metadata();
        about.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let nearest = path.ancestors().find(|at| !is_missing(at));
    nearest != Some(path) && nearest.is_none_or(|at| at.metadata().is_ok())
}

/// What to do about a file of root's that cannot be read: that somebody else could change it, or else what it should have been.
pub fn remedy<'a>(error: &io::Error, wanted: &'a str) -> &'a str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "it decides what is written, so nobody but you and root may be able to change it: chmod go-w"
        }
        _ => wanted,
    }
}

/// The failure of a command line that names a file which cannot be read; of the system, where it is not the file that is wrong.
pub fn unread(error: &io::Error, what: impl Display) -> Failure {
    use io::ErrorKind::*;
    match error.kind() {
        NotFound | PermissionDenied | NotADirectory | IsADirectory | InvalidInput | InvalidData | InvalidFilename
        | FileTooLarge => Failure::usage(what),
        _ => Failure::system(what),
    }
}

/// Opens a plain file of whoever it may be, to be read: what it says decides nothing, or is held against a checksum.
///
/// # Errors
/// Those of open(2); [`io::ErrorKind::InvalidInput`] for a directory, a device or a FIFO, which is not waited for.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file")),
    }
}

/// Reads one, up to `limit` bytes.
///
/// # Errors
/// As [`open_plain`]; [`io::ErrorKind::FileTooLarge`].
pub fn read_plain(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {limit} bytes"),
        )),
        false => Ok(bytes),
    }
}

/// Puts this content at a name of a directory of root's: somebody else's file or link of that name is replaced, and never
/// written to.
///
/// # Errors
/// Those of the file system; what was there before is then still there.
pub fn put(
    directory: &Directory,
    name: &OsStr,
    readers: Readers,
    fill: &mut dyn FnMut(&mut File) -> Result<()>,
) -> Result<()> {
    let mut unfinished = OsString::from(".");
    unfinished.push(name);
    unfinished.push(".flasher");
    let shown = || directory.path().join(name).display().to_string();
    // What a power cut left, or somebody else put there.
    let _ = directory.remove(&unfinished);
    let mut file = directory.create(&unfinished).context(shown())?;
    let put = fill(&mut file).and_then(|()| {
        if readers == Readers::Everyone {
            file.set_permissions(fs::Permissions::from_mode(0o644))
                .context(shown())?;
        }
        file.sync_all().context(shown())?;
        directory.rename(&unfinished, name).context(shown())?;
        directory.sync().context(shown())
    });
    if put.is_err() {
        let _ = directory.remove(&unfinished);
    }
    put
}

fn file_name(path: &Path) -> io::Result<&OsStr> {
    let none = || io::Error::new(io::ErrorKind::InvalidInput, "that is not a name for a file");
    path.file_name().ok_or_else(none)
}

/// Without this the new name may be lost in a power cut although the content is on the disk (fsync(2)).
fn sync_directory(of: &Path) -> io::Result<()> {
    let directory = of.parent().filter(|directory| !directory.as_os_str().is_empty());
    match File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()) {
        // Some network file systems know no fsync of directories (fsync(2)).
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::error::Failure;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn names(dir: &TempDir) -> Vec<OsString> {
        let entries = fs::read_dir(dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn the_new_content_is_there_as_a_whole_or_not_at_all() {
        let dir = TempDir::new().unwrap();
        let target = dir.path().join("file");
        let put = |text: &str| {
            let text = text.to_owned();
            replace(&target, Readers::Owner, move |file| {
                file.write_all(text.as_bytes()).context("file")
            })
        };
        put("old").unwrap();
        let failed = replace::<()>(&target, Readers::Owner, |file| {
            file.write_all(b"half of the n").context("file")?;
            Err(Failure::system("the flash cannot be read"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(&dir), ["file"]);
        put("new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(&dir), ["file"]);
    }

    #[test]
    fn of_two_that_write_the_same_file_none_puts_half_of_the_others_in_its_place() {
        let dir = TempDir::new().unwrap();
        let target = dir.path().join("file");
        let begin = |text: &[u8]| {
            let mut unfinished = Unfinished::new(&target, Readers::Owner).unwrap();
            unfinished.file.write_all(text).unwrap();
            unfinished
        };
        let (first, mut second) = (begin(b"whole"), begin(b"half"));
        assert!(first.finish().is_err() && !target.exists());
        second.file.write_all(b" and half").unwrap();
        second.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"half and half");
        assert_eq!(names(&dir), ["file"]);
    }

    #[test]
    fn readers_are_as_many_as_were_asked_for() {
        let dir = TempDir::new().unwrap();
        for (readers, mode) in [(Readers::Owner, 0), (Readers::Everyone, 0o044)] {
            let path = dir.path().join("file");
            replace(&path, readers, |_| Ok(())).unwrap();
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o077 & !mode, 0, "{found:o}");
            assert_eq!(found & 0o100600, 0o100600);
        }
    }

    #[test]
    fn links_are_replaced_and_never_followed() {
        let dir = TempDir::new().unwrap();
        let elsewhere = TempDir::new().unwrap();
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        for name in ["file", ".file.flasher"] {
            symlink(&victim, dir.path().join(name)).unwrap();
        }
        let path = dir.path().join("file");
        replace(&path, Readers::Everyone, |file| file.write_all(b"new").context("file")).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(names(&dir), ["file"]);
    }

    #[test]
    fn what_is_no_plain_file_is_not_replaced() {
        let dir = TempDir::new().unwrap();
        let link = dir.path().join("stdout");
        symlink("/dev/null", &link).unwrap();
        for path in [&link, dir.path(), Path::new("/dev/null")] {
            assert!(Unfinished::new(path, Readers::Owner).is_err(), "{}", path.display());
        }
        assert_eq!(names(&dir), ["stdout"]);
    }

    #[test]
    fn a_link_into_nothing_is_not_nothing() {
        let dir = TempDir::new().unwrap();
        let (here, gone) = (dir.path().join("here"), dir.path().join("gone"));
        symlink(dir.path(), &here).unwrap();
        symlink("/nowhere/at/all", &gone).unwrap();
        for (path, absent) in [
            (dir.path().join("keys"), true),
            (dir.path().join("flasher/keys"), true),
            (here.join("flasher/keys"), true),
            (here.clone(), false),
            (gone.clone(), false),
            (gone.join("flasher/keys"), false),
            (here.join("gone/keys"), false),
        ] {
            assert_eq!(is_absent(&path), absent, "{}", path.display());
        }
    }

    #[test]
    fn what_names_no_file_is_an_error() {
        for path in ["", "/", ".."] {
            assert!(Unfinished::new(Path::new(path), Readers::Owner).is_err(), "{path}");
        }
    }
}
