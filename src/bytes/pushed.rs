//! Files that `flasher push` sends over standard input, and its answer to the plan.
//!
//! Each file is a line with its length and its SHA-256 in hexadecimal digits, and then its bytes. Behind the last one lines
//! come: `wait` while nobody has decided yet, then `yes` or `no`. So a connection that breaks is never taken for a shorter
//! image nor for an answer, whatever was sent before.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::bytes::source::Source;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;

/// Milliseconds without a byte after which the other end has gone: the server of an ssh connection that nobody closed
/// keeps its end for hours, and meanwhile nobody else could begin.
const PATIENCE: u16 = 60_000;
/// Bytes of the longest line.
const LINE: usize = 128;

/// Standard input without a buffer: what comes behind a file is read by somebody else.
struct Sent;

impl Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        let mut waited = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::from(PATIENCE))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(nix::unistd::read(stdin.as_fd(), buffer)?),
        }
    }
}

/// The next file, under this name.
///
/// # Errors
/// [`Exit::ImageUnreadable`] where there is none.
pub fn next(name: &str) -> Result<Source> {
    let line = line().map_err(|error| {
        Failure::new(
            Exit::ImageUnreadable,
            Code::ImageCutOff,
            format_args!("image {name} was not sent: {error}"),
        )
    })?;
    let sent = line
        .split_once(' ')
        .and_then(|(length, sha256)| Some((length.parse().ok()?, sha256)));
    match sent {
        Some((length, sha256)) if sha256.len() == 64 => {
            Source::sent(name, Box::new(Sent.take(length)), length, sha256.to_owned())
        }
        _ => Err(Failure::usage("--pushed is for flasher push")),
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
