//! upstart (Synology DSM 5 and 6, old Ubuntu): SIGTERM, on which it executes the path that it was started by, with
//! `--state-fd N --restart` and all signals blocked. Tried with 1.13.2; an exec that fails is survived.
#![forbid(unsafe_code)]

use super::{HandOver, silent, started_by};
use crate::error::{Context, Result};
use crate::event::StageEvent;
use crate::populate::also_at;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Upstart;

impl HandOver for Upstart {
    fn prepare(&mut self, root: &Path) -> Result<()> {
        also_at(root, &started_by())
    }

    /// On SIGUSR1 it does no more than to connect to D-Bus anew. That it takes the signal shows that it is awake.
    fn prove(&mut self, limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        let start = Instant::now();
        kill(Pid::from_raw(1), Signal::SIGUSR1).context(|| "send SIGUSR1 to init".to_owned())?;
        // A status that cannot be read shows nothing.
        while fs::read_to_string("/proc/1/status").map_or(true, |text| is_pending(&text, Signal::SIGUSR1)) {
            if start.elapsed() >= limit {
                return Err(silent("take SIGUSR1", limit));
            }
            sleep(POLL);
        }
        Ok(())
    }

    fn fire(&mut self) -> io::Result<()> {
        Ok(kill(Pid::from_raw(1), Signal::SIGTERM)?)
    }
}

/// Whether `/proc/PID/status` has the signal among those that the process has not taken yet; where it does not tell, yes.
fn is_pending(status: &str, signal: Signal) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    match (mask("SigPnd:"), mask("ShdPnd:")) {
        (Some(thread), Some(shared)) => (thread | shared) & (1 << (signal as u32 - 1)) != 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_taken_when_its_bit_is_gone() {
        let status = |mask: &str| format!("Name:\tinit\nSigPnd:\t0000000000000000\nShdPnd:\t{mask}\n");
        assert!(is_pending(&status("0000000000000200"), Signal::SIGUSR1));
        assert!(!is_pending(&status("0000000000000400"), Signal::SIGUSR1));
        assert!(is_pending("", Signal::SIGUSR1));
        assert!(is_pending(&status("what"), Signal::SIGUSR1));
    }
}
