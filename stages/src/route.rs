//! Whether this system can be taken over at all. Nothing is touched.
#![forbid(unsafe_code)]

use crate::files::identity_at;
use crate::init::{self, Init};
use crate::mounts::{Mount, mounts};
use crate::process::confined;
use crate::ways::{Way, way};
use std::fmt;
use std::fs;
use std::path::Path;

/// Why a takeover is refused. `Display` is the reason, [`Refusal::remedy`] the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The init cannot be made to start us, for this reason.
    Init(Init, String),
    /// The root is the initramfs, from which `pivot_root` is EINVAL (pivot_root(2)).
    Initramfs,
    /// PID 1 of this pid namespace is not the machine's init.
    Container,
    /// We see another root than init does.
    Chroot,
    /// The kernel has no tmpfs.
    NoTmpfs,
    /// `/proc` is not mounted.
    NoProc,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(init, why) => write!(f, "process 1, {init}, cannot be made to start flasher: it {why}"),
            Self::Initramfs => f.write_str("the root file system is the initramfs, which cannot be pivoted away"),
            Self::Container => f.write_str("this runs in a container, not on the machine itself"),
            Self::Chroot => f.write_str("this runs in a chroot: init has another root"),
            Self::NoTmpfs => f.write_str("the kernel has no tmpfs"),
            Self::NoProc => f.write_str("/proc is not mounted"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What the user can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Init(..) => {
                "stop what uses the partitions and apply in place, or flash from the boot loader's recovery"
            }
            Self::Initramfs => {
                "nothing of the flash need be mounted in such a system: unmount what is, and apply in place"
            }
            Self::Container | Self::Chroot => "run it on the box itself, outside",
            Self::NoTmpfs => "flash from the boot loader's recovery",
            Self::NoProc => "mount -t proc proc /proc",
        }
    }
}

/// What the decision rests on.
struct Facts {
    root: Option<Mount>,
    confined: bool,
    same_root_as_init: bool,
    tmpfs: bool,
}

/// The way in which stage one can work here.
///
/// # Errors
/// The first reason against it.
pub fn takeover_route() -> Result<Way, Refusal> {
    let table = mounts().map_err(|_| Refusal::NoProc)?;
    let facts = Facts {
        // Where several lines say `/`, the last one is on top.
        root: table.into_iter().rev().find(|mount| mount.mountpoint == Path::new("/")),
        confined: confined(),
        same_root_as_init: identity_at("/proc/1/root/.") == identity_at("/"),
        tmpfs: fs::read_to_string("/proc/filesystems")
            .is_ok_and(|list| list.lines().any(|line| line.ends_with("\ttmpfs"))),
    };
    decide(&facts, || way(&init::detect()))
}

/// Init is asked only where the rest does not stand against it: the answer may take seconds.
fn decide(facts: &Facts, way: impl FnOnce() -> Result<Way, Refusal>) -> Result<Way, Refusal> {
    if facts.confined {
        return Err(Refusal::Container);
    }
    if !facts.same_root_as_init {
        return Err(Refusal::Chroot);
    }
    match &facts.root {
        // A chroot that is no mount point has no line for `/`.
        None => return Err(Refusal::Chroot),
        // The very first mount of a namespace is its own parent and cannot be pivoted.
        Some(root) if root.fs == "rootfs" || root.id == root.parent => return Err(Refusal::Initramfs),
        Some(_) => {}
    }
    let way = way()?;
    if facts.tmpfs { Ok(way) } else { Err(Refusal::NoTmpfs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nas() -> Facts {
        let root = Mount {
            id: 14,
            parent: 1,
            device: (31, 2),
            mountpoint: "/".into(),
            nosuid: false,
            shared: false,
            fs: "squashfs".into(),
            source: "/dev/root".into(),
        };
        Facts {
            root: Some(root),
            confined: false,
            same_root_as_init: true,
            tmpfs: true,
        }
    }

    fn busybox() -> Result<Way, Refusal> {
        Ok(Way::Inittab)
    }

    #[test]
    fn a_nas_with_busybox_can_be_taken_over() {
        assert_eq!(decide(&nas(), busybox), Ok(Way::Inittab));
    }

    #[test]
    fn each_obstacle_has_its_own_refusal() {
        let mut facts = nas();
        facts.tmpfs = false;
        assert_eq!(decide(&facts, busybox), Err(Refusal::NoTmpfs));
        let traced = || Err(Refusal::Init(Init::Procd, "is traced by process 7 already".to_owned()));
        let refusal = decide(&facts, traced).expect_err("refused");
        assert_eq!(
            refusal.to_string(),
            "process 1, procd, cannot be made to start flasher: it is traced by process 7 already"
        );
        facts.root.as_mut().expect("set").fs = "rootfs".into();
        assert_eq!(decide(&facts, busybox), Err(Refusal::Initramfs));
        facts.root = None;
        assert_eq!(decide(&facts, busybox), Err(Refusal::Chroot));
        facts.same_root_as_init = false;
        assert_eq!(decide(&facts, busybox), Err(Refusal::Chroot));
        facts.confined = true;
        assert_eq!(decide(&facts, busybox), Err(Refusal::Container));
    }
}
