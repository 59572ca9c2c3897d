//! Signals that must not stop a write.
#![forbid(unsafe_code)]

use crate::sys::{self, Disposition, Forked};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::fs::OpenOptions;
use std::io;

/// What a dying session, an operator or init's first round of killing sends.
const SESSION: [i32; 13] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGPIPE,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGXCPU,
    // Timers live through an exec, also that of a program that runs as root (setitimer(2)); so do limits and O_ASYNC.
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGXFSZ,
    libc::SIGIO,
];

/// Terminal stops, and what the kernel and power daemons send to init.
const TERMINAL: [i32; 5] = [
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGWINCH,
    libc::SIGPWR,
];

/// Ignores every signal that a lost session or a terminal may send, and takes away the limits after which the kernel ends a process.
/// For work on the running system, too: call it before the first erase (a lost session's `SIGHUP` kills `flashcp` between erase
/// and write).
pub fn ignore_hangups() {
    sys::lift_limits();
    for number in SESSION.into_iter().chain(TERMINAL) {
        sys::signal(number, Disposition::Ignore);
    }
}

/// A limit on the size of files is an error of the write that meets it (setrlimit(2)), to be told like any other, and not the end
/// of the program without a word.
pub fn survive_file_limit() {
    sys::signal(libc::SIGXFSZ, Disposition::Ignore);
}

/// Leaves the session of the caller, so that its end cannot reach us. Harmless for a leader of a process group: the kernel
/// refuses, and the ignored signals do the rest.
pub fn own_session() {
    let _ = nix::unistd::setsid();
}

/// Forks a child that outlives its caller, and that no signal which a dying session sends can end, from its first instruction on.
///
/// # Errors
/// Of fork(2), and that signals cannot be held back meanwhile.
pub(crate) fn fork_detached() -> io::Result<Forked> {
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    let forked = sys::fork();
    if let Ok(Forked::Child) = forked {
        // What was sent to it meanwhile goes with that.
        detach_from_caller();
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    forked
}

/// A session of its own, no terminal, no signal that a dying session sends, and none of the caller's pipes, for whose end its sshd
/// would wait.
fn detach_from_caller() {
    ignore_hangups();
    own_session();
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = sys::become_stdio(&null);
    }
}

/// PID 1 ignores all that the old init acted upon, and lets the kernel reap its children.
///
/// With SIGCHLD ignored, waiting for a child answers ECHILD after it has ended (wait(2)).
pub(crate) fn ignore_as_pid_one() {
    ignore_hangups();
    sys::signal(libc::SIGCHLD, Disposition::Ignore);
    unblock();
}

/// Everything at its default and nothing blocked: what a program that we execute may expect.
pub(crate) fn defaults() {
    for number in 1..32 {
        sys::signal(number, Disposition::Default);
    }
    unblock();
}

/// Busybox init since 1.32 runs with signals blocked.
fn unblock() {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}
