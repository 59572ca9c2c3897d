//! What uses a partition or a file system, and how it is told.
#![forbid(unsafe_code)]

use std::fmt;

/// Something that uses a partition or a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it is. `Display` puts it into words.
    pub what: HolderKind,
}

/// The kinds of holders. `pid` and `comm` name a process, paths are as the holder sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are what their names say; the kinds are described"
)]
pub enum HolderKind {
    /// A mounted file system.
    Mount {
        device: String,
        mountpoint: String,
        fs: String,
    },
    /// A mount in the namespace of another process.
    ForeignMount { pid: u32, comm: String, mountpoint: String },
    /// A swap area.
    Swap { device: String },
    /// A loop device whose backing file is, or lies on, the flash.
    Loop { device: String, file: String },
    /// An open file, or an open device node.
    OpenFile { pid: u32, comm: String, path: String },
    /// A running program or library.
    MappedText { pid: u32, comm: String, path: String },
    /// A working directory.
    Cwd { pid: u32, comm: String, path: String },
    /// A root directory (chroot).
    Root { pid: u32, comm: String, path: String },
    /// A directory that the kernel's NFS server gives to others.
    Export { path: String },
    /// A file or device that the kernel serves to another machine, over a network or USB.
    Served { path: String },
    /// An attached UBI device.
    Ubi { ubi: u32, mtd: u32 },
    /// An attached UBI device of which the kernel does not tell what it lies on, so that no takeover can detach it.
    UbiUntold { ubi: u32 },
    /// A block device that lies on one of the flash, such as one of device-mapper, whether it is mounted or not.
    Stacked { device: String, on: String },
    /// What would tell of holders, and cannot be read.
    Unread { what: String, error: String },
    /// What may run outside of the container that we are in.
    Unseen,
    /// The kernel itself claims the block device: a mount that no process shows, or a driver on top of it.
    Claimed { device: String },
}

impl HolderKind {
    pub(crate) fn unread(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        HolderKind::Unread {
            what: what.to_string(),
            error: error.to_string(),
        }
    }
}

impl Holder {
    /// The command that ends this use, where there is one that harms nothing.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self.what {
            HolderKind::Ubi { ubi, .. } => Some(format!("ubidetach -d {ubi}")),
            _ => None,
        }
    }

    /// Whether it is there still when all programs have ended and every file system is unmounted: a takeover does not take it
    /// away.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(
            self.what,
            HolderKind::Stacked { .. } | HolderKind::Served { .. } | HolderKind::UbiUntold { .. }
        )
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            HolderKind::Mount { device, mountpoint, fs } => write!(f, "{device} mounted on {mountpoint} ({fs})"),
            HolderKind::ForeignMount { pid, comm, mountpoint } => {
                write!(
                    f,
                    "mounted on {mountpoint} in the mount namespace of process {pid} ({comm})"
                )
            }
            HolderKind::Swap { device } => write!(f, "swap on {device}"),
            HolderKind::Loop { device, file } => write!(f, "loop device {device} on {file}"),
            HolderKind::OpenFile { pid, comm, path } => write!(f, "process {pid} ({comm}), which has {path} open"),
            HolderKind::MappedText { pid, comm, path } => write!(f, "process {pid} ({comm}), which runs {path}"),
            HolderKind::Cwd { pid, comm, path } => {
                write!(f, "process {pid} ({comm}), whose working directory is {path}")
            }
            HolderKind::Root { pid, comm, path } => write!(f, "process {pid} ({comm}), whose root directory is {path}"),
            HolderKind::Export { path } => write!(f, "the NFS export of {path}"),
            HolderKind::Served { path } => write!(f, "the kernel, which serves {path} to another machine"),
            HolderKind::Ubi { ubi, mtd } => write!(f, "ubi{ubi} attached to mtd{mtd}"),
            HolderKind::UbiUntold { ubi } => write!(
                f,
                "something that cannot be seen, because /sys/class/ubi/ubi{ubi}/mtd_num cannot be read (this kernel does not have it)"
            ),
            HolderKind::Stacked { device, on } => write!(f, "block device {device} on {on}"),
            HolderKind::Unread { what, error } => {
                write!(
                    f,
                    "something that cannot be seen, because {what} cannot be read ({error})"
                )
            }
            HolderKind::Unseen => {
                f.write_str("whatever runs outside of this container, which cannot be seen from within")
            }
            HolderKind::Claimed { device } => {
                write!(f, "the kernel, which has {device} mounted or claimed out of our sight")
            }
        }
    }
}
