//! The process that init starts from our inittab, which shows that it has read it, and making init forget it.
#![forbid(unsafe_code)]

use crate::process::{command_line, process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The marker's own record: its pid in decimal.
pub(crate) const MARKER: &str = "/marker";
const MARKER_ARGUMENT: &str = "init-marker";

/// The pid of the marker, when init has started it in this root.
pub(crate) fn marker() -> Option<u32> {
    let pid = fs::read_to_string(MARKER).ok()?.trim().parse().ok()?;
    // The file alone proves nothing: whoever runs the command by hand writes it too.
    let owner = process(Path::new("/proc"), pid)?;
    (owner.ppid == 1 && is_marker(pid)).then_some(pid)
}

fn is_marker(pid: u32) -> bool {
    command_line(pid).contains(MARKER_ARGUMENT)
}

/// Makes init forget our inittab and ends the marker, which would keep the RAM root busy.
///
/// Init without FEATURE_KILL_REMOVED lets a process run whose line has vanished, and respawns it until it has
/// re-read the file; so the marker is ended after the HUP had time to act, and a second HUP covers a lost one.
pub(crate) fn forget_inittab(marker: Option<u32>) -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..2 {
        if let Err(e) = kill(Pid::from_raw(1), Signal::SIGHUP) {
            left.push(format!("send SIGHUP to init: {}", io::Error::from(e)));
        }
        sleep(Duration::from_millis(300));
        if let Some(pid) = marker.filter(|&pid| is_marker(pid)) {
            // It may have ended by itself in between.
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
    left
}
