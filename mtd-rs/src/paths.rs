//! Where the kernel shows its devices.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// Where the kernel shows its MTD devices. Tests and chroots have other paths than the default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemPaths {
    /// The list of devices, `/proc/mtd`.
    pub proc_mtd: PathBuf,
    /// The class directory, `/sys/class/mtd`.
    pub sys_class_mtd: PathBuf,
    /// Where the nodes `mtdN` are, `/dev`.
    pub dev: PathBuf,
    /// The process file system, `/proc`: the command line, the device tree and the release of the kernel.
    pub proc: PathBuf,
    /// The root of sysfs, `/sys`.
    pub sys: PathBuf,
}

impl SystemPaths {
    /// The paths of a system whose root directory is `root`.
    pub fn under(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self::of(root.join("proc"), root.join("sys"), root.join("dev"))
    }

    /// The paths of a system with these three directories.
    pub fn of(proc: impl Into<PathBuf>, sys: impl Into<PathBuf>, dev: impl Into<PathBuf>) -> Self {
        let (proc, sys) = (proc.into(), sys.into());
        SystemPaths {
            proc_mtd: proc.join("mtd"),
            sys_class_mtd: sys.join("class/mtd"),
            dev: dev.into(),
            proc,
            sys,
        }
    }
}

impl Default for SystemPaths {
    fn default() -> Self {
        Self::under("/")
    }
}
