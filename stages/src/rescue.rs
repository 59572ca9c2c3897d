//! Flash was touched and cannot be made good: the box stays up, because it would not come back.
#![forbid(unsafe_code)]

use crate::say::say;
use crate::sys;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::thread::{Builder, sleep};
use std::time::Duration;

const SHELL: &str = "/bin/sh";
const REMINDER: Duration = Duration::from_secs(60);
const STACK: usize = 64 << 10;

/// Stays up for ever: says what to do once a minute, keeps the watchdog fed (its thread goes on), and runs `/bin/sh` on
/// the console where a rescue shell was put into the RAM root. As PID 1 only.
pub fn run(reason: &str) -> ! {
    let text = format!(
        "{reason}. The flash is partly written: do NOT switch the box off. The image lies in this system's RAM as /image{}",
        if Path::new(SHELL).exists() {
            "; a shell is on the console"
        } else {
            ""
        }
    );
    say(&text);
    if Path::new(SHELL).exists() {
        let _ = Builder::new().stack_size(STACK).spawn(shells);
    }
    loop {
        sleep(REMINDER);
        say(&text);
    }
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
    sys::Program::new(SHELL, "-sh", &[])?.run(Some(&console))?;
    Ok(())
}
