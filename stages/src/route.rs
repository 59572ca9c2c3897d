//! Whether this system can be taken over at all. Nothing is touched.
#![forbid(unsafe_code)]

use crate::init::{self, Init};
use crate::mounts::{Mount, mounts};
use crate::process::confined;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How init is made to start us as PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// busybox init re-reads its inittab on SIGHUP, and executes the restart line on SIGQUIT.
    Inittab,
    /// busybox init without FEATURE_USE_INITTAB: SIGQUIT executes the built-in restart action `init`, which it finds as
    /// `/sbin/init` of the RAM root.
    BuiltIn,
    /// sysvinit executes the path it was started by, `/sbin/init`, when its FIFO says so (`telinit u`).
    Initctl,
    /// systemd executes the path of its own program, which is ours in the RAM root, on SIGTERM.
    ///
    /// Not `systemctl soft-reboot` (254 and later): that leaves the old root by a lazy unmount (`MNT_DETACH` in
    /// `switch-root.c`), which can hide a file system that is in use, and needs 254.
    Reexec,
}

/// The way for an init.
///
/// # Errors
/// [`Refusal::Init`] for those that keep being PID 1 until the machine goes down.
pub fn way(init: &Init) -> Result<Way, Refusal> {
    match init {
        Init::BusyBox { inittab: true, .. } => Ok(Way::Inittab),
        Init::BusyBox { inittab: false, .. } => Ok(Way::BuiltIn),
        Init::Sysvinit => Ok(Way::Initctl),
        Init::Systemd { .. } => Ok(Way::Reexec),
        other => Err(Refusal::Init(other.clone())),
    }
}

/// Why a takeover is refused. `Display` is the reason, [`Refusal::remedy`] the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The init has no takeover route.
    Init(Init),
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
            Self::Init(init) => write!(
                f,
                "the takeover needs busybox init, sysvinit or systemd as PID 1, and here it is {init}"
            ),
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
            Self::Init(_) => {
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
    init: Init,
    root: Option<Mount>,
    confined: bool,
    same_root_as_init: bool,
    tmpfs: bool,
}

/// Whether stage one can work here.
///
/// # Errors
/// The first reason against it.
pub fn takeover_route() -> Result<(), Refusal> {
    let table = mounts().map_err(|_| Refusal::NoProc)?;
    let identity = |path: &str| fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    decide(&Facts {
        init: init::detect(),
        // Where several lines say `/`, the last one is on top.
        root: table.into_iter().rev().find(|mount| mount.mountpoint == Path::new("/")),
        confined: confined(),
        same_root_as_init: identity("/proc/1/root/.") == identity("/"),
        tmpfs: fs::read_to_string("/proc/filesystems")
            .is_ok_and(|list| list.lines().any(|line| line.ends_with("\ttmpfs"))),
    })
}

fn decide(facts: &Facts) -> Result<(), Refusal> {
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
    way(&facts.init)?;
    if facts.tmpfs { Ok(()) } else { Err(Refusal::NoTmpfs) }
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
            fs: "squashfs".into(),
            source: "/dev/root".into(),
        };
        Facts {
            init: Init::BusyBox {
                version: None,
                inittab: true,
            },
            root: Some(root),
            confined: false,
            same_root_as_init: true,
            tmpfs: true,
        }
    }

    #[test]
    fn a_nas_with_busybox_can_be_taken_over() {
        assert_eq!(decide(&nas()), Ok(()));
    }

    #[test]
    fn each_init_has_its_way_or_is_refused_by_name() {
        let busybox = |inittab| Init::BusyBox { version: None, inittab };
        assert_eq!(way(&busybox(true)), Ok(Way::Inittab));
        assert_eq!(way(&busybox(false)), Ok(Way::BuiltIn));
        assert_eq!(way(&Init::Sysvinit), Ok(Way::Initctl));
        assert_eq!(way(&Init::Systemd { version: None }), Ok(Way::Reexec));
        for other in [
            Init::Procd,
            Init::Runit,
            Init::S6,
            Init::OpenrcInit,
            Init::Unknown("busybox sh".into()),
        ] {
            let refusal = way(&other).expect_err("refused");
            assert!(refusal.to_string().ends_with(&other.to_string()), "{refusal}");
        }
    }

    #[test]
    fn each_obstacle_has_its_own_refusal() {
        let mut facts = nas();
        facts.tmpfs = false;
        assert_eq!(decide(&facts), Err(Refusal::NoTmpfs));
        facts.init = Init::Procd;
        let refusal = decide(&facts).expect_err("refused");
        assert_eq!(
            refusal.to_string(),
            "the takeover needs busybox init, sysvinit or systemd as PID 1, and here it is procd"
        );
        facts.root.as_mut().expect("set").fs = "rootfs".into();
        assert_eq!(decide(&facts), Err(Refusal::Initramfs));
        facts.root = None;
        assert_eq!(decide(&facts), Err(Refusal::Chroot));
        facts.same_root_as_init = false;
        assert_eq!(decide(&facts), Err(Refusal::Chroot));
        facts.confined = true;
        assert_eq!(decide(&facts), Err(Refusal::Container));
    }
}
