//! Files that `flasher push` sends over standard input, and its answer to the plan.
//!
//! First a line comes that asks which blocks are here already: `blocks BYTES`, with the length of all files. Each file then is a
//! line with its length and its SHA-256 in hexadecimal digits, and its pieces in their order: `have NUMBER` for a block that is
//! here, `data LENGTH PACKED` for bytes, which are deflated where PACKED is less than LENGTH. Behind the last file lines come:
//! `wait` while nobody has decided yet, then `yes` or `no`. So a connection that breaks is never taken for a shorter image nor
//! for an answer, whatever was sent before, and a file that is put together wrongly is not the one that was sent.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::code::Code;
use crate::base::digits;
use crate::base::error::{Exit, Failure, Result};
use crate::bytes::blocks::Blocks;
use crate::bytes::source::Source;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::RefCell;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Milliseconds without a byte after which the other end has gone: the server of an ssh connection that nobody closed
/// keeps its end for hours, and meanwhile nobody else could begin.
const PATIENCE: u16 = 60_000;
/// Bytes of the longest line.
const LINE: usize = 128;
/// Bytes of the longest piece that is sent.
pub const PIECE: usize = 64 << 10;

/// Standard input without a buffer: what comes behind a file is read by somebody else.
struct Sent;

impl Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(any(test, fuzzing))]
        if let Some(read) = FUZZED.with_borrow_mut(|sent| sent.as_mut().map(|sent| sent.read(buffer))) {
            return read;
        }
        let stdin = io::stdin();
        let mut waited = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::from(PATIENCE))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(nix::unistd::read(stdin.as_fd(), buffer)?),
        }
    }
}

/// Whoever sends, and knows these blocks.
pub struct Sender {
    blocks: Rc<RefCell<Blocks>>,
}

impl Sender {
    /// Bytes of all files that will come, which the sender says before he is told what is here.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] where nothing comes.
    pub fn announced() -> Result<u64> {
        let line = line().map_err(|error| not_sent("", &error))?;
        let bytes = line.strip_prefix("blocks ").and_then(digits::decimal);
        bytes.ok_or_else(|| Failure::usage("--pushed is for flasher push"))
    }

    /// One who was told these.
    pub fn new(blocks: Blocks) -> Sender {
        Sender {
            blocks: Rc::new(RefCell::new(blocks)),
        }
    }

    /// The next file, under this name.
    ///
    /// # Errors
    /// [`Exit::ImageUnreadable`] where there is none.
    pub fn next(&self, name: &str) -> Result<Source> {
        let line = line().map_err(|error| not_sent(name, &error))?;
        let sent = line
            .split_once(' ')
            .and_then(|(length, sha256)| Some((digits::decimal(length)?, sha256)));
        match sent {
            Some((length, sha256)) if sha256.len() == 64 => {
                let pieces = Pieces {
                    blocks: Rc::clone(&self.blocks),
                    piece: Vec::new(),
                    taken: 0,
                };
                Source::sent(name, Box::new(pieces.take(length)), length, sha256.to_owned())
            }
            _ => Err(Failure::usage("--pushed is for flasher push")),
        }
    }
}

fn not_sent(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        Exit::ImageUnreadable,
        Code::ImageCutOff,
        format_args!("image {name} was not sent: {error}"),
    )
}

/// A file that is put together.
struct Pieces {
    blocks: Rc<RefCell<Blocks>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Pieces {
    /// Fetches the next piece, which is not empty.
    fn fetch(&mut self) -> io::Result<()> {
        self.taken = 0;
        let line = line()?;
        let mut words = line.split(' ');
        let (kind, mut numbers) = (words.next(), words.map(digits::decimal::<usize>));
        match (kind, numbers.next().flatten(), numbers.next().flatten()) {
            (Some("have"), Some(number), None) => self.blocks.borrow_mut().read(number, &mut self.piece),
            (Some("data"), Some(length @ 1..=PIECE), Some(packed)) if packed <= length => {
                self.piece.resize(length, 0);
                if packed == length {
                    return Sent.read_exact(&mut self.piece);
                }
                let mut bytes = vec![0; packed];
                Sent.read_exact(&mut bytes)?;
                match decompress_slice_iter_to_slice(&mut self.piece, std::iter::once(&bytes[..]), false, false) {
                    Ok(unpacked) if unpacked == length => Ok(()),
                    _ => Err(bad("a piece of it is damaged")),
                }
            }
            _ => Err(bad("what was sent is not a piece of it")),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            self.fetch()?;
        }
        let left = self.piece.get(self.taken..).unwrap_or_default();
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.taken += length;
        Ok(length)
    }
}

/// Whether the plan is agreed to.
///
/// # Errors
/// [`Exit::Refused`] where nobody answered before the connection ended.
pub fn answer() -> Result<bool> {
    loop {
        match line().as_deref() {
            Ok("wait") => (),
            Ok("yes") => return Ok(true),
            Ok(_) => return Ok(false),
            Err(error) => {
                let what = format_args!("the connection ended before anybody had agreed to the plan: {error}");
                return Err(Failure::new(Exit::Refused, Code::Declined, what));
            }
        }
    }
}

/// A line, which has to be a whole one.
fn line() -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE {
        Sent.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into()),
            other => line.push(other),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(any(test, fuzzing))]
thread_local! {
    /// What is read in place of standard input.
    static FUZZED: RefCell<Option<io::Cursor<Vec<u8>>>> = const { RefCell::new(None) };
}

/// Takes a file from these bytes, and the answer behind it, on a box that has one block.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    FUZZED.set(Some(io::Cursor::new(bytes.to_vec())));
    let mut blocks = Blocks::default();
    if let Ok(chip) = mtd_rs::SimChip::nor(8192, 4096).build() {
        let device = super::blocks::Device::Flash(Box::new(chip.whole("mtd0")));
        let block = 0..4096;
        blocks.add(device, std::slice::from_ref(&block), &mut |_, _, _| ());
    }
    if Sender::announced().is_ok() {
        let sender = Sender::new(blocks);
        let mut sink = Vec::new();
        if let Ok(source) = sender.next("image") {
            let _ = source.copy(&mut sink, &mut |_| ());
            assert!(sink.len() <= PIECE * bytes.len(), "no piece is longer than one may be");
        }
        let _ = answer();
    }
    FUZZED.set(None);
}
