//! The tmpfs that becomes the root.
#![forbid(unsafe_code)]

use crate::error::{Context, Error, ErrorKind, Result};
use crate::mounts::{find_ram_root, make_private, mount_virtual, mounts, root_is_ram_root, unmount};
use crate::rescue;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

    fn create_on(place: &Path, make: bool) -> Result<Self> {
        let made = make && fs::DirBuilder::new().mode(0o700).create(place).is_ok();
        let empty = fs::read_dir(place)
            .context(|| place.display().to_string())?
            .next()
            .is_none();
        if !empty {
            return Err(Error::new(
                ErrorKind::NoPlace,
                format!("{}: not empty", place.display()),
            ));
        }
        // Dropped on failure: the directory we made goes again.
        let mut root = Self {
            mountpoint: place.to_owned(),
            made,
            ours: false,
        };
        let result = mount_virtual("tmpfs", place, "mode=0700,size=100%")
            .context(|| format!("mount tmpfs on {}", place.display()));
        if let Err(e) = result {
            root.remove_directory();
            return Err(e);
        }
        root.ours = true;
        make_private(place, false).context(|| format!("make {} private", place.display()))?;
        Ok(root)
    }

    /// Where it is mounted. The caller stages its image below, for instance as `image`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// Takes up the mount that a process which was killed has left.
    pub(crate) fn adopt(mountpoint: &Path) -> Self {
        let made = MADE.iter().any(|made| Path::new(made) == mountpoint);
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
        // The marker that init started may need a moment to end.
        let mut result = unmount(&self.mountpoint);
        for _ in 0..20 {
            if !matches!(&result, Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            result = unmount(&self.mountpoint);
        }
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
