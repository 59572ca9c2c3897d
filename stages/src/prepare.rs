//! The other way in: a RAM root is prepared and stays mounted, and init's own restart line starts us as PID 1.
//!
//! The firmware ships `::restart:/path/flasher`; `kill -QUIT 1` (or whatever makes init restart) then finds the mount
//! by its source name. Init runs the shutdown lines of the old inittab before that, so the mount must survive an
//! `umount -a -r`: a holder process keeps it busy until init kills it, which is after those lines.
#![forbid(unsafe_code)]

use crate::error::{Context, Error, ErrorKind, Result};
use crate::handoff::HandOff;
use crate::mounts::{find_ram_root, make_writable, mounts};
use crate::pivot;
use crate::populate::Populated;
use crate::process::single_threaded;
use crate::say::say;
use crate::signals;
use crate::sys::{self, Forked};
use crate::{guard, pidone};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Leaves the RAM root mounted for PID 1, held by a process of its own. Returns in the caller; answers the holder's pid.
///
/// # Errors
/// [`ErrorKind::Threads`] when other threads run, or the fork that failed; the RAM root is gone then.
pub fn prepare(root: Populated) -> Result<u32> {
    if !single_threaded() {
        return Err(Error::new(
            ErrorKind::Threads,
            "a RAM root must be prepared while no other thread runs",
        ));
    }
    let root = root.into_root();
    match signals::fork_detached().context(|| "fork the holder of the RAM root".to_owned())? {
        Forked::Child => hold(root.path()),
        Forked::Parent(pid) => {
            root.pass_on();
            Ok(pid)
        }
    }
}

fn hold(mountpoint: &Path) -> ! {
    sys::set_name(c"flasher-hold");
    if std::env::set_current_dir(mountpoint).is_err() {
        sys::exit_now(1);
    }
    loop {
        sleep(Duration::from_secs(3600));
    }
}

/// A RAM root that waits for PID 1.
#[derive(Debug)]
pub struct PreparedRoot {
    mountpoint: PathBuf,
    handoff: HandOff,
}

impl PreparedRoot {
    /// Looks for one in the mount table.
    ///
    /// # Errors
    /// There is one, but its hand-off is damaged.
    pub(crate) fn find() -> Result<Option<Self>> {
        let Some(mountpoint) = mounts().ok().and_then(|table| find_ram_root(&table)) else {
            return Ok(None);
        };
        let handoff = HandOff::load(&mountpoint.join("handoff.json"))?;
        Ok(Some(Self { mountpoint, handoff }))
    }

    /// The record that was prepared.
    #[must_use]
    pub fn handoff(&self) -> &HandOff {
        &self.handoff
    }

    /// As PID 1: makes it `/` and starts `/flasher` of it, which then finds itself taken over. Does not return: where it
    /// cannot be done the box reboots into the old firmware.
    pub fn enter(self) -> ! {
        let entered = make_writable(&self.mountpoint)
            .context(|| format!("make {} writable", self.mountpoint.display()))
            .and_then(|()| mounts().context(|| "read /proc/self/mountinfo".to_owned()))
            .and_then(|table| pivot::switch(&self.mountpoint, &table));
        let error = match entered {
            Ok(_) => pidone::exec_flasher(None).to_string(),
            Err(e) => e.to_string(),
        };
        say(&format!("the prepared RAM root cannot be entered: {error}"));
        guard::end(&error)
    }
}
