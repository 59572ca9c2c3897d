//! busybox init: a new inittab, SIGHUP, and SIGQUIT for the restart line.
//!
//! A bare `kill -HUP 1; kill -QUIT 1` is a race on every busybox before 1.32 (commit 356f23de2, "requests could be overwritten
//! by SIGHUP"): QUIT can overtake HUP, and then init runs the *old* restart action. Therefore the new inittab has a marker line, and only
//! when init has started the marker is QUIT sent.
#![forbid(unsafe_code)]

use super::{HandOver, silent};
use crate::error::{Context, Result};
use crate::event::StageEvent;
use crate::marker::{forget_inittab, marker};
use crate::populate::also_at;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(10);
/// Early versions lose a HUP that meets another signal, so it is repeated.
const REPEAT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Inittab;

impl HandOver for Inittab {
    /// Up to 1.9 SIGHUP executes the *old* restart action at once while the boot is not complete: until sysinit, wait and once
    /// lines have been started, the signal does what SIGQUIT does (`exec_signal`). So we lie at its path, too.
    fn prepare(&mut self, root: &Path) -> Result<()> {
        // Where it cannot be read, populating the RAM root has said so.
        let inittab = fs::read("/etc/inittab").unwrap_or_default();
        restart_paths(&inittab).iter().try_for_each(|path| also_at(root, path))
    }

    /// Sends SIGHUP to init until the marker of the new inittab runs as its child.
    fn prove(&mut self, limit: Duration, on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        let start = Instant::now();
        let mut attempt = 0;
        loop {
            if start.elapsed() >= REPEAT * attempt {
                attempt += 1;
                kill(Pid::from_raw(1), Signal::SIGHUP).context(|| "send SIGHUP to init".to_owned())?;
                on_event(StageEvent::HupSent { attempt });
            }
            if marker().is_some() {
                on_event(StageEvent::Armed { after: start.elapsed() });
                return Ok(());
            }
            if start.elapsed() >= limit {
                return Err(silent("re-read its inittab", limit));
            }
            sleep(POLL);
        }
    }

    fn fire(&mut self) -> io::Result<()> {
        quit()
    }

    fn forget(&mut self, marker: Option<u32>) -> Vec<String> {
        forget_inittab(marker)
    }
}

/// What an inittab's restart lines may execute: the first word, or, up to 1.9, all of it as one path.
fn restart_paths(inittab: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(inittab)
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.splitn(4, ':').skip(2);
            (fields.next()?.trim() == "restart").then_some(fields.next()?.trim())
        })
        .flat_map(|command| {
            // A hyphen asks for a login shell.
            let command = command.trim_start_matches('-');
            [command.split_whitespace().next().unwrap_or_default(), command]
        })
        .filter(|path| path.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

#[derive(Debug)]
pub(super) struct BuiltIn;

impl HandOver for BuiltIn {
    /// Whether it listens cannot be known.
    fn prove(&mut self, _limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        Ok(())
    }

    fn fire(&mut self) -> io::Result<()> {
        quit()
    }
}

fn quit() -> io::Result<()> {
    Ok(kill(Pid::from_raw(1), Signal::SIGQUIT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_old_restart_lines_execute_is_known() {
        let paths = restart_paths(
            b"::sysinit:/bin/a\n# ::restart:/no\n::restart:/etc/init.d/reinit now\nx::restart:-/sbin/init\n",
        );
        assert_eq!(
            paths,
            [
                "/etc/init.d/reinit",
                "/etc/init.d/reinit now",
                "/sbin/init",
                "/sbin/init"
            ]
        );
        assert!(restart_paths(b"::restart:init\n::restart\n\xff::restart:").is_empty());
    }
}
