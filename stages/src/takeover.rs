//! Stage one as a whole: a process of its own does the work, so that nothing that happens to the caller's session can
//! stop it half way.
//!
//! The caller (`flasher apply` in an ssh session) forks a child with a session of its own, draws the child's
//! events, and returns; its session gets a last line and an exit code. The child waits for that before it tells
//! init to hand over, because the hand-over ends every process, sshd too.
#![forbid(unsafe_code)]

use crate::arm::{self, Armed};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::event::StageEvent;
use crate::init;
use crate::memory;
use crate::mounts::{mounts, root_is_ram_root, shared};
use crate::pivot::Pivoted;
use crate::populate::Populated;
use crate::process::{process, single_threaded};
use crate::ramroot::RamRoot;
use crate::session::Session;
use crate::signals;
use crate::sys::{self, Forked};
use crate::ways::{self, Way};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a caller takes at the most to make the old root `/` again.
const UNDO: Duration = Duration::from_secs(30);

/// How often it is looked whether that is done.
const POLL: Duration = Duration::from_millis(50);

/// How long stage one waits for others.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For init to re-read its inittab.
    pub arm: Duration,
    /// For the caller to exit after [`take_over`] has returned.
    pub caller_exit: Duration,
    /// After the caller has gone, for its sshd to pass on the last output and the exit code. Less where that is seen to be
    /// done, nothing at a console.
    pub grace: Duration,
}

impl Default for Limits {
    /// 30 s, 5 s, 1 s.
    fn default() -> Self {
        Self {
            arm: Duration::from_secs(30),
            caller_exit: Duration::from_secs(5),
            grace: Duration::from_secs(1),
        }
    }
}

/// Who asked for the takeover. What stage one knows of it, it cannot ask any more: the caller may end at any moment.
struct Caller {
    pid: u32,
    session: Session,
}

/// What the child writes to its pipe, one JSON value a line.
#[derive(Serialize, Deserialize)]
enum Report {
    /// As text: the caller only prints it, and reading every kind of event back would cost 26 kB.
    Event(String),
    Failed(Error),
    Done,
}

/// Takes the system over with the default [`Limits`].
///
/// Returns in the caller only, once init is armed: print the last line and exit 0 within five seconds; then
/// init ends every process and starts the RAM root's `/flasher` as PID 1. If the caller or its session dies at any moment,
/// the takeover goes on.
///
/// # Errors
/// The failed step. The system is as it was, except for [`Error::left_behind`], and the RAM root is gone.
/// [`ErrorKind::NoRoute`] when no way is known for this init, before anything is touched.
/// [`ErrorKind::Threads`] when the process has more than one thread: fork without exec is only sound with one.
pub fn take_over(root: Populated, on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
    take_over_with(root, Limits::default(), on_event)
}

/// [`take_over`] with limits of the caller's choice.
///
/// # Errors
/// As [`take_over`].
pub fn take_over_with(root: Populated, limits: Limits, on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
    if !single_threaded() {
        return Err(Error::new(
            ErrorKind::Threads,
            "stage one must be started while no other thread runs",
        ));
    }
    let way = ways::way(&init::detect()).map_err(|refusal| Error::new(ErrorKind::NoRoute, refusal.to_string()))?;
    let shared = shared(&mounts().context(|| "read /proc/self/mountinfo".to_owned())?);
    let (reader, writer) = pipe().context(|| "make a pipe".to_owned())?;
    let caller = Caller {
        pid: std::process::id(),
        session: Session::ours(),
    };
    match signals::fork_detached().context(|| "fork stage one".to_owned())? {
        Forked::Child => {
            drop(reader);
            child(root, way, caller, limits, writer)
        }
        Forked::Parent(pid) => {
            drop(writer);
            let root = root.into_root();
            let mountpoint = root.path().to_owned();
            root.pass_on();
            on_event(StageEvent::Detaching { pid });
            parent(pid, reader, &mountpoint, shared, on_event)
        }
    }
}

fn parent(
    pid: u32,
    reader: OwnedFd,
    mountpoint: &Path,
    shared: Vec<PathBuf>,
    on_event: &mut dyn FnMut(StageEvent),
) -> Result<()> {
    let pipe = File::from(reader);
    let lines = BufReader::new(&pipe).split(b'\n').map_while(std::result::Result::ok);
    for report in lines.filter_map(|line| crate::json::parse(&line).ok()) {
        match report {
            Report::Event(text) => on_event(StageEvent::note(text)),
            Report::Done => {
                // Open until this process ends: stage one waits for that, so that the last line is out before init ends everybody.
                std::mem::forget(pipe);
                return Ok(());
            }
            Report::Failed(error) => {
                reap(pid);
                return Err(error);
            }
        }
    }
    // The child was killed. What it left is put back from here; our own root went along with the pivot.
    reap(pid);
    let error = Error::new(ErrorKind::StageOneDied, "the stage-one process was killed");
    let table = mounts().unwrap_or_default();
    let left = if root_is_ram_root() {
        Pivoted::adopt(mountpoint, &table, shared).undo()
    } else if crate::mounts::is_mountpoint(&table, mountpoint) {
        RamRoot::adopt(mountpoint).remove()
    } else {
        Vec::new()
    };
    Err(error.leaving(left))
}

fn reap(pid: u32) {
    // Only ECHILD can come of it, when the caller ignores SIGCHLD.
    let _ = waitpid(Pid::from_raw(pid.cast_signed()), None);
}

/// Everything from here on runs in the child, which never returns into the caller's code.
fn child(root: Populated, way: Way, caller: Caller, limits: Limits, writer: OwnedFd) -> ! {
    let mut reporter = Reporter {
        pipe: File::from(writer),
    };
    // A full pipe, because the caller's terminal is stopped, must not stop us.
    let nonblocking = fcntl(reporter.pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
    if let Err(e) = memory::protect() {
        reporter.event(StageEvent::note(format!(
            "stage one: memory is not fully protected, {e}"
        )));
    }
    let armed = nonblocking
        .context(|| "set up the pipe".to_owned())
        .and_then(|_| stage_one(root, way, limits, &mut reporter));
    match armed {
        Ok(armed) => {
            let lifeline = match stand_in() {
                Some(StandIn::Us(lifeline)) => {
                    drop(reporter);
                    outlive(lifeline, caller.pid, armed)
                }
                Some(StandIn::Other(lifeline)) => Some(lifeline),
                None => None,
            };
            reporter.last(&Report::Done);
            reporter.wait_for_caller(limits, &caller.session);
            // Closed by the kernel at our end, and no sooner.
            std::mem::forget(lifeline);
            armed.fire()
        }
        Err(error) => {
            if error.left_behind().is_empty() {
                reporter.event(StageEvent::Undone);
            }
            reporter.last(&Report::Failed(error));
            sys::exit_now(1)
        }
    }
}

fn stage_one(root: Populated, way: Way, limits: Limits, reporter: &mut Reporter) -> Result<Armed> {
    arm::name_workers(root.path()).context(|| "name stage one in the RAM root".to_owned())?;
    let mut words = ways::hand_over(way);
    words.prepare(root.path())?;
    let pivoted = root.pivot()?;
    reporter.event(StageEvent::Pivoted { moved: pivoted.moved() });
    let armed = pivoted.arm(way, words, limits.arm, &mut |event| reporter.event(event))?;
    reporter.event(StageEvent::HandingOver);
    Ok(armed)
}

/// Which of the two we are: the one that tells init to hand over, or the one that does so in its place when it is killed
/// before, and the caller is not there any more to put things back.
enum StandIn {
    Us(OwnedFd),
    Other(OwnedFd),
}

/// Forks the stand-in. The pipe between the two says that the first one lives. Without one the takeover goes on.
fn stand_in() -> Option<StandIn> {
    let (reader, writer) = pipe().ok()?;
    match sys::fork().ok()? {
        Forked::Child => Some(StandIn::Us(reader)),
        Forked::Parent(_) => Some(StandIn::Other(writer)),
    }
}

/// Waits for the end of stage one, and then for the caller, as long as there is one, to put everything back if it wants to.
fn outlive(lifeline: OwnedFd, caller: u32, armed: Armed) -> ! {
    let _ = File::from(lifeline).read(&mut [0]);
    let start = Instant::now();
    let is_there = || process(Path::new("/proc"), caller).is_some_and(|caller| caller.is_alive());
    while root_is_ram_root() && is_there() && start.elapsed() < UNDO {
        sleep(POLL);
    }
    if root_is_ram_root() {
        armed.fire()
    }
    sys::exit_now(0)
}

struct Reporter {
    pipe: File,
}

impl Reporter {
    /// A line is shorter than PIPE_BUF, so it is written whole or not at all (pipe(7)). A lost line is only a lost line.
    fn send(&mut self, report: &Report) -> std::io::Result<()> {
        let mut line = crate::json::write(report).map_err(std::io::Error::other)?;
        line.push('\n');
        self.pipe.write_all(line.as_bytes())
    }

    fn event(&mut self, event: StageEvent) {
        let _ = self.send(&Report::Event(event.to_string()));
    }

    /// The result is worth waiting for, but not for ever, and not when the caller has gone.
    fn last(&mut self, report: &Report) {
        for _ in 0..50 {
            match self.send(report) {
                Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {}
                _ => return,
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the caller has closed its end by exiting, and until its sshd has passed on what it left.
    fn wait_for_caller(&self, limits: Limits, session: &Session) {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::empty())];
        let timeout = PollTimeout::try_from(limits.caller_exit).unwrap_or(PollTimeout::MAX);
        // POLLERR on the writing end says that nobody reads any more (poll(2)); it comes without being asked for.
        let _ = poll(&mut fds, timeout);
        session.wait(limits.grace);
    }
}
