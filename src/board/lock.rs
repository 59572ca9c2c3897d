//! One flasher at a time, and who it is.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held until dropped by this process and everything it forked: the process that takes the box over goes
/// on when the one that was called has ended, which is why this is no record lock.
pub struct Lock {
    _file: Flock<File>,
}

/// Where the lock of the real box may be; the first directory that can be written is the same for all.
const PLACES: [&str; 4] = ["/run", "/var/run", "/tmp", "/dev/shm"];

impl Lock {
    /// Locks the box we run on.
    ///
    /// # Errors
    /// [`Exit::Busy`] with the process that holds it.
    pub fn of_this_box() -> Result<Lock> {
        let mut last = String::new();
        for place in PLACES {
            match open(&Path::new(place).join("flasher.lock")) {
                Ok(file) => return Lock::take(file),
                Err(error) => last = format!("{place}: {error}"),
            }
        }
        Err(Failure::system(format_args!("no directory for a lock file: {last}")))
    }

    /// Locks a simulated box.
    ///
    /// # Errors
    /// [`Exit::Busy`] with the process that holds it.
    pub fn of_sim(dir: &Path) -> Result<Lock> {
        let path = dir.join("lock");
        let file = open(&path).map_err(|error| Failure::system(format_args!("{}: {error}", path.display())))?;
        Lock::take(file)
    }

    fn take(file: File) -> Result<Lock> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                // Only for the message of the next one: a full file system is no reason to stop.
                let _ = file.set_len(0);
                let _ = write!(file, "{}", std::process::id());
                Ok(Lock { _file: file })
            }
            Err((mut file, _)) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Err(Failure::new(
                    Exit::Busy,
                    Code::Busy,
                    format_args!("another flasher is at work (process {})", holder.trim()),
                )
                .hint("wait until it has ended"))
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // In a directory that anybody can write, a link could name any file.
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}
