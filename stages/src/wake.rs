//! What a start of this program means: an ordinary run, the marker, or being PID 1 in one way or another.
#![forbid(unsafe_code)]

use crate::guard;
use crate::mounts::{mount_virtual, root_is_ram_root};
use crate::pidone::PidOne;
use crate::prepare::PreparedRoot;
use crate::process::confined;
use crate::ways::answer_validation;
use std::path::Path;

/// The answer of [`wake`].
#[derive(Debug)]
pub enum Wakeup {
    /// An ordinary process: read the command line.
    NotPidOne,
    /// Started by init's marker line: call [`crate::init_marker`].
    Marker,
    /// Started by procd, to check an image: print this and end.
    Validator(String),
    /// PID 1 in the RAM root, stage two done: go on with [`PidOne::detach`].
    TakenOver(Box<PidOne>),
    /// PID 1 on the old root, and a prepared RAM root is there: call [`PreparedRoot::enter`].
    Prepared(PreparedRoot),
    /// PID 1 with nothing to do, for the reason given: call [`crate::boot_on`].
    NothingToDo(String),
}

/// To be called first in `main`, while no other thread runs.
///
/// As PID 1 in the RAM root it does stage two, which re-executes this program once, so it may not return. Arguments
/// do not matter to PID 1: early inits give none.
#[must_use]
pub fn wake() -> Wakeup {
    // A container's PID 1 is whatever was started in it: `docker run … flasher apply …` must not boot anything.
    let command = || confined() && !root_is_ram_root() && std::env::args_os().len() > 1;
    if std::process::id() != 1 || command() {
        let name = std::env::args_os().next().unwrap_or_default();
        if let Some(answer) = answer_validation(&name.to_string_lossy()) {
            return Wakeup::Validator(answer);
        }
        let marker = std::env::args_os().nth(1).is_some_and(|word| word == "init-marker");
        return if marker { Wakeup::Marker } else { Wakeup::NotPidOne };
    }
    if root_is_ram_root() {
        guard::install();
        return Wakeup::TakenOver(Box::new(PidOne::enter()));
    }
    // `umount -a` of the old inittab's shutdown lines takes it away.
    if !Path::new("/proc/self/mountinfo").exists() {
        let _ = mount_virtual("proc", Path::new("/proc"), "");
    }
    match PreparedRoot::find() {
        Ok(Some(root)) => {
            guard::install();
            Wakeup::Prepared(root)
        }
        Ok(None) => Wakeup::NothingToDo("no update is prepared".to_owned()),
        Err(e) => Wakeup::NothingToDo(e.to_string()),
    }
}
