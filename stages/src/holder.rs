//! What uses a partition or a file system, and how it is told.
#![forbid(unsafe_code)]

use crate::scan::is_gone;
use crate::shown::shown;
use std::fmt;
use std::io;
use std::path::Path;

/// Something that uses a partition or a file system. `pid` and `comm` name a process, paths are as the holder sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are what their names say; the kinds are described"
)]
pub enum Holder {
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

impl Holder {
    /// What could not be read, with the reason.
    pub(crate) fn unread(what: &Path, why: impl fmt::Display) -> Self {
        Holder::Unread {
            what: shown(what),
            error: why.to_string(),
        }
    }

    /// What was read; nothing of what is not there. What cannot be read may tell of a holder, and is one.
    pub(crate) fn noted<T>(read: io::Result<T>, what: &Path, unread: &mut Vec<Holder>) -> Option<T> {
        read.map_err(|error| {
            if !is_gone(&error) {
                unread.push(Holder::unread(what, error));
            }
        })
        .ok()
    }

    /// The command that ends this use, where there is one that harms nothing.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Holder::Ubi { ubi, .. } => Some(format!("ubidetach -d {ubi}")),
            _ => None,
        }
    }

    /// Whether it is there still when all programs have ended and every file system is unmounted: a takeover does not take it
    /// away.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(
            self,
            Holder::Stacked { .. } | Holder::Served { .. } | Holder::UbiUntold { .. }
        )
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Mount { device, mountpoint, fs } => write!(f, "{device} mounted on {mountpoint} ({fs})"),
            Holder::ForeignMount { pid, comm, mountpoint } => {
                write!(
                    f,
                    "mounted on {mountpoint} in the mount namespace of process {pid} ({comm})"
                )
            }
            Holder::Swap { device } => write!(f, "swap on {device}"),
            Holder::Loop { device, file } => write!(f, "loop device {device} on {file}"),
            Holder::OpenFile { pid, comm, path } => write!(f, "process {pid} ({comm}), which has {path} open"),
            Holder::MappedText { pid, comm, path } => write!(f, "process {pid} ({comm}), which runs {path}"),
            Holder::Cwd { pid, comm, path } => {
                write!(f, "process {pid} ({comm}), whose working directory is {path}")
            }
            Holder::Root { pid, comm, path } => write!(f, "process {pid} ({comm}), whose root directory is {path}"),
            Holder::Export { path } => write!(f, "the NFS export of {path}"),
            Holder::Served { path } => write!(f, "the kernel, which serves {path} to another machine"),
            Holder::Ubi { ubi, mtd } => write!(f, "ubi{ubi} attached to mtd{mtd}"),
            Holder::UbiUntold { ubi } => write!(
                f,
                "something that cannot be seen, because /sys/class/ubi/ubi{ubi}/mtd_num cannot be read (this kernel does not have it)"
            ),
            Holder::Stacked { device, on } => write!(f, "block device {device} on {on}"),
            Holder::Unread { what, error } => {
                write!(
                    f,
                    "something that cannot be seen, because {what} cannot be read ({error})"
                )
            }
            Holder::Unseen => f.write_str("whatever runs outside of this container, which cannot be seen from within"),
            Holder::Claimed { device } => {
                write!(f, "the kernel, which has {device} mounted or claimed out of our sight")
            }
        }
    }
}
