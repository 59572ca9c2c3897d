//! Reboots, and does not believe that a reboot works at the first try: a driver's reboot notifier may hang for ever.
#![forbid(unsafe_code)]

use crate::bounded;
use crate::disk;
use crate::feeding;
use crate::init::{self, Init};
use crate::mounts::root_is_ram_root;
use crate::process::{confined, single_threaded};
use crate::program::Program;
use crate::say::say;
use crate::signals;
use crate::sys::Forked;
use nix::sys::reboot::{RebootMode, reboot as kernel_reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};
use std::fs;
use std::io;
use std::path::Path;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

/// A sync that takes longer meets a device that does not answer.
const SYNC_LIMIT: Duration = Duration::from_secs(10);
/// A reboot(2) that takes longer hangs in a driver's notifier.
const REBOOT_LIMIT: Duration = Duration::from_secs(20);
/// What an ordinary shutdown by init may take.
const INIT_LIMIT: Duration = Duration::from_secs(60);
/// What the caller's sshd needs to pass the exit code on.
const GRACE: Duration = Duration::from_secs(1);
const STACK: usize = 64 << 10;

/// Has the kernel reboot when it panics, ten seconds later, where it would stay as it is: nobody stands beside the box who could cut
/// its power. What is set already stays.
pub(crate) fn reboot_on_panic() {
    // In a container it is the host's.
    if !confined() {
        reboot_by(Path::new("/proc/sys/kernel/panic"));
    }
}

fn reboot_by(panic: &Path) {
    if fs::read_to_string(panic).is_ok_and(|seconds| seconds.trim() == "0") {
        let _ = fs::write(panic, "10");
    }
}

/// Reboots the machine: sync, reboot(2), then sysrq, then the watchdog, and then it says that the power must be cut,
/// once a minute, for ever. For PID 1, or where init no longer counts.
pub fn reboot() -> ! {
    say("rebooting");
    let _ = bounded::within(
        SYNC_LIMIT,
        Box::new(|| {
            sync();
            disk::let_go();
            Ok(())
        }),
    );
    // reboot(2) may hang in the kernel and never return, so the other ways wait in a thread of their own.
    let _ = Builder::new().stack_size(STACK).spawn(|| {
        sleep(REBOOT_LIMIT);
        other_ways()
    });
    // It returns only when it has failed.
    let Err(e) = kernel_reboot(RebootMode::RB_AUTOBOOT);
    say(&format!("reboot failed: {}", io::Error::from(e)));
    other_ways()
}

fn other_ways() -> ! {
    // In a container sysrq is the host's.
    if !confined() {
        say("trying sysrq");
        let _ = fs::write("/proc/sys/kernel/sysrq", "1");
        let _ = fs::write("/proc/sysrq-trigger", "b");
        sleep(Duration::from_secs(5));
    }
    if feeding::let_it_bite() {
        say("waiting for the watchdog");
    }
    loop {
        sleep(INIT_LIMIT);
        say("the box does not reboot: cut its power and switch it on again");
    }
}

/// [`reboot_in_place`] in a process of its own, so that the caller can end as programs do and its ssh session is told how.
/// The process has what the caller has open, a lock for one. Where it cannot be started, this does not return.
pub fn reboot_behind_us() {
    if single_threaded() {
        match signals::fork_detached() {
            Ok(Forked::Parent(_)) => return,
            Ok(Forked::Child) => sleep(GRACE),
            Err(_) => (),
        }
    }
    reboot_in_place()
}

/// Reboots from an ordinary process, in the way of the init that runs: its `reboot` command, then SIGTERM to busybox
/// init, then after a minute reboot(2) itself.
pub fn reboot_in_place() -> ! {
    // In the rescue PID 1 is a flasher that waits, and there is no init to ask.
    if root_is_ram_root() {
        reboot()
    }
    let start = Instant::now();
    let asked = ask(&["/sbin/reboot", "/bin/reboot", "/usr/sbin/reboot"], INIT_LIMIT);
    if !asked && matches!(init::detect(), Init::BusyBox { .. }) {
        // TERM is "reboot" to busybox init (`halt_reboot_pwoff`, init/init.c).
        let _ = kill(Pid::from_raw(1), Signal::SIGTERM);
    }
    sleep(INIT_LIMIT.saturating_sub(start.elapsed()));
    say("init did not reboot within a minute");
    reboot()
}

/// Whether one of these commands has ended well, or goes on for so long that it is left alone: an init that does not answer may keep
/// it for ever.
fn ask(commands: &'static [&'static str], limit: Duration) -> bool {
    let run = |path: &&&str| Program::new(path, "reboot", &[]).and_then(|program| program.run(None));
    let any = move || {
        let mut there = commands.iter().filter(|path| Path::new(path).exists());
        match there.any(|path| run(&path).unwrap_or(false)) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    };
    match bounded::within(limit, Box::new(any)) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::TimedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_reboot_command_that_does_not_end_is_not_waited_for() {
        let dir = std::env::temp_dir().join(format!("stages-reboots-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("made");
        let command = |name: &str, text: &str| -> &'static str {
            let path = dir.join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
            path.display().to_string().leak()
        };
        let (good, bad) = (command("good", "exit 0"), command("bad", "exit 1"));
        let hung = command("hung", "exec sleep 30");
        let ask = |commands: &[&'static str], limit| ask(commands.to_vec().leak(), limit);
        let long = Duration::from_secs(20);
        assert!(ask(&[bad, good], long));
        assert!(!ask(&[bad], long));
        assert!(!ask(&["/no/such/command"], long));
        let start = Instant::now();
        assert!(ask(&[hung, bad], Duration::from_millis(100)));
        assert!(start.elapsed() < long);
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_kernel_that_would_stay_as_it_is_when_it_panics_reboots() {
        let file = std::env::temp_dir().join(format!("stages-panic-{}", std::process::id()));
        for (set, then) in [("0\n", "10"), ("-1\n", "-1\n"), ("3\n", "3\n"), ("", "")] {
            fs::write(&file, set).expect("written");
            reboot_by(&file);
            assert_eq!(fs::read_to_string(&file).expect("read"), then);
        }
        fs::remove_file(file).expect("removed");
    }
}
