//! PID 1 with nothing to do: the box boots on with its real init.
#![forbid(unsafe_code)]

use crate::files::identity_at;
use crate::program::Program;
use crate::say::say;
use crate::signals;
use std::thread::sleep;
use std::time::Duration;

/// Where inits are, with the name each is called by. busybox goes by its own first argument.
const INITS: [(&str, &str); 7] = [
    ("/sbin/init", "init"),
    ("/etc/init", "init"),
    ("/bin/init", "init"),
    ("/bin/busybox", "init"),
    ("/sbin/procd", "procd"),
    ("/linuxrc", "linuxrc"),
    ("/bin/sh", "sh"),
];

/// Says why, and executes the first init that is not this program. Never returns, and never halts the box: where there
/// is none it says so once a minute.
pub fn boot_on(reason: &str) -> ! {
    say(&format!("started as PID 1 with nothing to do ({reason}); booting on"));
    signals::defaults();
    loop {
        for (path, name) in INITS.into_iter().filter(|(path, _)| !is_this_program(path)) {
            // Only a failure comes back.
            let _ = Program::new(path, name, &[]).map(|program| program.exec());
        }
        say("no init was found to boot on with");
        sleep(Duration::from_secs(60));
    }
}

/// By device and inode, because `/sbin/init` may be a link to us.
fn is_this_program(path: &str) -> bool {
    let own = identity_at("/proc/self/exe").or_else(|| identity_at(&std::env::args().next()?));
    own.is_some() && identity_at(path) == own
}
