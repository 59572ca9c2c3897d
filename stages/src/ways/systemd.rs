//! systemd: SIGTERM, on which it executes the path of its own program.
#![forbid(unsafe_code)]

use super::HandOver;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::event::StageEvent;
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use std::io;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Reexec;

impl HandOver for Reexec {
    /// Whether it listens cannot be known.
    fn prove(&mut self, _limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        enough()
    }

    /// systemd(1), SIGTERM: "serializes its state, reexecutes itself".
    fn fire(&mut self) -> io::Result<()> {
        Ok(kill(Pid::from_raw(1), Signal::SIGTERM)?)
    }
}

/// systemd refuses to re-execute where less than 16 MiB are free in `/run/systemd` (`RELOAD_DISK_SPACE_MIN` in its
/// `src/core`); measured with 252: without that directory, too.
fn enough() -> Result<()> {
    const LEAST: u64 = 16 << 20;
    let fs = statvfs("/run/systemd").context(|| "look at /run/systemd".to_owned())?;
    #[allow(
        clippy::useless_conversion,
        reason = "the width of the fields differs between targets"
    )]
    let free = u64::from(fs.blocks_available()) * u64::from(fs.fragment_size());
    if free >= LEAST {
        return Ok(());
    }
    let text = format!(
        "systemd needs {LEAST} free bytes in /run to hand over, and there are {free}: mount -o remount,size=64M /run"
    );
    Err(Error::new(ErrorKind::NoRoute, text))
}
