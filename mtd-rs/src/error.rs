//! The one error of this crate: which operation failed, on which device, where, and why.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What was being done when an [`Error`] happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Looking for devices.
    List,
    /// Opening a device and asking for its geometry.
    Open,
    /// Creating the file of a simulated chip.
    Create,
    /// Reading.
    Read,
    /// Erasing one erase block.
    Erase,
    /// Programming pages or bytes.
    Program,
    /// Asking whether a block is bad.
    CheckBad,
    /// Marking a block as bad.
    MarkBad,
    /// Asking whether blocks are locked.
    CheckLock,
    /// Locking blocks.
    Lock,
    /// Unlocking blocks.
    Unlock,
    /// Asking for the ECC counters.
    EccStats,
}

impl Operation {
    /// The operation as words for a message: `erase`, `mark bad`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::List => "list",
            Operation::Open => "open",
            Operation::Create => "create",
            Operation::Read => "read",
            Operation::Erase => "erase",
            Operation::Program => "program",
            Operation::CheckBad => "check for bad block",
            Operation::MarkBad => "mark bad",
            Operation::CheckLock => "check lock of",
            Operation::Lock => "lock",
            Operation::Unlock => "unlock",
            Operation::EccStats => "get ecc counters of",
        }
    }
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system said so; see [`Error::raw_os_error`] and `source()`.
    Io,
    /// Some of the bytes lie behind the end of the device.
    OutOfRange,
    /// The offset is not the start of an erase block, or the bytes are not whole pages.
    Unaligned,
    /// The device was opened for reading only, or may not be written.
    ReadOnly,
    /// The block is locked and must be unlocked first.
    Locked,
    /// The block is marked bad.
    BadBlock,
    /// Programming would have to turn a 0 into a 1, which only an erase can do.
    SetsBit,
    /// A page behind this one in the same erase block has been programmed already.
    PageOutOfOrder,
    /// The page has been programmed since its last erase.
    PageProgrammedTwice,
    /// More bits were wrong than the ECC can mend. Reading never reports this by itself; callers find it by
    /// comparing [`Flash::ecc_stats`](crate::Flash::ecc_stats).
    Uncorrectable,
    /// The simulated chip has no power.
    PowerLost,
    /// The device delivered fewer bytes than its size promises.
    ShortRead,
    /// The device took fewer bytes than it was given; the offset is that of the first byte not taken.
    ShortWrite,
    /// The kernel has the device, but there is no node for it. It would be this character device.
    NoDeviceNode {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// The file is not an MTD character device.
    NotMtd,
    /// The device is not the one that was listed; the word says what differs.
    WrongDevice(&'static str),
    /// A file has the wrong number of bytes for the chip it should hold.
    WrongSize {
        /// Bytes that the geometry demands.
        expected: u64,
        /// Bytes that the file has.
        found: u64,
    },
    /// Text of the kernel or of a file could not be understood.
    Malformed,
    /// The kernel's two lists, `/proc/mtd` and sysfs, disagree about the device, or only one of them has it.
    Contradictory,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::Io => "input/output error",
            ErrorKind::OutOfRange => "beyond the end of the device",
            ErrorKind::Unaligned => "not on the edges of erase blocks or pages",
            ErrorKind::ReadOnly => "the device is read-only",
            ErrorKind::Locked => "the erase block is locked",
            ErrorKind::BadBlock => "the erase block is bad",
            ErrorKind::SetsBit => "programming cannot set a cleared bit, an erase is needed",
            ErrorKind::PageOutOfOrder => "a later page of the erase block is programmed already",
            ErrorKind::PageProgrammedTwice => "the page is programmed already, an erase is needed",
            ErrorKind::Uncorrectable => "more wrong bits than the ecc can correct",
            ErrorKind::PowerLost => "the chip has no power",
            ErrorKind::ShortRead => "the device ended early",
            ErrorKind::ShortWrite => "the device took no more bytes",
            ErrorKind::NotMtd => "not an mtd character device",
            ErrorKind::Malformed => "text not understood",
            ErrorKind::Contradictory => "/proc/mtd and sysfs disagree about it",
            ErrorKind::NoDeviceNode { major, minor } => {
                return write!(f, "no device node, character device {major}:{minor} is missing");
            }
            ErrorKind::WrongDevice(what) => {
                return write!(f, "not the device that was listed, its {what} differs");
            }
            ErrorKind::WrongSize { expected, found } => {
                return write!(f, "the file has {found} bytes, not {expected}");
            }
        })
    }
}

/// An operation on a flash device that failed.
///
/// `Display` gives one line with everything, the text of the system included:
/// `erase mtd1 "Kernel" at 0x20000: Input/output error (os error 5)`. What to do next is the caller's to say.
#[derive(Debug)]
pub struct Error(Box<Parts>);

/// Behind a pointer, so that a `Result` stays small.
#[derive(Debug)]
struct Parts {
    operation: Operation,
    device: Box<str>,
    offset: Option<u64>,
    kind: ErrorKind,
    source: Option<io::Error>,
}

impl Error {
    /// An error with a reason of its own. `device` is the label of the device or the path of a file,
    /// `offset` is in bytes from the start of the device.
    pub fn new(operation: Operation, device: &str, offset: Option<u64>, kind: ErrorKind) -> Self {
        Error(Box::new(Parts {
            operation,
            device: device.into(),
            offset,
            kind,
            source: None,
        }))
    }

    /// An error that the system reported; its kind is [`ErrorKind::Io`].
    pub fn io(operation: Operation, device: &str, offset: Option<u64>, source: io::Error) -> Self {
        Error(Box::new(Parts {
            operation,
            device: device.into(),
            offset,
            kind: ErrorKind::Io,
            source: Some(source),
        }))
    }

    /// What was being done.
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// The label of the device, or the path of the file, that it was done to.
    pub fn device(&self) -> &str {
        &self.0.device
    }

    /// Where, in bytes from the start of the device; `None` where the operation has no place.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// Why it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The `errno` of the system; `None` for the reasons that this crate found itself.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.source.as_ref().and_then(io::Error::raw_os_error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.operation.as_str(), self.0.device)?;
        if let Some(offset) = self.0.offset {
            write!(f, " at {offset:#x}")?;
        }
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => write!(f, ": {}", self.0.kind),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_message_names_operation_device_offset_and_reason() {
        let error = Error::io(
            Operation::Erase,
            "mtd1 \"Kernel\"",
            Some(0x2_0000),
            io::Error::from_raw_os_error(libc::EIO),
        );
        let text = error.to_string();
        assert!(text.starts_with("erase mtd1 \"Kernel\" at 0x20000: "), "{text}");
        assert!(!text.ends_with('.'));
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.source().is_some());
    }

    #[test]
    fn a_typed_reason_has_no_errno_and_no_source() {
        let error = Error::new(Operation::Program, "mtd0", None, ErrorKind::SetsBit);
        assert_eq!(
            error.to_string(),
            "program mtd0: programming cannot set a cleared bit, an erase is needed"
        );
        assert_eq!(error.raw_os_error(), None);
        assert!(error.source().is_none());
    }
}
