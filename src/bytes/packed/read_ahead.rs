//! Decodes ahead of who reads, in a thread of its own: while a chip erases or programs, the processor has nothing else to do.
//! What is decoded waits in a pipe, which the kernel makes wait and wake without a line of ours.

#![forbid(unsafe_code)]

use crate::bytes::packed::{Decoder, fill};
use nix::fcntl::{FcntlArg, fcntl};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::thread::{Builder, JoinHandle};

/// The most bytes that wait to be read: an erase block of most of these chips. Kernels before 2.6.35 keep to their 64 KiB.
const WAITING: usize = 256 << 10;
/// Decoded at a time.
const CHUNK: usize = 4 << 10;
/// Bytes of its stack; the decoders have their tables elsewhere. One that is made while it runs lies there for a moment, and in an
/// archive that is packed two are made.
const STACK: usize = 112 << 10;
/// What the kernel calls the thread.
const NAME: &str = "ahead";
/// Bytes of memory that all of it takes.
pub(super) const MEMORY: u64 = (WAITING + CHUNK + STACK) as u64;

/// What a thread does, of the one kind that there is in the binary for all of them.
type Work = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// What comes out of a decoder that is in another thread.
pub(super) struct Ahead {
    /// `None` once it is to end.
    decoded: Option<PipeReader>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Ahead {
    /// Begins to decode, about so many bytes ahead of who reads.
    ///
    /// # Errors
    /// Without room for a thread or descriptors.
    pub fn of(decoder: Decoder, bytes: usize) -> io::Result<Ahead> {
        let (decoded, waiting) = io::pipe()?;
        let _ = fcntl(&waiting, FcntlArg::F_SETPIPE_SZ(bytes.min(WAITING) as i32));
        let work: Work = Box::new(move || decode(decoder, waiting));
        Ok(Ahead {
            decoded: Some(decoded),
            thread: Some(Builder::new().name(NAME.into()).stack_size(STACK).spawn(work)?),
        })
    }

    /// Waits until the thread has ended; what it ended with.
    fn end(&mut self) -> io::Result<()> {
        // Who writes into a pipe that nobody reads is told so.
        self.decoded = None;
        let thread = self.thread.take();
        thread.map_or(Ok(()), |thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the decoder panicked")))
        })
    }
}

/// Until the end, an error, or nobody reads any more.
fn decode(mut decoder: Decoder, mut waiting: PipeWriter) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let got = fill(decoder.as_mut(), &mut chunk)?;
        if got == 0 {
            return Ok(());
        }
        waiting.write_all(&chunk[..got])?;
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.decoded.as_mut().map_or(Ok(0), |decoded| decoded.read(buffer))?;
        if got == 0 && !buffer.is_empty() {
            self.end()?;
        }
        Ok(got)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    /// Counts what was taken, and fails at a certain byte.
    struct Counted(Arc<AtomicUsize>, usize);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let at = self.0.load(Ordering::SeqCst);
            let take = buffer.len().min(self.1 - at);
            if take == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            for (index, byte) in buffer[..take].iter_mut().enumerate() {
                *byte = (at + index) as u8;
            }
            self.0.store(at + take, Ordering::SeqCst);
            Ok(take)
        }
    }

    fn counted(length: usize) -> (Arc<AtomicUsize>, Ahead) {
        let taken = Arc::new(AtomicUsize::new(0));
        let ahead = Ahead::of(Box::new(Counted(Arc::clone(&taken), length)), WAITING).unwrap();
        (taken, ahead)
    }

    fn reaches(taken: &AtomicUsize, bytes: usize) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            if taken.load(Ordering::SeqCst) == bytes {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    #[test]
    fn it_decodes_while_nobody_reads_and_no_further_than_there_is_room() {
        let (taken, mut ahead) = counted(usize::MAX);
        // What waits, and the chunk that finds no room.
        assert!(reaches(&taken, WAITING + CHUNK));
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(taken.load(Ordering::SeqCst), WAITING + CHUNK);
        ahead.read_exact(&mut [0; CHUNK]).unwrap();
        assert!(reaches(&taken, WAITING + 2 * CHUNK));
    }

    #[test]
    fn bytes_come_in_their_order_and_an_error_where_it_happened() {
        let length = 10 * CHUNK + 5;
        let (_, mut ahead) = counted(length);
        let mut bytes = Vec::new();
        let error = ahead.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // Of a piece that could not be decoded to its end nothing is given.
        assert_eq!(bytes.len(), 10 * CHUNK);
        assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == at as u8));
    }

    #[test]
    fn its_thread_ends_with_it() {
        let (taken, ahead) = counted(usize::MAX);
        assert!(reaches(&taken, WAITING + CHUNK));
        drop(ahead);
        assert_eq!(Arc::strong_count(&taken), 1);
    }
}
