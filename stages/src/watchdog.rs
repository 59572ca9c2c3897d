//! The hardware watchdog: found, taken over, fed, and used as the last way to reboot.
//!
//! Opening starts it, most drivers have one opener, any write feeds it (Documentation/watchdog/watchdog-api.rst of the
//! kernel). Its owner dies by init's own kill,
//! so PID 1 opens it again within its timeout.
#![forbid(unsafe_code)]

use crate::holder::HolderKind;
use crate::process::confined;
use crate::scan::{numbers, scan_processes};
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Long enough for an erase that holds up the whole CPU, short enough to help.
const WISHED_TIMEOUT_S: u32 = 60;
const STACK: usize = 64 << 10;

static TAKEN: OnceLock<File> = OnceLock::new();
static LET_IT_BITE: AtomicBool = AtomicBool::new(false);

/// A watchdog as it is before anything is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Its device node.
    pub device: String,
    /// Whether it counts: the driver says so (sysfs, kernel 4.5 and later), or a process has it open.
    pub running: bool,
    /// Its timeout in seconds, where the driver tells without being opened.
    pub timeout_s: Option<u32>,
    /// The process that feeds it, as `pid (name)`.
    pub owner: Option<String>,
}

/// The first watchdog, preferably one that runs. Opens nothing, because opening starts it.
#[must_use]
pub fn find() -> Option<Watchdog> {
    let names = ["watchdog0", "watchdog1", "watchdog2", "watchdog"];
    let mut all: Vec<Watchdog> = names.iter().filter_map(|name| look_at(name)).collect();
    let running = all.iter().position(|dog| dog.running).unwrap_or(0);
    (!all.is_empty()).then(|| all.swap_remove(running))
}

fn look_at(name: &str) -> Option<Watchdog> {
    let device = format!("/dev/{name}");
    let about = fs::metadata(&device)
        .ok()
        .filter(|about| about.file_type().is_char_device())?;
    let node = numbers(about.rdev());
    let holder = scan_processes(Path::new("/proc"), &|file| file.node == Some((false, node)))
        .into_iter()
        .next();
    let owner = holder.and_then(|kind| match kind {
        HolderKind::OpenFile { pid, comm, .. } => Some(format!("{pid} ({comm})")),
        _ => None,
    });
    let sysfs = |file| fs::read_to_string(format!("/sys/class/watchdog/{name}/{file}")).ok();
    let active = sysfs("state").is_some_and(|state| state.trim() == "active");
    let timeout_s = sysfs("timeout").and_then(|text| text.trim().parse().ok());
    Some(Watchdog {
        device,
        running: active || owner.is_some(),
        timeout_s,
        owner,
    })
}

/// Opens the device and feeds it from a thread of its own until the process ends. Answers its timeout in seconds, 0
/// when the driver does not tell.
///
/// # Errors
/// It cannot be opened (its owner had two seconds to end), or the thread cannot be started.
pub(crate) fn take(device: &str) -> io::Result<u32> {
    if confined() {
        return Err(io::Error::other("in a container the watchdog is the host's"));
    }
    let dog = open_patiently(device)?;
    let mut timeout = sys::watchdog_timeout(&dog).unwrap_or(0);
    if timeout < WISHED_TIMEOUT_S {
        timeout = sys::watchdog_set_timeout(&dog, WISHED_TIMEOUT_S)
            .or_else(|_| sys::watchdog_timeout(&dog))
            .unwrap_or(timeout);
    }
    let dog = TAKEN.get_or_init(|| dog);
    feed(dog);
    let pause = Duration::from_secs(u64::from(timeout / 4).clamp(1, 10));
    thread::Builder::new()
        .name("watchdog".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            while !LET_IT_BITE.load(Ordering::Relaxed) {
                feed(dog);
                thread::sleep(pause);
            }
        })?;
    Ok(timeout)
}

fn feed(mut dog: &File) {
    // Drivers without the ioctl take any write. Not a 'V', which stops it.
    if sys::watchdog_keepalive(dog).is_err() {
        let _ = dog.write_all(b"\0");
    }
}

fn open_patiently(device: &str) -> io::Result<File> {
    let mut result = open(device);
    for _ in 0..20 {
        if result.is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(100));
        // The RAM root's own node, where the named one did not come along.
        result = open(device).or_else(|e| {
            if e.kind() == io::ErrorKind::NotFound {
                open("/dev/watchdog")
            } else {
                Err(e)
            }
        });
    }
    result
}

fn open(device: &str) -> io::Result<File> {
    OpenOptions::new().write(true).open(device)
}

/// The last way to reboot: starts the watchdog where none is ours, sets the shortest timeout, and feeds it no more. Answers
/// whether there is one to wait for.
pub(crate) fn let_it_bite() -> bool {
    LET_IT_BITE.store(true, Ordering::Relaxed);
    if confined() {
        return false;
    }
    if let (None, Ok(dog)) = (TAKEN.get(), open("/dev/watchdog")) {
        let _ = TAKEN.set(dog);
    }
    let Some(dog) = TAKEN.get() else { return false };
    for seconds in [1, 2, 5, 10] {
        if sys::watchdog_set_timeout(dog, seconds).is_ok() {
            break;
        }
    }
    true
}
