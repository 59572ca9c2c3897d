//! The bytes of an image, wherever they are kept: once, and only to be read.

#![forbid(unsafe_code)]

use crate::base::checksum::Cksum;
use crate::base::units::hex;
use crate::bytes::joined::Joined;
use crate::bytes::on_disk::OnDisk;
use crate::bytes::packed::{Packed, ReadAhead};
use crate::bytes::scattered::Scattered;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Where the bytes are.
pub enum Store<'a> {
    /// In our own memory.
    Memory(Vec<u8>),
    /// In a file: in the RAM root when the image is to be written, elsewhere when it is only looked at.
    File(File, u64),
    /// In a file of a disk, because RAM is short; each byte is checked when it is read.
    Disk(OnDisk),
    /// Inside another store, packed; offsets and lengths are those of what is inside.
    Packed(Packed),
    /// A part of another store.
    Window(Arc<Store<'static>>, Range<u64>),
    /// Several, one behind the other.
    Joined(Joined),
    /// Blocks of another store, in an order of their own.
    Scattered(Scattered<'a>),
}

impl Store<'_> {
    /// All of a file.
    ///
    /// # Errors
    /// Those of asking for its size.
    pub fn file(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Store::File(file, size))
    }

    /// Bytes.
    #[allow(
        clippy::len_without_is_empty,
        reason = "an empty image is refused before there is a store"
    )]
    pub fn len(&self) -> u64 {
        match self {
            Store::Memory(bytes) => bytes.len() as u64,
            Store::File(_, size) => *size,
            Store::Disk(disk) => disk.size,
            Store::Packed(packed) => packed.packing.length,
            Store::Window(_, range) => range.end - range.start,
            Store::Joined(joined) => joined.len(),
            Store::Scattered(blocks) => blocks.length,
        }
    }

    /// The bytes as they were delivered, a store for each file: those that were hashed and signed.
    pub fn delivered(&self) -> Vec<&Store<'_>> {
        match self {
            Store::Packed(packed) => packed.inner().delivered(),
            Store::Joined(joined) => joined.delivered(),
            other => vec![other],
        }
    }

    /// Bytes as they were delivered.
    pub fn delivered_length(&self) -> u64 {
        self.delivered().into_iter().map(Store::len).sum()
    }

    /// What is packed is decoded about so many bytes ahead of its reader, until what is returned is dropped: for who waits for a
    /// chip between two reads. Meanwhile the process has a second thread, and who looks back has it begin anew.
    pub fn read_ahead(&self, bytes: usize) -> Vec<ReadAhead<'_>> {
        match self {
            Store::Packed(packed) => vec![packed.read_ahead(bytes)],
            Store::Joined(joined) => joined.pieces().flat_map(|piece| piece.read_ahead(bytes)).collect(),
            _ => Vec::new(),
        }
    }

    /// Gives back the memory of a decoder that is not needed now.
    pub(super) fn rest(&self) {
        if let Store::Packed(packed) = self {
            packed.rest();
        }
    }

    /// Takes everything from this offset on away.
    ///
    /// # Errors
    /// Those of the file, and of a store that does not change.
    pub fn cut(&mut self, length: u64) -> io::Result<()> {
        match self {
            Store::Memory(bytes) => bytes.truncate(length as usize),
            Store::File(file, size) => {
                file.set_len(length)?;
                *size = length;
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(())
    }

    /// The SHA-256 of the bytes as they were delivered, of several files as if they were one, in lower-case hexadecimal.
    /// `progress` is told the bytes so far.
    ///
    /// # Errors
    /// Those of reading.
    pub fn sha256(&self, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
        let mut hash = Sha256::new();
        let mut done = 0;
        for store in self.delivered() {
            store.scan(0..store.len(), |chunk| {
                hash.update(chunk);
                done += chunk.len() as u64;
                progress(done);
            })?;
        }
        Ok(hex(&hash.finalize()))
    }

    /// The POSIX checksum of all of it, the first number that `cksum` prints.
    ///
    /// # Errors
    /// Those of reading.
    pub fn cksum(&self) -> io::Result<u32> {
        let mut sum = Cksum::default();
        self.scan(0..self.len(), |chunk| sum.update(chunk))?;
        Ok(sum.finish())
    }

    /// Fills the buffer from this offset.
    ///
    /// # Errors
    /// Reading past the end is [`io::ErrorKind::UnexpectedEof`].
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Store::File(file, _) => file.read_exact_at(buffer, offset),
            Store::Disk(disk) => disk.read_exact_at(offset, buffer),
            Store::Packed(packed) => packed.read_exact_at(offset, buffer),
            Store::Window(inner, range) => match offset.checked_add(buffer.len() as u64) {
                Some(end) if end <= range.end - range.start => inner.read_exact_at(range.start + offset, buffer),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            },
            Store::Joined(joined) => joined.read_exact_at(offset, buffer),
            Store::Scattered(blocks) => blocks.read_exact_at(offset, buffer),
            Store::Memory(bytes) => {
                let part = usize::try_from(offset)
                    .ok()
                    .and_then(|start| bytes.get(start..start.checked_add(buffer.len())?))
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(part);
                Ok(())
            }
        }
    }

    /// Fills the buffer from the start of the range; false when the range is shorter.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read_head(&self, range: &Range<u64>, buffer: &mut [u8]) -> io::Result<bool> {
        if range.end.saturating_sub(range.start) < buffer.len() as u64 {
            return Ok(false);
        }
        self.read_exact_at(range.start, buffer)?;
        Ok(true)
    }

    /// The first bytes of the range, as many as there are and the buffer takes.
    ///
    /// # Errors
    /// Those of reading.
    pub fn front<'b>(&self, range: &Range<u64>, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let length = range.end.saturating_sub(range.start).min(buffer.len() as u64);
        let front = &mut buffer[..length as usize];
        self.read_exact_at(range.start, front)?;
        Ok(front)
    }

    /// All bytes of a range that is known to be short.
    ///
    /// # Errors
    /// Those of reading.
    pub fn bytes(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        self.read_exact_at(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Where in this range the first byte is that is not this one; its end, where all of them are.
    ///
    /// # Errors
    /// Those of reading.
    pub fn past(&self, range: Range<u64>, byte: u8) -> io::Result<u64> {
        self.past_any(range, &[byte])
    }

    /// The same of one that is none of these.
    ///
    /// # Errors
    /// Those of reading.
    pub fn past_any(&self, range: Range<u64>, bytes: &[u8]) -> io::Result<u64> {
        let mut buffer = [0; 4 << 10];
        let mut at = range.start;
        while at < range.end {
            let front = self.front(&(at..range.end), &mut buffer)?;
            match front.iter().position(|byte| !bytes.contains(byte)) {
                Some(inside) => return Ok(at + inside as u64),
                None => at += front.len() as u64,
            }
        }
        Ok(at)
    }

    /// Hands every byte of the range to `each`, a chunk at a time.
    ///
    /// # Errors
    /// Those of reading.
    pub fn scan(&self, range: Range<u64>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let mut at = range.start;
        while at < range.end {
            let front = self.front(&(at..range.end), &mut buffer)?;
            each(front);
            at += front.len() as u64;
        }
        Ok(())
    }
}

/// The bytes of a store in order; `S` refers to it.
pub struct Stream<S> {
    store: S,
    left: Range<u64>,
}

impl<'a, S: Deref<Target = Store<'a>>> Stream<S> {
    /// Of these bytes.
    pub fn new(store: S, range: Range<u64>) -> Stream<S> {
        Stream { store, left: range }
    }

    /// Where the next byte is in the store.
    pub fn position(&self) -> u64 {
        self.left.start
    }
}

impl<'a, S: Deref<Target = Store<'a>>> Read for Stream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.store.front(&self.left, buffer)?.len();
        self.left.start += got as u64;
        Ok(got)
    }
}
