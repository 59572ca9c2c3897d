//! A sink that stops before RAM is full.

#![forbid(unsafe_code)]

use crate::base::units::Size;
use crate::checks::OVERHEAD;
use std::io::{self, Write};

/// Stops before the out-of-memory killer starts: pages of a tmpfs belong to no process, so it would kill the wrong ones
/// (OpenIPC/firmware #2457).
pub(super) struct Budget<'a> {
    sink: &'a mut dyn Write,
    written: u64,
    /// Bytes that may be written, where that is known beforehand.
    limit: Option<u64>,
    /// Whether the memory is that of this box.
    ours: bool,
}

impl<'a> Budget<'a> {
    /// Up to a limit, and as long as this box has memory if it is its.
    pub fn new(sink: &'a mut dyn Write, limit: Option<u64>, ours: bool) -> Budget<'a> {
        Budget {
            sink,
            written: 0,
            limit,
            ours,
        }
    }

    /// Into the RAM root of this box.
    pub fn of_ram(sink: &'a mut dyn Write) -> Budget<'a> {
        Budget::new(sink, None, true)
    }
}

impl Write for Budget<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const STRIDE: u64 = 1 << 20;
        let after = self.written + bytes.len() as u64;
        if let Some(limit) = self.limit.filter(|limit| after > *limit) {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("there are {} for it, and it does not end there", Size(limit)),
            ));
        }
        let crossed = self.ours && self.written / STRIDE != after / STRIDE;
        if crossed && stages::memory::available().is_some_and(|available| available < OVERHEAD) {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("less than {} are left", Size(OVERHEAD)),
            ));
        }
        let written = self.sink.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
