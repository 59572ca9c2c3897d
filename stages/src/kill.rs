//! Ends every process but PID 1, in bounded rounds.
#![forbid(unsafe_code)]

use crate::event::StageEvent;
use crate::process::{Process, processes};
use crate::thaw;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// Ends everything: SIGTERM and up to `gentle` of time, then SIGKILL and up to `forced`.
///
/// Init has ended nearly all before; those left were started since, came from outside, or do not die. With nobody
/// left it takes no time.
///
/// `known` are those that an earlier round has named; only others make news.
pub(crate) fn everybody(
    gentle: Duration,
    forced: Duration,
    known: &mut Vec<u32>,
    on_event: &mut dyn FnMut(StageEvent),
) {
    let mut alive = others();
    let news = alive.iter().any(|process| !known.contains(&process.pid));
    for (signal, limit) in [(Signal::SIGTERM, gentle), (Signal::SIGKILL, forced)] {
        if alive.is_empty() {
            return;
        }
        let is_forced = signal == Signal::SIGKILL;
        if news {
            on_event(StageEvent::Ending {
                forced: is_forced,
                processes: names(&alive),
            });
        }
        if is_forced {
            thaw::all();
        }
        let start = Instant::now();
        while !alive.is_empty() && start.elapsed() < limit {
            // Again in each round: a process that forks may have put a child between two looks.
            if is_forced || start.elapsed() < POLL {
                let _ = kill(Pid::from_raw(-1), signal);
            }
            sleep(POLL);
            alive = others();
        }
    }
    if news && !alive.is_empty() {
        on_event(StageEvent::Unkillable {
            processes: names(&alive),
        });
    }
    known.extend(alive.iter().map(|process| process.pid));
}

fn names(processes: &[Process]) -> Vec<String> {
    processes.iter().map(Process::to_string).collect()
}

fn others() -> Vec<Process> {
    reap();
    let me = std::process::id();
    processes(Path::new("/proc"))
        .into_iter()
        .filter(|process| process.pid != me && process.is_alive())
        .collect()
}

/// Zombies that were there before SIGCHLD was ignored have to be waited for.
fn reap() {
    use nix::sys::wait::WaitStatus::StillAlive;
    while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(StillAlive) | Err(_)) {}
}
