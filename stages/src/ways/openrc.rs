//! openrc-init: the word `reexec` in its FIFO, on which it executes the path that it was started by. Tried with 0.45; SIGTERM
//! halts the box.
#![forbid(unsafe_code)]

use super::{HandOver, started_by};
use crate::error::{Context, Result};
use crate::event::StageEvent;
use crate::populate::also_at;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

const FIFO: &str = "/run/openrc/init.ctl";

#[derive(Debug, Default)]
pub(super) struct OpenrcCtl {
    /// The one of the old root, which init keeps open.
    fifo: Option<File>,
}

impl HandOver for OpenrcCtl {
    /// That it can be opened for writing shows that init has it open (fifo(7)).
    fn prepare(&mut self, root: &Path) -> Result<()> {
        let flags = O_NONBLOCK | O_NOFOLLOW;
        let fifo = OpenOptions::new().write(true).custom_flags(flags).open(FIFO);
        self.fifo = Some(fifo.context(|| format!("open {FIFO}"))?);
        also_at(root, &started_by())
    }

    /// Whether it is awake cannot be known.
    fn prove(&mut self, _limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        Ok(())
    }

    /// Without a line end: it compares the whole.
    fn fire(&mut self) -> io::Result<()> {
        self.fifo
            .as_mut()
            .ok_or(io::ErrorKind::NotConnected)?
            .write_all(b"reexec")
    }
}
