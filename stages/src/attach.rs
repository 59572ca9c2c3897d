//! A file system that is mounted for a moment: what is put into the new firmware's own file system goes through it.
#![forbid(unsafe_code)]

use crate::error::{Context, Result};
use crate::mounts::{mounts, unmount};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A mount of ours. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct Attached {
    directory: PathBuf,
}

impl Attached {
    /// Mounts `source` on `directory`, which is made if need be. For jffs2 the source is `mtdN`, for ubifs `ubiN:NAME`
    /// (mount names of `drivers/mtd/mtdsuper.c` and `fs/ubifs/super.c`), else a block device.
    ///
    /// # Errors
    /// The directory or the mount, with its names.
    pub fn mount(fs: &str, source: &str, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).context(|| directory.display().to_string())?;
        // Nothing of it is to be run here.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(source), directory, Some(fs), flags, None::<&str>)
            .context(|| format!("mount {source} as {fs} on {}", directory.display()))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Unmounts it, so that everything is on its device.
    ///
    /// # Errors
    /// Usually EBUSY.
    pub fn unmount(self) -> Result<()> {
        let result = unmount(&self.directory).context(|| format!("unmount {}", self.directory.display()));
        if result.is_ok() {
            std::mem::forget(self);
        }
        result
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = unmount(&self.directory);
    }
}

/// Where the file system of this device is mounted: block devices by their own number, jffs2 by 31 and the number of its
/// mtd (`get_tree_mtd` in `drivers/mtd/mtdsuper.c`).
///
/// # Errors
/// The table of mounts cannot be read.
pub fn mounted_at(device: (u32, u32)) -> io::Result<Option<PathBuf>> {
    let mut table = mounts()?.into_iter();
    let mount = table.find(|mount| mount.device == device);
    Ok(mount.map(|mount| mount.mountpoint))
}
