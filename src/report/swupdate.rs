//! SWUpdate's progress socket, for programs of the box that know it: `swupdate-progress`, splash screens, web pages. It is there
//! while an update is written in place that can be followed (`--listen`), as SWUpdate 2022.12 has it (include/progress_ipc.h,
//! core/progress_thread.c); later clients wait for a greeting that this version does not know.
//!
//! Nothing waits for a client: one that does not take a message at once is given up.

#![forbid(unsafe_code)]

use super::Sink;
use super::progress::Meter;
use crate::base::error::Failure;
use crate::base::files::Directory;
use crate::base::outcome::Outcome;
use crate::base::phase::Phase;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::geteuid;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// What it is called.
const NAME: &str = "swupdateprog";
/// `RECOVERY_STATUS` of include/swupdate_status.h.
const RUN: u32 = 2;
const SUCCESS: u32 = 3;
const FAILURE: u32 = 4;
/// `SOURCE_LOCAL` there.
const LOCAL: u32 = 4;
/// Bytes of the texts of `struct progress_msg`, each with a zero at its end.
const IMAGE: usize = 256;
const HANDLER: usize = 64;
const INFO: usize = 2048;
/// Clients at a time.
const CLIENTS: usize = 8;

/// The phases of an update, which are its steps there.
const STEPS: [Phase; 2] = [Phase::Writing, Phase::Verifying];

/// The socket and those who have connected.
pub struct Socket {
    directory: Directory,
    listener: UnixListener,
    clients: Vec<UnixStream>,
    meter: Meter,
    /// Number and percentage of the step that is told.
    step: (usize, u64),
    why: String,
}

impl Socket {
    /// Opens it where SWUpdate's clients look (`get_prog_socket`, ipc/progress_ipc.c); `None` where that cannot be, or where
    /// somebody has it: the update does not need it.
    pub fn open() -> Option<Socket> {
        let dir = std::env::var_os("TMPDIR").unwrap_or_else(|| "/tmp".into());
        // Where others could put something else in its place meanwhile there is none.
        let directory = Directory::open(Path::new(&dir)).ok()?;
        let path = directory.by_descriptor().join(NAME);
        let listener = UnixListener::bind(&path).or_else(|error| match is_left_behind(&path) {
            true => {
                directory.remove(OsStr::new(NAME))?;
                UnixListener::bind(&path)
            }
            false => Err(error),
        });
        let listener = listener.ok()?;
        listener.set_nonblocking(true).ok()?;
        Some(Socket {
            directory,
            listener,
            clients: Vec::new(),
            meter: Meter::new(true),
            step: (0, 0),
            why: String::new(),
        })
    }

    fn tell(&mut self, status: u32) {
        // No more at a time: somebody may connect as fast as we accept.
        for _ in 0..4 * CLIENTS {
            let Ok((client, _)) = self.listener.accept() else {
                break;
            };
            if self.clients.len() < CLIENTS && client.set_nonblocking(true).is_ok() {
                self.clients.push(client);
            }
        }
        let bytes = message(status, self.step.0, self.step.1, &self.why);
        self.clients.retain_mut(|client| client.write_all(&bytes).is_ok());
    }
}

impl Sink for Socket {
    fn progress(&mut self, phase: Phase, done: u64, total: u64) {
        let Some(step) = STEPS.iter().position(|step| *step == phase) else {
            return;
        };
        if let Some(percent) = self.meter.due(phase, done, total) {
            self.step = (step + 1, percent);
            self.tell(RUN);
        }
    }

    fn failure(&mut self, failure: &Failure) {
        self.why.clone_from(&failure.what);
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.tell(if outcome.is_ok() { SUCCESS } else { FAILURE });
        let _ = self.directory.remove(OsStr::new(NAME));
    }
}

/// Whether it is a socket of ours at which nobody listens any more: of one that was killed. A server that does not answer is not
/// waited for, and what is somebody else's is left to him.
fn is_left_behind(path: &Path) -> bool {
    let ours = |about: Metadata| about.file_type().is_socket() && about.uid() == geteuid().as_raw();
    let (kind, flags) = (SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC);
    let refuses = || {
        let socket = socket(AddressFamily::Unix, kind, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
    };
    path.symlink_metadata().is_ok_and(ours) && refuses() == Err(Errno::ECONNREFUSED)
}

/// A `struct progress_msg` as the C compiler of this processor lays it out.
fn message(status: u32, step: usize, percent: u64, info: &str) -> Vec<u8> {
    let name = STEPS.get(step.wrapping_sub(1)).map_or("", |step| step.as_str());
    let mut bytes = Vec::new();
    // What is called a magic number in this version is never set; then the percentage of a download.
    numbers(&mut bytes, &[0, status, 100]);
    align(&mut bytes);
    bytes.extend(0u64.to_ne_bytes());
    numbers(&mut bytes, &[STEPS.len() as u32, step as u32, percent as u32]);
    text(&mut bytes, name, IMAGE);
    text(&mut bytes, "flasher", HANDLER);
    numbers(&mut bytes, &[LOCAL, info.len().min(INFO - 1) as u32]);
    text(&mut bytes, info, INFO);
    align(&mut bytes);
    bytes
}

fn numbers(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(align_of::<u64>()), 0);
}

/// What fits of a text, and zeros behind it.
fn text(bytes: &mut Vec<u8>, text: &str, room: usize) {
    let end = bytes.len() + room;
    bytes.extend(text.bytes().take(room - 1));
    bytes.resize(end, 0);
}
