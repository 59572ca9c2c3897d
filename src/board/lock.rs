//! One flasher at a time, and who it is.
//!
//! Whoever can open the file can hold the lock, and whoever can make it decides what root empties. So it lies where only root
//! can put it, and only root can open it; somebody else's file of that name is taken away.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files::{Directory, TEMPORARY};
use crate::board::{Backend, Board};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Held until dropped by this process and everything it forked: the process that takes the box over goes
/// on when the one that was called has ended, which is why this is no record lock.
pub struct Lock {
    _file: Flock<File>,
}

/// Where the lock of the real box may be where no directory for temporary files can be had; the first of all of them that is
/// root's and can be written is the same for everybody.
const LAST_PLACE: &str = "/dev";
const NAME: &str = "flasher.lock";
/// That of whoever asks an update server.
const POLLING: &str = "flasher.poll.lock";
/// How often somebody else's file of that name is taken away before that is given up.
const TRIES: u32 = 100;

impl Lock {
    /// Locks the box we run on.
    ///
    /// # Errors
    /// [`Exit::Busy`] with the process that holds it.
    pub fn of_this_box() -> Result<Lock> {
        Lock::somewhere(NAME)
    }

    fn somewhere(name: &str) -> Result<Lock> {
        let mut last = String::new();
        for place in TEMPORARY.into_iter().chain([LAST_PLACE]) {
            match Directory::open(Path::new(place)).and_then(|directory| for_root(&directory, name)) {
                Ok(file) => return Lock::take(file),
                Err(error) => last = error.to_string(),
            }
        }
        Err(Failure::system(format_args!("no directory for a lock file: {last}")))
    }

    /// Keeps another flasher from asking an update server for this box meanwhile.
    ///
    /// # Errors
    /// [`Exit::Busy`] with the process that does.
    pub fn of_polling(board: &Board) -> Result<Lock> {
        match &board.backend {
            Backend::Sim(sim) => Lock::of_directory(&sim.dir, POLLING),
            Backend::Linux => Lock::somewhere(POLLING),
        }
    }

    /// Locks a simulated box.
    ///
    /// # Errors
    /// [`Exit::Busy`] with the process that holds it.
    pub fn of_sim(dir: &Path) -> Result<Lock> {
        Lock::of_directory(dir, "lock")
    }

    fn of_directory(dir: &Path, name: &str) -> Result<Lock> {
        let path = dir.join(name);
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
            Err((_, error)) if error != Errno::EWOULDBLOCK => Err(Failure::system(format_args!(
                "the lock of this box cannot be had: {error}"
            ))),
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

/// The lock file of a directory, which nobody but root can open.
fn for_root(directory: &Directory, name: &str) -> io::Result<File> {
    let name = OsStr::new(name);
    let mut last = io::ErrorKind::AlreadyExists.into();
    for _ in 0..TRIES {
        let opened = directory.file_for_writing(name);
        if let Ok(file) = opened {
            if file.metadata()?.permissions().mode() & 0o077 == 0 && directory.is(name, &file) {
                return Ok(file);
            }
            // Others can open it to hold it.
            directory.remove(name)?;
            continue;
        }
        match directory.create(name) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
        // Whatever it is, it is not a lock file of root's. One that another flasher has just made is left alone.
        if directory.file_for_writing(name).is_err() {
            let _ = directory.remove(name);
        }
    }
    Err(last)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // In a directory that anybody can write, a link could name any file.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}
