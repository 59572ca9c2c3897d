//! The error of stage one: what failed, on what, why, and whether the running system is as it was.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// What every fallible step of stage one returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The reasons a caller may want to tell apart, for instance to choose an exit code or a hint.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A system call failed.
    System,
    /// No directory was found on which a tmpfs could be mounted.
    NoPlace,
    /// A RAM root of an earlier run is mounted and in use.
    AlreadyMounted,
    /// `pivot_root` cannot work here: the root is the initramfs, or a chroot (pivot_root(2), EINVAL).
    CannotPivot,
    /// Init did not re-read its inittab, or open its FIFO, in the time given.
    InitSilent,
    /// No way is known by which this init starts us.
    NoRoute,
    /// The hand-off record is damaged or of another version.
    HandOff,
    /// The caller runs threads, so that a fork without exec is not safe.
    Threads,
    /// The stage-one process ended without a word (killed from outside).
    StageOneDied,
}

/// A failed step of stage one.
///
/// Before it is returned, everything stage one did has been undone; what could not be undone is listed in
/// [`Error::left_behind`].
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Error(Box<Parts>);

/// Behind a pointer, so that a `Result` stays small.
#[derive(Serialize, Deserialize, Clone, Debug)]
struct Parts {
    kind: ErrorKind,
    what: String,
    left_behind: Vec<String>,
}

impl Error {
    /// An error of the given kind; `what` is lower case, without a full stop, and names file or device.
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            what: what.into(),
            left_behind: Vec::new(),
        }))
    }

    /// Adds what could not be undone.
    pub(crate) fn leaving(mut self, left: Vec<String>) -> Self {
        self.0.left_behind.extend(left);
        self
    }

    /// The reason by which callers tell errors apart.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the user can do, now that the system is as it was.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        if !self.0.left_behind.is_empty() {
            return "reboot the box before anything else: not all of it could be put back";
        }
        match self.0.kind {
            ErrorKind::System => "dmesg may say more; then the same command again",
            ErrorKind::NoPlace => "make a place: mount -t tmpfs tmpfs /mnt; then the same command again",
            ErrorKind::AlreadyMounted => "wait for the flasher that is at work; if there is none, reboot the box first",
            ErrorKind::CannotPivot => "unmount what is on the flash, and apply in place",
            ErrorKind::InitSilent => "init may not be done with the boot yet: the same command again once it is",
            ErrorKind::NoRoute => "stop what uses the partitions and apply in place",
            ErrorKind::HandOff => "reboot the box, then the same command again",
            ErrorKind::Threads => "a fault of flasher itself: report it, with what flasher devices says",
            ErrorKind::StageOneDied => "dmesg says whether memory ran short; then the same command again",
        }
    }

    /// What the undoing could not put back; empty when the running system is as it was.
    #[must_use]
    pub fn left_behind(&self) -> &[String] {
        &self.0.left_behind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        for left in &self.0.left_behind {
            write!(f, "; not undone: {left}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns a failed system call into an [`Error`] that says what was being done.
pub(crate) trait Context<T> {
    /// `what` is only put together when there is an error.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

// Through `io::Error`: nix would say `EBUSY: Device or resource busy`, and brings a second table of those texts.
impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| Error::new(ErrorKind::System, format!("{}: {}", what(), cause.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_can_be_done() {
        for kind in [
            ErrorKind::System,
            ErrorKind::NoPlace,
            ErrorKind::AlreadyMounted,
            ErrorKind::CannotPivot,
            ErrorKind::InitSilent,
            ErrorKind::NoRoute,
            ErrorKind::HandOff,
            ErrorKind::Threads,
            ErrorKind::StageOneDied,
        ] {
            let error = Error::new(kind, "it failed");
            let next = error.remedy();
            let does = ["same command", "apply in place", "report it", "wait for"];
            assert!(does.iter().any(|word| next.contains(word)), "{next}");
            // What is left over comes first.
            let left = error.leaving(vec!["umount /run/flasher".into()]);
            assert!(left.remedy().starts_with("reboot"), "{}", left.remedy());
        }
    }
}
