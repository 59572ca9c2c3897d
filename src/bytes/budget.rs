//! A sink that stops before RAM is full.

#![forbid(unsafe_code)]

use crate::base::units::Size;
use std::io::{self, Write};

/// What the update needs in RAM beside the image: this program in the RAM root, its buffers, page tables.
pub const OVERHEAD: u64 = 2 << 20;

/// Memory that is an error where there is no more; a `Vec` by itself would end the program.
pub struct Memory(pub Vec<u8>);

/// Bytes that are set aside for an image because it says how long it is; it may lie.
const SET_ASIDE: u64 = 16 << 20;

impl Memory {
    /// For so many bytes, as far as that is known.
    pub fn of(length: Option<u64>) -> Memory {
        Memory(Vec::with_capacity(length.unwrap_or_default().min(SET_ASIDE) as usize))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .try_reserve(bytes.len())
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stops before the out-of-memory killer starts: pages of a tmpfs belong to no process, so it would kill the wrong ones
/// (OpenIPC/firmware #2457).
pub struct Budget<'a> {
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
