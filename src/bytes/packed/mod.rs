//! An image inside gzip, xz, zstd, bzip2 or lzma, decoded while it is read. It stays as it was delivered, so
//! that the bytes whose checksum and signature were verified are those that are written.
//!
//! Reading ascends: a read behind what is still at hand begins anew at the front. The engine reads each phase in
//! ascending order, so that a phase costs one pass. While it writes, a thread decodes ahead (`ahead`). Memory is the
//! decoder's window, which the header names and [`WINDOW`] bounds, `KEPT` bytes, and those of the thread.

#![forbid(unsafe_code)]

mod block;
mod bzip2;
mod codec;
pub(crate) mod gzip;
mod members;
mod peek;
mod read_ahead;
mod xz_sizes;
mod zstd;

use crate::base::bad_data::bad;
use crate::base::units::Grouped;
use crate::bytes::pull::Pull;
use crate::bytes::store::{Store, Stream};
use crate::bytes::tar;
use members::Members;
use read_ahead::Ahead;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use block::unpack_block;
pub use codec::Codec;
pub use gzip::Gzip;

/// The largest window that is granted, in bytes: what `xz -6`, `zstd -19` and every `gzip` and `bzip2` need.
pub const WINDOW: u64 = 8 << 20;
/// The longest archive, in bytes.
pub const ARCHIVE: u64 = 1 << 30;
/// Decoded bytes that are kept, so that a look back a little does not begin anew.
const KEPT: usize = 96 << 10;
/// Decoded at a time.
const CHUNK: usize = 32 << 10;
/// How often all of it may be decoded while it is looked at, and how many bytes in any case.
const LOOKS: u64 = 16;
const LEAST: u64 = 64 << 20;

/// All that PID 1 needs to decode again what was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packing {
    /// With what it is packed.
    pub codec: Codec,
    /// Bytes of the file that are packed; metadata may follow.
    pub packed: u64,
    /// Bytes that come out.
    pub length: u64,
    /// Bytes of memory that decoding takes.
    pub memory: u64,
}

/// Decodes the first member in this range, to learn that it is whole, and hands on what is in it; answers where it ends. `None`
/// where unpacking takes more memory than is given. A header that makes no sense is for the decoder.
///
/// # Errors
/// `InvalidData` for what is damaged, else those of reading and of who looks at it.
pub fn first_end(
    store: &Store,
    range: &Range<u64>,
    codec: Codec,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<u64>> {
    if codec.window(store, range)?.is_some_and(|window| window > WINDOW) {
        return Ok(None);
    }
    let mut member = Members::first(Handle::Lent(store), range.clone(), codec);
    let damaged = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => bad(format_args!("the {} is cut off", codec.as_str())),
        _ => bad(format_args!("the {} is damaged: {error}", codec.as_str())),
    };
    let mut buffer = [0; 4096];
    loop {
        match member.read(&mut buffer).map_err(damaged)? {
            0 => return Ok(Some(member.position())),
            got => each(&buffer[..got])?,
        }
    }
}

/// The first bytes of what the first member in this range holds, as far as they can be decoded. That takes little memory,
/// whatever window the rest needs. Answers how many there are.
///
/// # Errors
/// Those of reading the store.
pub fn peek(store: &Store, range: &Range<u64>, codec: Codec, buffer: &mut [u8]) -> io::Result<usize> {
    peek::peek(Handle::Lent(store), range, codec, buffer)
}

/// A decoded view of a store.
pub struct Packed {
    inner: Arc<Store<'static>>,
    /// How it is packed.
    pub packing: Packing,
    state: Mutex<State>,
}

/// The store with the packed bytes: shared with whoever reads for long, or only lent.
#[derive(Clone)]
enum Handle<'s> {
    Shared(Arc<Store<'static>>),
    Lent(&'s Store<'s>),
}

impl<'s> Deref for Handle<'s> {
    type Target = Store<'s>;

    fn deref(&self) -> &Store<'s> {
        match self {
            Handle::Shared(store) => store,
            Handle::Lent(store) => store,
        }
    }
}

/// The packed bytes in order.
type Cursor<'s> = Stream<Handle<'s>>;

/// What comes out, in order.
type Decoder = Box<dyn Pull + Send>;

#[derive(Default)]
struct State {
    decoder: Option<Decoder>,
    /// How many bytes a thread decodes ahead of who reads; nothing is kept then.
    ahead: Option<usize>,
    /// How many bytes may still be decoded, while what is inside is only looked at.
    left: Option<u64>,
    /// The last bytes that were decoded, and where the first of them is.
    kept: Vec<u8>,
    kept_at: u64,
}

impl State {
    fn end(&self) -> u64 {
        self.kept_at + self.kept.len() as u64
    }

    fn restart(&mut self, decoder: impl FnOnce() -> io::Result<Decoder>) -> io::Result<()> {
        // The old one goes first: two windows at a time would be more than was planned.
        self.decoder = None;
        self.kept.clear();
        self.kept_at = 0;
        self.decoder = Some(decoder()?);
        Ok(())
    }

    /// Decodes up to this offset, and from there into the buffer, without keeping any of it.
    fn pass(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        // Whatever goes wrong, nobody knows where the decoder is then.
        let Some(mut decoder) = self.decoder.take() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        while self.kept_at < offset && !buffer.is_empty() {
            let take = buffer.len().min((offset - self.kept_at) as usize);
            decoder.read_exact(&mut buffer[..take])?;
            self.kept_at += take as u64;
        }
        decoder.read_exact(buffer)?;
        self.kept_at += buffer.len() as u64;
        self.decoder = Some(decoder);
        Ok(())
    }

    /// Decodes the next bytes; 0 at the end.
    fn more(&mut self) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(0);
        };
        if self.kept.len() + CHUNK > KEPT {
            self.kept.drain(..CHUNK);
            self.kept_at += CHUNK as u64;
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(CHUNK as u64).ok_or_else(|| {
                bad("what is inside lies so that looking at it takes more work than any firmware needs")
            })?;
        }
        let from = self.kept.len();
        self.kept.resize(from + CHUNK, 0);
        let got = fill(decoder.as_mut(), &mut self.kept[from..]);
        self.kept.truncate(from + got.as_ref().copied().unwrap_or_default());
        got
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(reader: &mut dyn Pull, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match reader.read(&mut buffer[have..]) {
            Ok(0) => break,
            Ok(got) => have += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

/// As long as it is there, what is packed is decoded ahead; no thread outlives it.
#[must_use]
pub struct ReadAhead<'p>(&'p Packed);

impl Drop for ReadAhead<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        // With it goes its thread.
        *state = State::default();
    }
}

impl Packed {
    /// Decodes the first `packed` bytes of the store once, to learn how long they come out and that they are whole.
    ///
    /// # Errors
    /// `InvalidData` for what is damaged, needs a larger window than [`WINDOW`] or comes out longer than `room`.
    pub fn open(inner: Arc<Store<'static>>, codec: Codec, packed: u64, room: u64) -> io::Result<Packed> {
        let memory = codec.memory(&inner, &(0..packed))?;
        let packing = Packing {
            codec,
            packed,
            length: u64::MAX,
            memory,
        };
        let mut opened = Packed::again(inner, packing);
        let mut state = State::default();
        state.restart(|| opened.decoder())?;
        let damaged = |error: io::Error| bad(format_args!("the {} is damaged: {error}", codec.as_str()));
        let mut room = room;
        while state.more().map_err(damaged)? > 0 {
            // Of an archive most may never be written; it only has to end some time.
            if state.kept_at == 0 && tar::is_header(&state.kept) {
                room = room.max(ARCHIVE);
            }
            if state.end() > room {
                return Err(bad(format_args!(
                    "what is inside the {} is longer than the {} bytes that could be meant: refused before it fills \
                     anything",
                    codec.as_str(),
                    Grouped(room)
                )));
            }
        }
        match state.end() {
            0 => Err(bad(format_args!("there is nothing inside the {}", codec.as_str()))),
            length => {
                opened.packing.length = length;
                // Who reads backwards begins anew each time.
                state.left = Some(length.saturating_mul(LOOKS).saturating_add(LEAST));
                // Its last bytes are at hand, where the metadata would be.
                opened.state = Mutex::new(state);
                Ok(opened)
            }
        }
    }

    /// What was opened before, by what was learned then.
    pub fn again(inner: Arc<Store<'static>>, packing: Packing) -> Packed {
        Packed {
            inner,
            packing,
            state: Mutex::default(),
        }
    }

    /// The packed bytes.
    pub(super) fn inner(&self) -> &Store<'static> {
        &self.inner
    }

    /// Gives the decoder's memory back; the next read begins anew.
    pub(super) fn rest(&self) {
        let mut state = self.state();
        *state = State {
            ahead: state.ahead,
            ..State::default()
        };
    }

    /// What is inside was looked at: from now on it may be read as often as it takes.
    pub fn looked_at(&self) {
        self.state().left = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a thread decodes about so many bytes ahead, until what is returned is dropped.
    pub(super) fn read_ahead(&self, bytes: usize) -> ReadAhead<'_> {
        *self.state() = State {
            ahead: Some(bytes),
            ..State::default()
        };
        ReadAhead(self)
    }

    /// A decoder at the beginning, in a thread of its own if that is wanted and to be had.
    fn begin(&self, ahead: Option<usize>) -> io::Result<Decoder> {
        if let Some(bytes) = ahead
            && let Ok(thread) = Ahead::of(self.decoder()?, bytes)
        {
            return Ok(Box::new(thread));
        }
        self.decoder()
    }

    fn decoder(&self) -> io::Result<Decoder> {
        let store = Handle::Shared(Arc::clone(&self.inner));
        let range = 0..self.packing.packed;
        Ok(Box::new(Members::new(store, range, self.packing.codec)))
    }

    /// Fills the buffer from this offset of what is inside.
    pub(super) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.packing.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut state = self.state();
        if state.decoder.is_none() || offset < state.kept_at {
            let ahead = state.ahead;
            state.restart(|| self.begin(ahead))?;
        }
        if state.ahead.is_some() {
            return state.pass(offset, buffer);
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            if at < state.end() {
                let kept = &state.kept[(at - state.kept_at) as usize..];
                let take = kept.len().min(buffer.len() - done);
                buffer[done..done + take].copy_from_slice(&kept[..take]);
                done += take;
            } else if state.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::gzip_write::GzipWriter;
    use std::io::Write;

    #[test]
    fn what_is_read_ahead_is_the_same_wherever_it_is_read() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at ^ at >> 9) as u8).collect();
        let mut packed = Vec::new();
        let mut writer = GzipWriter::new(&mut packed).unwrap();
        writer.write_all(&bytes).unwrap();
        writer.finish().unwrap();
        let length = packed.len() as u64;
        let inside = Packed::open(Arc::new(Store::Memory(packed)), Codec::Gzip, length, 1 << 30).unwrap();
        let _ahead = inside.read_ahead(64 << 10);
        // On, over a gap longer than the buffer, over none, back, to the end, behind it, and back once more.
        for (offset, length) in [
            (0, 1000),
            (200_000, 7),
            (200_007, 500_000),
            (5, 70_000),
            (2_999_990, 10),
            (0, 0),
            (1, 1),
        ] {
            let mut buffer = vec![0; length];
            inside.read_exact_at(offset as u64, &mut buffer).unwrap();
            assert_eq!(buffer, bytes[offset..offset + length], "{offset}");
            assert!(inside.read_exact_at(2_999_999, &mut [0; 2]).is_err());
        }
    }

    #[test]
    fn a_header_that_makes_no_sense_is_damage() {
        // The size of the dictionary in the first block's header, and its filter.
        for at in [16, 14] {
            let run = std::process::Command::new("sh").args(["-c", "echo text | xz"]).output();
            let mut packed = run.unwrap().stdout;
            packed[at] = 0x3f;
            let store = Store::Memory(packed);
            let found = first_end(&store, &(0..store.len()), Codec::Xz, &mut |_| Ok(()));
            assert_eq!(found.unwrap_err().kind(), io::ErrorKind::InvalidData, "{at}");
        }
    }

    /// The stack of the thread is small; those of a program without optimisation are the larger ones.
    #[test]
    fn every_packing_is_read_ahead() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|at| (at ^ at >> 9) as u8).collect();
        for (codec, packer) in [
            (Codec::Gzip, "gzip -9"),
            (Codec::Bzip2, "bzip2 -9"),
            (Codec::Xz, "xz -6"),
            (Codec::Lzma, "xz --format=lzma -6"),
            (Codec::Zstd, "zstd -q -19"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let plain = dir.path().join("plain");
            std::fs::write(&plain, &bytes).unwrap();
            let run = std::process::Command::new("sh")
                .args(["-c", &format!("{packer} -c <\"$0\""), plain.to_str().unwrap()])
                .output()
                .unwrap();
            assert!(run.status.success(), "{packer}: {run:?}");
            let length = run.stdout.len() as u64;
            let inside = Packed::open(Arc::new(Store::Memory(run.stdout)), codec, length, 1 << 30).unwrap();
            let _ahead = inside.read_ahead(64 << 10);
            let mut buffer = vec![0; bytes.len()];
            inside.read_exact_at(0, &mut buffer).unwrap();
            assert!(buffer == bytes, "{packer}");
        }
    }
}
