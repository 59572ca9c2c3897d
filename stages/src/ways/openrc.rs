//! openrc-init: the word `reexec` in its FIFO, on which it executes the path that it was started by. Tried with 0.45; SIGTERM
//! halts the box.
#![forbid(unsafe_code)]

use super::{HandOver, started_by};
use crate::error::{Context, Result};
use crate::event::StageEvent;
use crate::populate::also_at;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK, O_PATH};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

const FIFO: &str = "/run/openrc/init.ctl";

#[derive(Debug, Default)]
pub(super) struct OpenrcCtl {
    /// The one of the old root, in whose open(2) init sleeps until somebody opens it to write; so it is not opened yet.
    fifo: Option<File>,
}

impl HandOver for OpenrcCtl {
    fn prepare(&mut self, root: &Path) -> Result<()> {
        let flags = O_PATH | O_NOFOLLOW;
        let fifo = OpenOptions::new().read(true).custom_flags(flags).open(FIFO);
        self.fifo = Some(fifo.context(|| format!("open {FIFO}"))?);
        also_at(root, &started_by())
    }

    /// Whether it is awake cannot be known.
    fn prove(&mut self, _limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        Ok(())
    }

    /// Without a line end, and closed then: it compares all that comes. ENXIO where init does not wait.
    fn fire(&mut self) -> io::Result<()> {
        let fifo = self.fifo.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let path = format!("/proc/self/fd/{}", fifo.as_raw_fd());
        OpenOptions::new()
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(path)?
            .write_all(b"reexec")
    }
}
