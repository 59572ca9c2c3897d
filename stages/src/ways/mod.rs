//! How each init is made to start us as PID 1: a way a file, all behind one trait.
//!
//! A new init is one file here, its name in [`crate::init::Init`], and a row in [`known`].
#![forbid(unsafe_code)]

mod busybox;
mod openrc;
mod procd;
mod ptrace;
mod systemd;
mod sysvinit;
mod upstart;

use crate::error::{Error, ErrorKind, Result};
use crate::event::StageEvent;
use crate::init::Init;
use crate::route::Refusal;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

pub(crate) use procd::answer_validation;

/// By which words init is made to start us as PID 1.
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
    /// OpenWrt's procd executes `/sbin/upgraded` when ubus tells it to (`system.sysupgrade`).
    Ubus,
    /// upstart executes the path it was started by on SIGTERM (`telinit u` of its own).
    Upstart,
    /// openrc-init executes the path it was started by when its FIFO says `reexec`.
    OpenrcCtl,
    /// An init that executes nothing by itself: it is made to by ptrace(2).
    Ptrace,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inittab => "inittab",
            Self::BuiltIn => "restart",
            Self::Initctl => "initctl",
            Self::Reexec => "re-execution",
            Self::Ubus => "ubus",
            Self::Upstart => "upstart",
            Self::OpenrcCtl => "openrc",
            Self::Ptrace => "ptrace",
        })
    }
}

/// The way of the inits that have one of their own; procd may not serve it.
pub(crate) fn known(init: &Init) -> Option<Way> {
    Some(match init {
        Init::BusyBox { inittab: true, .. } => Way::Inittab,
        Init::BusyBox { inittab: false, .. } => Way::BuiltIn,
        Init::Sysvinit => Way::Initctl,
        Init::Systemd { .. } => Way::Reexec,
        Init::Procd => Way::Ubus,
        Init::Upstart => Way::Upstart,
        Init::OpenrcInit => Way::OpenrcCtl,
        Init::Runit | Init::S6 | Init::Flasher | Init::Unknown(_) => return None,
    })
}

/// The way for an init. Nothing is touched; procd is asked what it serves, and the kernel whether it lets PID 1 be traced.
///
/// # Errors
/// [`Refusal::Init`] where init cannot be made to start us.
pub fn way(init: &Init) -> std::result::Result<Way, Refusal> {
    match known(init) {
        Some(Way::Ubus) if !procd::serves() => {}
        Some(way) => return Ok(way),
        None if *init == Init::Flasher => return Err(Refusal::Init(init.clone(), "is no init".to_owned())),
        None => {}
    }
    match ptrace::allowed() {
        Ok(()) => Ok(Way::Ptrace),
        Err(why) => Err(Refusal::Init(init.clone(), why)),
    }
}

/// What is done in a way, in this order.
pub(crate) trait HandOver: fmt::Debug {
    /// Before the pivot: what must be opened while the old root is still `/`, and what init will look for in the RAM root. Nothing
    /// of the system is changed.
    fn prepare(&mut self, _root: &Path) -> Result<()> {
        Ok(())
    }

    /// After the pivot: proves that init listens and sees the new root, as far as that can be known.
    ///
    /// # Errors
    /// [`ErrorKind::InitSilent`] when `limit` passes.
    fn prove(&mut self, limit: Duration, on_event: &mut dyn FnMut(StageEvent)) -> Result<()>;

    /// The last word. It may be said again where nothing follows and init is still the program that it was.
    fn fire(&mut self) -> io::Result<()>;

    /// After the way back to the old root: makes init forget what it was told, and answers what could not be. `marker` is the
    /// process that init started in the RAM root, if any.
    fn forget(&mut self, _marker: Option<u32>) -> Vec<String> {
        Vec::new()
    }
}

/// The implementation of a way.
pub(crate) fn hand_over(way: Way) -> Box<dyn HandOver> {
    match way {
        Way::Inittab => Box::new(busybox::Inittab),
        Way::BuiltIn => Box::new(busybox::BuiltIn),
        Way::Initctl => Box::<sysvinit::Initctl>::default(),
        Way::Reexec => Box::new(systemd::Reexec),
        Way::Ubus => Box::<procd::Ubus>::default(),
        Way::Upstart => Box::new(upstart::Upstart),
        Way::OpenrcCtl => Box::<openrc::OpenrcCtl>::default(),
        Way::Ptrace => Box::new(ptrace::Ptrace),
    }
}

/// Init did not do `what`.
fn silent(what: &str, limit: Duration) -> Error {
    Error::new(
        ErrorKind::InitSilent,
        format!("init did not {what} within {} s of being told", limit.as_secs()),
    )
}

/// What init was started by, its `argv[0]`, where it is a path. Some inits execute that when they start anew.
fn started_by() -> String {
    let words = std::fs::read("/proc/1/cmdline").unwrap_or_default();
    let first = words.split(|&byte| byte == 0).next().unwrap_or_default();
    match String::from_utf8_lossy(first).into_owned() {
        path if path.starts_with('/') => path,
        _ => "/sbin/init".to_owned(),
    }
}
