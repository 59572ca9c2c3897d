//! sysvinit: the FIFO by which `telinit u` makes it start anew.
#![forbid(unsafe_code)]

use super::{HandOver, silent};
use crate::error::{Context, Result};
use crate::event::StageEvent;
use crate::marker::{forget_inittab, marker};
use nix::libc::O_NONBLOCK;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(10);
/// For the marker, which need not come.
const MARKER: Duration = Duration::from_secs(3);
/// The FIFO, where it is since 2.89 (Debian: 2.88), and before.
const INITCTL: [&str; 2] = ["/run/initctl", "/dev/initctl"];

#[derive(Debug, Default)]
pub(super) struct Initctl {
    /// With init at its other end.
    fifo: Option<File>,
}

impl HandOver for Initctl {
    /// Sends SIGUSR1 to sysvinit, which opens its FIFO anew then (init(8)), in the new root. That somebody reads it proves that
    /// init is awake and sees this root: nobody else opens it to read.
    fn prove(&mut self, limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        let start = Instant::now();
        // Init makes it itself, if this fails.
        let _ = mkfifo(INITCTL[0], Mode::S_IRUSR | Mode::S_IWUSR);
        kill(Pid::from_raw(1), Signal::SIGUSR1).context(|| "send SIGUSR1 to init".to_owned())?;
        loop {
            if let Some(fifo) = open() {
                self.fifo = Some(fifo);
                return with_marker(start);
            }
            if start.elapsed() >= limit {
                return Err(silent("open its FIFO /run/initctl", limit));
            }
            sleep(POLL);
        }
    }

    /// Without the FIFO of [`HandOver::prove`] it is opened; the next time round it may be there.
    fn fire(&mut self) -> io::Result<()> {
        if self.fifo.is_none() {
            self.fifo = open();
        }
        let fifo = self.fifo.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        fifo.write_all(&telinit_u())
    }

    fn forget(&mut self, marker: Option<u32>) -> Vec<String> {
        let mut left = forget_inittab(marker);
        // It opens the FIFO of the old root again.
        if let Err(e) = kill(Pid::from_raw(1), Signal::SIGUSR1) {
            left.push(format!("send SIGUSR1 to init: {}", io::Error::from(e)));
        }
        left
    }
}

/// SIGHUP makes sysvinit re-read its inittab too (init(8)), whose marker line it understands, and starts anew whoever kills the
/// marker. That is for the case that all of us are killed; where it does not come it is done without.
fn with_marker(start: Instant) -> Result<()> {
    kill(Pid::from_raw(1), Signal::SIGHUP).context(|| "send SIGHUP to init".to_owned())?;
    while marker().is_none() && start.elapsed() < MARKER {
        sleep(POLL);
    }
    Ok(())
}

/// ENXIO while init does not read it.
fn open() -> Option<File> {
    let open = |path| OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path);
    INITCTL.into_iter().find_map(|path| open(path).ok())
}

/// What `telinit u` writes, `struct init_request` of sysvinit's `initreq.h`: magic, command (1, change the runlevel), runlevel
/// (`U`, start init anew), and the rest of 384 bytes.
fn telinit_u() -> [u8; 384] {
    let mut request = [0; 384];
    for (place, word) in request.chunks_exact_mut(4).zip([0x0309_1969, 1, i32::from(b'U')]) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    request
}
