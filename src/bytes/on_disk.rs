//! An image that stays on its disk, where others could change it after it was checked. Digests of its pieces stay in
//! RAM, and each piece is held against its own whenever it is read, so that what was checked is what is written.

#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

/// Bytes of a piece. 32 bytes of RAM for each: 8 KiB for an image of 16 MiB.
const PIECE: usize = 64 << 10;

type Sum = [u8; 32];

/// The file, once it was read from beginning to end.
pub struct OnDisk {
    file: File,
    sums: Vec<Sum>,
    /// Bytes.
    pub size: u64,
    /// The last piece that was read and found right, with its index.
    last: Mutex<(Option<u64>, Vec<u8>)>,
}

/// Takes the bytes of a file in their order, and digests them.
#[derive(Default)]
pub struct Pieces {
    sums: Vec<Sum>,
    size: u64,
    hash: Sha256,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.size as usize % PIECE;
        let taken = &bytes[..room.min(bytes.len())];
        self.hash.update(taken);
        self.size += taken.len() as u64;
        if taken.len() == room {
            self.sums.push(self.hash.finalize_reset().into());
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pieces {
    /// The file whose bytes they were.
    pub fn of(mut self, file: File) -> OnDisk {
        if !(self.size as usize).is_multiple_of(PIECE) {
            self.sums.push(self.hash.finalize_reset().into());
        }
        OnDisk {
            file,
            sums: self.sums,
            size: self.size,
            last: Mutex::default(),
        }
    }
}

impl OnDisk {
    /// Fills the buffer from this offset.
    ///
    /// # Errors
    /// Bytes that are not those that were digested.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let index = at / PIECE as u64;
            if last.0 != Some(index) {
                self.load(index, &mut last)?;
            }
            let piece = last.1.get(at as usize % PIECE..).unwrap_or_default();
            let take = piece.len().min(buffer.len() - done);
            if take == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[done..done + take].copy_from_slice(&piece[..take]);
            done += take;
        }
        Ok(())
    }

    fn load(&self, index: u64, last: &mut (Option<u64>, Vec<u8>)) -> io::Result<()> {
        let sum = self.sums.get(index as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        let from = index * PIECE as u64;
        last.0 = None;
        last.1.resize(PIECE.min((self.size - from) as usize), 0);
        self.file.read_exact_at(&mut last.1, from)?;
        if Sum::from(Sha256::digest(&last.1)) != *sum {
            return Err(io::Error::other(format!(
                "the image on the disk has changed at 0x{from:x} since it was checked"
            )));
        }
        last.0 = Some(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn opened(content: &[u8]) -> (tempfile::NamedTempFile, OnDisk) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut pieces = Pieces::default();
        // In chunks that do not end where pieces do.
        content
            .chunks(40_000)
            .for_each(|chunk| pieces.write_all(chunk).unwrap());
        let opened = pieces.of(File::open(file.path()).unwrap());
        (file, opened)
    }

    #[test]
    fn every_range_reads_as_it_was_and_none_beyond_the_end() {
        for length in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 200_000] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (_file, opened) = opened(&content);
            assert_eq!(opened.size, length as u64);
            for (from, to) in [(0, length), (length / 2, length), (0, 1), (length - 1, length)] {
                let mut buffer = vec![0; to - from];
                opened.read_exact_at(from as u64, &mut buffer).unwrap();
                assert!(buffer == content[from..to]);
            }
            assert!(opened.read_exact_at(length as u64, &mut [0]).is_err());
            assert!(opened.read_exact_at(0, &mut vec![0; length + 1]).is_err());
        }
    }

    #[test]
    fn a_byte_that_changed_is_never_read() {
        let content = vec![7; 3 * PIECE];
        let (file, opened) = opened(&content);
        let mut changed = content.clone();
        changed[PIECE + 5] = 8;
        std::fs::write(file.path(), &changed).unwrap();
        let mut buffer = [0; 16];
        opened.read_exact_at(0, &mut buffer).unwrap();
        assert!(opened.read_exact_at(PIECE as u64, &mut buffer).is_err());
        // Nor a moment later from what was read the first time.
        assert!(opened.read_exact_at(PIECE as u64 + 64, &mut buffer).is_err());
        std::fs::write(file.path(), &content).unwrap();
        opened.read_exact_at(PIECE as u64, &mut buffer).unwrap();
        std::fs::write(file.path(), &content[..PIECE]).unwrap();
        assert!(opened.read_exact_at(2 * PIECE as u64, &mut buffer).is_err());
    }
}
