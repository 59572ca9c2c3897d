//! A download that goes on where it broke. The rest is asked for only where the server vouches that the file is the same;
//! otherwise all of it is fetched once more, and what was there already has to be in it.

#![forbid(unsafe_code)]

use crate::bytes::fetch::Program;
use crate::bytes::fetch_head::Head;
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::thread::sleep;
use std::time::Duration;

/// How often it is tried without getting on, after pauses of 1, 2, 4 and 8 seconds.
const TRIES: u32 = 4;
/// Bytes with which it gets on.
const ON: u64 = 64 << 10;

/// The output of a program that is started once more when it breaks.
pub(super) struct Fetched {
    program: Program,
    head: Head,
    child: stages::Child,
    /// All that was read.
    hash: Sha256,
    got: u64,
    /// What is to come once more, and what has come of that.
    again: u64,
    seen: Sha256,
    /// Whether this run of the program began at the first byte once more.
    whole: bool,
    /// Where it broke last, and how often there.
    broke: u64,
    failures: u32,
}

impl Fetched {
    /// Begins.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub(super) fn begin(program: Program, head: Head) -> io::Result<Fetched> {
        Ok(Fetched {
            child: program.start(0)?,
            program,
            head,
            hash: Sha256::new(),
            got: 0,
            again: 0,
            seen: Sha256::new(),
            whole: false,
            broke: 0,
            failures: 0,
        })
    }

    /// Begins anew behind a failure. One that comes before the first byte is an answer, and one at the same place for the second
    /// time is how the server has the file.
    fn anew(&mut self, error: io::Error) -> io::Result<()> {
        let same_place = self.whole && self.again == 0 && self.got == self.broke;
        if self.got >= self.broke + ON {
            self.failures = 0;
        }
        self.broke = self.got;
        if self.got == 0 && self.program.is_refused(self.child.code(), &self.head) {
            return Err(io::Error::new(io::ErrorKind::NotFound, error));
        }
        if self.got == 0 || !self.program.repeats || same_place || self.failures == TRIES {
            return Err(error);
        }
        sleep(Duration::from_secs(1 << self.failures));
        self.failures += 1;
        let head = self.program.head().map_err(io::Error::other)?;
        self.whole = match self.head.is_same(&head) {
            Some(false) => return Err(changed()),
            // A server that vouches for the file may still know no ranges.
            Some(true) => !self.program.has_ranges() || self.failures.is_multiple_of(2),
            None => true,
        };
        self.again = if self.whole { self.got } else { 0 };
        self.seen = Sha256::new();
        self.child = self.program.start(self.got - self.again)?;
        Ok(())
    }
}

/// The failure of a file that another one has taken the place of.
fn changed() -> io::Error {
    io::Error::other("the connection broke, and the file there is another one now")
}

impl Read for Fetched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let all = self.head.length;
            let got = match self.child.read(buffer) {
                // GNU wget calls a file that ended too early over FTP a success.
                Ok(0) if !buffer.is_empty() && self.again == 0 && all.is_some_and(|all| self.got < all) => {
                    let what = format!("it ended after {} of {} bytes", self.got, all.unwrap_or_default());
                    self.anew(io::Error::other(what))?;
                    continue;
                }
                Ok(got) => got,
                Err(error) => {
                    self.anew(error)?;
                    continue;
                }
            };
            if got == 0 && self.again > 0 && !buffer.is_empty() {
                return Err(changed());
            }
            let (known, new) = buffer[..got].split_at(got.min(usize::try_from(self.again).unwrap_or(usize::MAX)));
            if !known.is_empty() {
                self.seen.update(known);
                self.again -= known.len() as u64;
                if self.again == 0 && self.seen.clone().finalize() != self.hash.clone().finalize() {
                    return Err(changed());
                }
                if new.is_empty() {
                    continue;
                }
            }
            self.hash.update(new);
            self.got += new.len() as u64;
            let (from, length) = (known.len(), new.len());
            buffer.copy_within(from..from + length, 0);
            return Ok(length);
        }
    }
}
