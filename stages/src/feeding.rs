//! Takes watchdogs over, feeds them, and lets them bite as the last way to reboot.
//!
//! Their owners die by init's own kill, or by ours, so PID 1 opens each again within its timeout.
#![forbid(unsafe_code)]

use crate::device::open_node;
use crate::process::confined;
use crate::sys;
use crate::watchdog::{MISC, Node};
use nix::sys::stat::SFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Long enough for an erase that holds up the whole CPU, short enough to help.
const WISHED_TIMEOUT_S: u32 = 60;
const STACK: usize = 64 << 10;
/// How often it is tried to open one whose owner is just being ended, and the pause between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Those that are ours; they stay open until the end.
static TAKEN: Mutex<Vec<&'static File>> = Mutex::new(Vec::new());
static LET_IT_BITE: AtomicBool = AtomicBool::new(false);

/// Opens the device and feeds it from a thread of its own until the process ends. Answers its timeout in seconds, 0 when the
/// driver does not tell.
///
/// # Errors
/// It cannot be opened (its owner had two seconds to end), it takes no food, or the thread cannot be started.
pub(crate) fn take(node: &Node) -> io::Result<u32> {
    if confined() {
        return Err(io::Error::other("in a container the watchdog is the host's"));
    }
    // It is never closed: that would stop it, or start its end.
    let dog: &'static File = Box::leak(Box::new(open_patiently(node)?));
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(dog);
    let mut timeout = sys::watchdog_timeout(dog).unwrap_or(0);
    if timeout < WISHED_TIMEOUT_S {
        timeout = sys::watchdog_set_timeout(dog, WISHED_TIMEOUT_S)
            .or_else(|_| sys::watchdog_timeout(dog))
            .unwrap_or(timeout);
    }
    // Else the kernel may panic so much earlier than the timeout (Documentation/watchdog/watchdog-api.rst).
    let _ = sys::watchdog_set_pretimeout(dog, 0);
    feed(dog)?;
    let pause = Duration::from_millis((u64::from(timeout) * 250).clamp(200, 10_000));
    thread::Builder::new()
        .name("watchdog".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            while !LET_IT_BITE.load(Ordering::Relaxed) {
                let _ = feed(dog);
                thread::sleep(pause);
            }
        })?;
    Ok(timeout)
}

fn feed(mut dog: &File) -> io::Result<()> {
    // Drivers without the ioctl take any write. Not a 'V', which stops it.
    sys::watchdog_keepalive(dog).or_else(|_| dog.write_all(b"\0"))
}

fn open_patiently(node: &Node) -> io::Result<File> {
    let mut result = open(node);
    for _ in 0..TRIES {
        if result.is_ok() {
            break;
        }
        thread::sleep(PAUSE);
        result = open(node);
    }
    result
}

/// By the node that it had; where that did not come along into the RAM root, or is another device's, by one of our own.
fn open(node: &Node) -> io::Result<File> {
    open_node(
        Path::new("/"),
        Path::new(&node.device),
        SFlag::S_IFCHR,
        node.numbers,
        OpenOptions::new().write(true),
    )
}

/// The last way to reboot: starts a watchdog where none is ours, sets the shortest timeout, and feeds them no more. Answers
/// whether there is one to wait for.
pub(crate) fn let_it_bite() -> bool {
    LET_IT_BITE.store(true, Ordering::Relaxed);
    if confined() {
        return false;
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let misc = Node {
        device: "/dev/watchdog".into(),
        numbers: MISC,
    };
    if let (true, Ok(dog)) = (taken.is_empty(), open(&misc)) {
        taken.push(Box::leak(Box::new(dog)));
    }
    for dog in taken.iter() {
        for seconds in [1, 2, 5, 10] {
            if sys::watchdog_set_timeout(dog, seconds).is_ok() {
                break;
            }
        }
    }
    !taken.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// It would take any food.
    #[test]
    fn a_plain_file_is_no_watchdog() {
        let path = std::env::temp_dir().join(format!("stages-no-dog-{}", std::process::id()));
        fs::write(&path, "").expect("written");
        let node = Node {
            device: path.display().to_string(),
            numbers: (0, 0),
        };
        let opened = open(&node);
        fs::remove_file(path).expect("removed");
        assert!(opened.is_err(), "{opened:?}");
    }
}
