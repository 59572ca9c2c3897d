//! ptrace(2): an init that executes nothing by itself is made to call execve(2), and proves by the exec event that it did.
//!
//! The last resort, for runit, s6, finit, `rc` of Tomato and DD-WRT, a shell, and every init that is not known.
#![forbid(unsafe_code)]

use super::HandOver;
use crate::error::{Error, ErrorKind, Result};
use crate::event::StageEvent;
use crate::tracee;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Ptrace;

/// Whether the kernel lets us trace PID 1, as far as that can be known without doing it.
///
/// # Errors
/// Why not.
pub(super) fn allowed() -> std::result::Result<(), String> {
    let status = fs::read_to_string("/proc/1/status").unwrap_or_default();
    let ours = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Where there is no Yama there is no such file.
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    judge(&status, &ours, yama.trim())?;
    tracee::can_be_told()
}

fn judge(status: &str, ours: &str, yama: &str) -> std::result::Result<(), String> {
    /// `include/uapi/linux/capability.h`.
    const CAP_SYS_PTRACE: u64 = 1 << 19;
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    match field(status, "TracerPid:").as_deref() {
        Some("0") => {}
        Some(pid) => return Err(format!("is traced by process {pid} already")),
        None => return Err("does not show in /proc/1/status who traces it".to_owned()),
    }
    let capable = field(ours, "CapEff:").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    if capable.is_none_or(|mask| mask & CAP_SYS_PTRACE == 0) {
        return Err("cannot be traced without CAP_SYS_PTRACE".to_owned());
    }
    if yama == "3" {
        return Err("cannot be traced: the kernel forbids it (kernel.yama.ptrace_scope is 3)".to_owned());
    }
    Ok(())
}

impl HandOver for Ptrace {
    /// Attaches once, for the answer of the kernel, and lets go.
    fn prove(&mut self, limit: Duration, _on_event: &mut dyn FnMut(StageEvent)) -> Result<()> {
        tracee::try_attach(limit).map_err(|e| Error::new(ErrorKind::InitSilent, format!("trace init: {e}")))
    }

    fn fire(&mut self) -> io::Result<()> {
        tracee::make_execute("/flasher")?;
        // It may have been stopped before.
        Ok(kill(Pid::from_raw(1), Signal::SIGCONT)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forbids_it_is_named_and_what_is_unknown_forbids() {
        let init = "Name:\tinit\nTracerPid:\t0\n";
        let root = "CapEff:\t000001ffffffffff\n";
        assert_eq!(judge(init, root, ""), Ok(()));
        assert_eq!(judge(init, root, "1"), Ok(()));
        for (init, ours, yama, why) in [
            ("Name:\tinit\nTracerPid:\t7\n", root, "", "traced by process 7"),
            ("", root, "", "does not show"),
            (init, "CapEff:\t0000000000000000\n", "", "CAP_SYS_PTRACE"),
            (init, "", "", "CAP_SYS_PTRACE"),
            (init, root, "3", "ptrace_scope is 3"),
        ] {
            let refusal = judge(init, ours, yama).expect_err(why);
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
