//! Makes init re-read its inittab, and proves that it has, before it is told to hand over.
//!
//! The bare `kill -HUP 1; kill -QUIT 1` of the seed is a race on every busybox before 1.32 (FACTS.md §1): QUIT can
//! overtake HUP, and then init runs the *old* restart action. Therefore the new inittab has a marker line, and only
//! when init has started the marker is QUIT sent.
#![forbid(unsafe_code)]

use crate::error::{Context, Error, ErrorKind, Result};
use crate::event::StageEvent;
use crate::mounts::root_is_ram_root;
use crate::pivot::Pivoted;
use crate::power;
use crate::process::{command_line, process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The marker's own record: its pid in decimal.
const MARKER: &str = "/marker";
const MARKER_ARGUMENT: &str = "init-marker";
const POLL: Duration = Duration::from_millis(50);
/// Early versions lose a HUP that meets another signal, so it is repeated.
const REPEAT: Duration = Duration::from_secs(3);

/// Init runs on our inittab: SIGQUIT will start us as PID 1. Dropping it puts everything back.
#[derive(Debug)]
pub struct Armed {
    pivoted: Pivoted,
}

impl Pivoted {
    /// Sends SIGHUP to init until the marker of the new inittab runs as its child.
    ///
    /// # Errors
    /// [`ErrorKind::InitSilent`] when `limit` passes; everything has been undone then, and init was told to re-read its
    /// old inittab.
    pub fn arm(mut self, limit: Duration, on_event: &mut dyn FnMut(StageEvent)) -> Result<Armed> {
        let start = Instant::now();
        let mut attempt = 0;
        let error = loop {
            if start.elapsed() >= REPEAT * attempt {
                attempt += 1;
                self.hung_up = true;
                if let Err(e) = kill(Pid::from_raw(1), Signal::SIGHUP).context(|| "send SIGHUP to init".to_owned()) {
                    break e;
                }
                on_event(StageEvent::HupSent { attempt });
            }
            if marker().is_some() {
                on_event(StageEvent::Armed {
                    after_ms: start.elapsed().as_millis().try_into().unwrap_or(u32::MAX),
                });
                return Ok(Armed { pivoted: self });
            }
            if start.elapsed() >= limit {
                let text = format!(
                    "init did not re-read its inittab within {} s of SIGHUP",
                    limit.as_secs()
                );
                break Error::new(ErrorKind::InitSilent, text);
            }
            sleep(POLL);
        };
        on_event(StageEvent::Undoing { why: error.to_string() });
        Err(error.leaving(self.undo()))
    }
}

impl Armed {
    /// Sends SIGQUIT to init, which ends every process, this one too, and starts us as PID 1.
    ///
    /// Does not return. Where init does not act on it for a minute, although it answered to SIGHUP just before, the signal is
    /// repeated, and then the box is rebooted: the flash is untouched, the old firmware is whole, and a late QUIT would
    /// meet whatever an undo had put in its place (`/flasher` missing means that init halts the box).
    pub(crate) fn fire(self) -> ! {
        self.pivoted.commit();
        for _ in 0..12 {
            if let Err(e) = kill(Pid::from_raw(1), Signal::SIGQUIT) {
                log::error!("send SIGQUIT to init: {e}");
            }
            sleep(Duration::from_secs(5));
        }
        power::reboot()
    }
}

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

/// After the way back: makes init forget our inittab and ends the marker, which would keep the RAM root busy.
///
/// Init without FEATURE_KILL_REMOVED lets a process run whose line has vanished, and respawns it until it has
/// re-read the file; so the marker is ended after the HUP had time to act, and a second HUP covers a lost one.
pub(crate) fn disarm(marker: Option<u32>) -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..2 {
        if let Err(e) = kill(Pid::from_raw(1), Signal::SIGHUP) {
            left.push(format!("send SIGHUP to init: {e}"));
        }
        sleep(Duration::from_millis(300));
        if let Some(pid) = marker.filter(|&pid| is_marker(pid)) {
            // It may have ended by itself in between.
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
    left
}

/// The body of `/flasher init-marker`: shows init's parent that the new inittab is in force. Ends when the RAM root is no
/// longer `/`.
pub fn init_marker() -> ! {
    // Run by hand on a box that is not being taken over, it must not leave a file behind.
    if root_is_ram_root() {
        // Written beside and renamed, so that nobody reads half a number. A failure shows as a marker that never comes.
        let staged = format!("{MARKER}.new");
        let written = fs::write(&staged, std::process::id().to_string()).and_then(|()| fs::rename(&staged, MARKER));
        while written.is_ok() && root_is_ram_root() {
            sleep(Duration::from_secs(1));
        }
    }
    // Init starts us again at once; a pause keeps that from being a loop without rest.
    sleep(Duration::from_secs(1));
    std::process::exit(0)
}
