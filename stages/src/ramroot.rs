//! The tmpfs that becomes the root.
#![forbid(unsafe_code)]

use crate::error::{Context, Error, ErrorKind, Result};
use crate::files::{self, Directory};
use crate::mounts::{find_ram_root, make_private, mount_virtual, mounts, root_is_ram_root, unmount, unmount_lazily};
use crate::rescue;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories we may make and remove again, best first: the first three are in RAM on most boxes, so that nothing is
/// written to flash.
const MADE: [&str; 5] = [
    "/run/flasher",
    "/tmp/flasher",
    "/dev/shm/flasher",
    "/var/run/flasher",
    "/dev/flasher",
];

/// Directories that exist on a read-only root and are used for nothing when they are empty.
const FOUND: [&str; 2] = ["/mnt", "/media"];

/// A tmpfs of ours, mounted on a directory of the running system. It is unmounted when this is dropped.
///
/// Its mount source is `flasher`, so that PID 1 finds it in the mount table.
#[derive(Debug)]
pub struct RamRoot {
    mountpoint: PathBuf,
    made: bool,
    ours: bool,
}

impl RamRoot {
    /// Mounts it on the first directory that works. `size=100%`, because the caller has done the sum of what fits.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyMounted`] when an earlier one is in use, [`ErrorKind::NoPlace`] with the reason for each
    /// directory, [`ErrorKind::System`] without `/proc`.
    pub fn create() -> Result<Self> {
        // From the shell of the rescue another image may be written: there the RAM root only has to stage it.
        if root_is_ram_root() && !rescue::is_on() {
            return Err(Error::new(
                ErrorKind::AlreadyMounted,
                "this system is being taken over already: its root is a RAM root",
            ));
        }
        let table = mounts().context(|| "read /proc/self/mountinfo".to_owned())?;
        if let Some(old) = find_ram_root(&table) {
            // Of a run that was killed while it staged. One that is prepared for PID 1 is held, and busy.
            unmount(&old).map_err(|e| {
                Error::new(
                    ErrorKind::AlreadyMounted,
                    format!("a RAM root is already mounted on {}: {e}", old.display()),
                )
            })?;
        }
        let mut reasons = Vec::new();
        for place in MADE.iter().chain(&FOUND).map(Path::new) {
            match Self::create_on(place, MADE.iter().any(|made| Path::new(made) == place)) {
                Ok(root) => return Ok(root),
                Err(e) => reasons.push(e.to_string()),
            }
        }
        Err(Error::new(
            ErrorKind::NoPlace,
            format!("no directory for the RAM root: {}", reasons.join("; ")),
        ))
    }

    /// Below a directory in which only root decides what is what: somebody else's link or directory of that name is passed by,
    /// and none that is put there later can take its place.
    fn create_on(place: &Path, make: bool) -> Result<Self> {
        let found = if make { Self::make(place) } else { Self::find(place) };
        let (parent, name, directory) = found.context(|| "the RAM root".to_owned())?;
        let mountpoint = parent.path().join(&name);
        if !directory
            .names()
            .context(|| mountpoint.display().to_string())?
            .is_empty()
        {
            return Err(Error::new(
                ErrorKind::NoPlace,
                format!("{}: not empty", mountpoint.display()),
            ));
        }
        // Dropped on failure: the directory we made goes again.
        let mut root = Self {
            mountpoint,
            made: make,
            ours: false,
        };
        let place = root.mountpoint.clone();
        // On the directory that was opened, whatever its name means by now.
        let result = mount_virtual("tmpfs", &directory.by_descriptor(), "mode=0700,size=100%")
            .context(|| format!("mount tmpfs on {}", place.display()));
        if let Err(e) = result {
            root.remove_directory();
            return Err(e);
        }
        root.ours = true;
        // Found by its name it has to be what was mounted: root's, and on another file system than the directory below it.
        let mounted = parent.directory(&name).context(|| place.display().to_string())?;
        if mounted.is_shared() || mounted.is_same_file_system(&directory) {
            return Err(Error::new(
                ErrorKind::NoPlace,
                format!("{}: it is not what was mounted there", place.display()),
            ));
        }
        make_private(&place, false).context(|| format!("make {} private", place.display()))?;
        Ok(root)
    }

    /// A directory of our own: by another name where the one that we want is somebody else's.
    fn make(place: &Path) -> io::Result<(Directory, OsString, Directory)> {
        let (parent, name) = files::split(place)?;
        let found = match parent.is_foreign(&name) {
            true => None,
            false => match parent.create_directory(&name) {
                // Of a run that was killed, or no directory: a program that was copied to /tmp/flasher.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => parent.directory(&name).ok(),
                other => Some(other?),
            },
        };
        let (name, directory) = match found {
            Some(directory) => (name, directory),
            None => {
                let mut other = name;
                other.push(format!("-{}", std::process::id()));
                let directory = parent.create_directory(&other)?;
                (other, directory)
            }
        };
        match directory.is_shared() {
            true => Err(io::Error::other(format!("{}: others can write it", place.display()))),
            false => Ok((parent, name, directory)),
        }
    }

    fn find(place: &Path) -> io::Result<(Directory, OsString, Directory)> {
        let (parent, name) = files::split(place)?;
        let directory = parent.directory(&name)?;
        Ok((parent, name, directory))
    }

    /// Where it is mounted. The caller stages its image below, for instance as `image`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// Takes up the mount that a process which was killed has left.
    pub(crate) fn adopt(mountpoint: &Path) -> Self {
        let made = !FOUND.iter().any(|found| Path::new(found) == mountpoint);
        Self {
            mountpoint: mountpoint.to_owned(),
            made,
            ours: true,
        }
    }

    /// Leaves the mount to whoever comes next: the forked child, or PID 1.
    pub(crate) fn pass_on(mut self) {
        self.ours = false;
    }

    /// Unmounts it and removes the directory; answers what could not be done.
    pub(crate) fn remove(mut self) -> Vec<String> {
        self.tear_down().err().into_iter().collect()
    }

    fn tear_down(&mut self) -> std::result::Result<(), String> {
        if !self.ours {
            return Ok(());
        }
        self.ours = false;
        // The marker that init started may not have ended yet, and the caller has its image open: they keep what they have until they
        // end, and nobody else finds it any more. The old root is never left like this.
        let result = match unmount(&self.mountpoint) {
            Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => unmount_lazily(&self.mountpoint),
            result => result,
        };
        result.map_err(|e| format!("unmount {}: {e}", self.mountpoint.display()))?;
        self.remove_directory();
        Ok(())
    }

    fn remove_directory(&self) {
        if self.made {
            // An empty directory left behind harms nobody, so this may fail.
            let _ = fs::remove_dir(&self.mountpoint);
        }
    }
}

impl Drop for RamRoot {
    fn drop(&mut self) {
        if let Err(left) = self.tear_down() {
            log::warn!("not undone: {left}");
        }
    }
}
