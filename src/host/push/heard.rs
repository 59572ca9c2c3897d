//! What a command on the box says: read to its end, and no longer than anybody wants to wait for it, nor more than an answer can be. A
//! box that hangs, or that talks without end, does not hold the workstation.

#![forbid(unsafe_code)]

use super::interrupt::Interrupt;
use crate::base::quoted::printable;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Bytes of the longest answer.
pub const ANSWER: u64 = 4 << 20;
/// Bytes of what ssh said that are kept for a message.
const KEPT: usize = 4 << 10;
/// How long a command may take: the longest one takes our program over a slow line.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How often ^C is looked for, in milliseconds.
const LOOK: u8 = 100;

/// When nobody waits any longer.
#[derive(Clone)]
pub struct Until {
    interrupt: Interrupt,
    at: Instant,
}

impl Until {
    /// From now on.
    pub fn from_now(interrupt: &Interrupt) -> Until {
        Until {
            interrupt: interrupt.clone(),
            at: Instant::now() + PATIENCE,
        }
    }

    fn may_go_on(&self) -> io::Result<()> {
        match (self.interrupt.asked(), Instant::now() < self.at) {
            (true, _) => Err(io::Error::other("stopped by ^C")),
            (false, false) => Err(io::Error::other("the box does not answer any more")),
            (false, true) => Ok(()),
        }
    }

    /// Waits for the end of a program, which is killed when it does not come.
    ///
    /// # Errors
    /// One that was killed, or that the system lost.
    pub fn ended(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let step = Duration::from_millis(2);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if let Err(error) = self.may_go_on() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
            sleep(step);
        }
    }
}

/// The output of a program.
pub struct Heard<R> {
    output: R,
    until: Until,
}

impl<R: Read + AsFd> Heard<R> {
    /// Reads from it until then.
    pub fn new(output: R, until: Until) -> Heard<R> {
        Heard { output, until }
    }
}

impl<R: Read + AsFd> Read for Heard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // A box that talks all the time is interrupted, too.
            self.until.may_go_on()?;
            let waiting = &mut [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
            match poll(waiting, LOOK) {
                Ok(0) | Err(nix::Error::EINTR) => (),
                Ok(_) => return self.output.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a program says on standard error: kept for a message, and shown meanwhile if that is wanted.
pub struct Said(Arc<Mutex<Vec<u8>>>, Option<thread::JoinHandle<()>>);

impl Said {
    /// Listens.
    pub fn of(stderr: Option<ChildStderr>, aloud: bool) -> Said {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&kept);
        let listener = stderr.map(|mut stderr| {
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(got @ 1..) = stderr.read(&mut buffer) {
                    if aloud {
                        let text = String::from_utf8_lossy(&buffer[..got]).replace('\r', "");
                        let _ = std::io::stderr().write_all(printable(&text).as_bytes());
                    }
                    if let Ok(mut kept) = shared.lock() {
                        kept.extend_from_slice(&buffer[..got]);
                        let over = kept.len().saturating_sub(KEPT);
                        kept.drain(..over);
                    }
                }
            })
        });
        Said(kept, listener)
    }

    /// All of it, when the program has ended.
    pub fn text(&mut self) -> String {
        let _ = self.1.take().map(thread::JoinHandle::join);
        self.so_far()
    }

    /// What it has said already.
    pub fn so_far(&self) -> String {
        let bytes = self.0.lock().map(|kept| kept.clone()).unwrap_or_default();
        printable(&String::from_utf8_lossy(&bytes).replace('\r', "")).into_owned()
    }
}
