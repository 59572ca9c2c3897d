//! Flash was touched and cannot be made good: the box stays up, because it would not come back.
//!
//! What a person then has: this text once a minute; with a rescue shell, a console that lets in whoever stands before it,
//! and `flasher` to try again with this image or another one; and what the caller does meanwhile. Addresses and routes are the kernel's, so the network that the
//! old system had set up by hand works on (a DHCP lease is not renewed).
#![forbid(unsafe_code)]

use crate::mounts::root_is_ram_root;
use crate::program::Program;
use crate::say::say;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

const SHELL: &str = "/bin/sh";
/// Says to the programs in this RAM root that PID 1 is done with the flash, for good.
const MARK: &str = "/rescue";
const REMINDER: Duration = Duration::from_secs(60);
/// Between two turns of what the caller does meanwhile.
const TURN: Duration = Duration::from_millis(500);
const STACK: usize = 64 << 10;

/// Whether PID 1 of this RAM root has given up, so that another flasher may write.
#[must_use]
pub fn is_on() -> bool {
    root_is_ram_root() && Path::new(MARK).exists()
}

/// Stays up for ever: says what to do once a minute, keeps the watchdog fed (its thread goes on), and runs `/bin/sh` on
/// the console where a rescue shell was put into the RAM root. `ways` is said too; `turn` is called twice a second.
/// As PID 1 only.
pub fn run(reason: &str, ways: &str, turn: &mut dyn FnMut()) -> ! {
    let has_shell = Path::new(SHELL).exists();
    let text = format!(
        "{reason}. The flash is partly written: do NOT switch the box off. The image is here as /image{}{ways}",
        match has_shell {
            true =>
                "; on this console is a shell: type flasher apply -y with the options of the first time and /image, or \
                 the http:// address of another image; flasher reboots the box when all is written and verified",
            false => "",
        }
    );
    say(&text);
    // Without it only the second try from the shell is refused.
    let _ = std::fs::write(MARK, reason);
    if has_shell {
        let _ = Builder::new().stack_size(STACK).spawn(shells);
    }
    let mut said = Instant::now();
    loop {
        sleep(TURN);
        turn();
        if said.elapsed() >= REMINDER {
            said = Instant::now();
            say(&text);
        }
    }
}

/// Runs a program that talks to whoever is at the other end of a connection, and waits for its end.
///
/// # Errors
/// It cannot be started. What became of it says the program itself.
pub fn serve(words: &[String], connection: &File) -> io::Result<()> {
    let (path, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    Program::new(path, path, &[])?.with(arguments)?.run(Some(connection))?;
    Ok(())
}

/// One shell after the other.
fn shells() {
    loop {
        if let Err(e) = shell() {
            say(&format!("no shell: {e}"));
        }
        sleep(Duration::from_secs(1));
    }
}

fn shell() -> io::Result<()> {
    let console = OpenOptions::new().read(true).write(true).open("/dev/console")?;
    // SIGCHLD is ignored, so this ends when the shell has ended (wait(2)), without its exit code.
    Program::new(SHELL, "-sh", &[])?.run(Some(&console))?;
    Ok(())
}
