//! Where the bytes of a simulated chip are: in memory, or in a file.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes that are moved at once. On the stack, because whole blocks would be too large for small boxes.
pub(super) const CHUNK: usize = 2048;

pub(super) enum Store {
    Memory(Vec<u8>),
    File(File),
}

impl Store {
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Store::Memory(bytes) => {
                buf.copy_from_slice(slice(bytes.len(), offset, buf.len()).map(|at| &bytes[at])?);
                Ok(())
            }
            Store::File(file) => file.read_exact_at(buf, offset),
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self {
            Store::Memory(bytes) => {
                let at = slice(bytes.len(), offset, data.len())?;
                bytes[at].copy_from_slice(data);
                Ok(())
            }
            Store::File(file) => file.write_all_at(data, offset),
        }
    }

    pub(super) fn fill(&mut self, range: Range<u64>, value: u8) -> io::Result<()> {
        let chunk = [value; CHUNK];
        for_chunks(range, |offset, length| self.write(offset, &chunk[..length]))
    }

    /// Overwrites the range with bytes that look random and depend on nothing but their offsets.
    pub(super) fn fill_garbage(&mut self, range: Range<u64>) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        for_chunks(range, |offset, length| {
            for (byte, at) in chunk[..length].iter_mut().zip(offset..) {
                *byte = garbage(at);
            }
            self.write(offset, &chunk[..length])
        })
    }
}

/// The byte that an interrupted or failed operation leaves at `offset`.
pub(super) fn garbage(offset: u64) -> u8 {
    // The finaliser of MurmurHash3, here only to scatter bits.
    let mut hash = (offset as u32) ^ ((offset >> 32) as u32) ^ 0x9e37_79b9;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    (hash >> 24) as u8
}

/// Calls `act` with offset and length of each chunk of the range until one fails.
pub(super) fn for_chunks<E>(range: Range<u64>, mut act: impl FnMut(u64, usize) -> Result<(), E>) -> Result<(), E> {
    let mut offset = range.start;
    while offset < range.end {
        let length = (range.end - offset).min(CHUNK as u64);
        act(offset, length as usize)?;
        offset += length;
    }
    Ok(())
}

fn slice(total: usize, offset: u64, length: usize) -> io::Result<Range<usize>> {
    usize::try_from(offset)
        .ok()
        .and_then(|start| Some(start..start.checked_add(length)?))
        .filter(|range| range.end <= total)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}
