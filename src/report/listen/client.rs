//! One of those who have connected: within bounds of memory and time, whatever it sends or does not take.

#![forbid(unsafe_code)]

use super::request::{Asked, asked};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Bytes of the longest first line of a request.
const LINE: usize = 256;
/// Bytes that are read at a time, and how often in a turn.
const READ: usize = 512;
const READS: usize = 4;
/// Bytes that wait for one who is slow. Who does not take them is given up.
pub const WAITING: usize = 24 << 10;
/// How long a request may take, and how long it may take until an answer that has an end has been taken.
const PATIENCE: Duration = Duration::from_secs(3);

const PAGE: &[u8] = concat!(
    "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n",
    "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; ",
    "style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'\r\n\r\n",
    include_str!("page.html")
)
.as_bytes();
const EVENTS: &[u8] =
    b"HTTP/1.0 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n";
const NOTHING: &[u8] = b"HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

/// How far one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is known of it yet.
    Asking,
    /// It gets the events.
    Following,
    /// It gets an answer that has an end.
    Answered,
    /// It has everything, and is to hang up.
    Leaving,
    /// It has gone, or is given up.
    Gone,
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    /// How far it is.
    pub state: State,
    /// When it became that.
    since: Instant,
    line: Vec<u8>,
    /// What it gets first.
    answer: &'static [u8],
    /// And then.
    waiting: Vec<u8>,
}

impl Client {
    /// One that has just connected; `None` where the kernel does not let us talk to it without waiting.
    pub fn new(stream: TcpStream) -> Option<Client> {
        stream.set_nonblocking(true).ok()?;
        Some(Client {
            stream,
            state: State::Asking,
            since: Instant::now(),
            line: Vec::new(),
            answer: &[],
            waiting: Vec::new(),
        })
    }

    fn becomes(&mut self, state: State) {
        self.state = state;
        self.since = Instant::now();
    }

    /// More for one that follows.
    pub fn add(&mut self, bytes: &[u8]) {
        match self.waiting.len() + bytes.len() > WAITING {
            true => self.becomes(State::Gone),
            false => self.waiting.extend_from_slice(bytes),
        }
    }

    /// It gets what it has not got yet, and nothing more.
    pub fn finish(&mut self) {
        if self.state == State::Following {
            self.becomes(State::Answered);
        }
    }

    /// Reads and writes what can be without waiting. `past` is what one that follows from now on is told first.
    pub fn turn(&mut self, token: &str, past: &[u8]) {
        self.read(token, past);
        self.write();
        if self.state == State::Answered && self.answer.is_empty() && self.waiting.is_empty() {
            // What comes after it is read, or the kernel would take the answer back.
            match self.stream.shutdown(Shutdown::Write) {
                Ok(()) => self.becomes(State::Leaving),
                Err(_) => self.becomes(State::Gone),
            }
        }
        if self.state != State::Following && self.since.elapsed() > PATIENCE {
            self.state = State::Gone;
        }
    }

    fn read(&mut self, token: &str, past: &[u8]) {
        let mut buffer = [0; READ];
        for _ in 0..READS {
            let got = match self.stream.read(&mut buffer) {
                Ok(got @ 1..) => got,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
                // One that has said all that it will may still listen.
                Ok(_) if self.state == State::Answered => return,
                _ => return self.becomes(State::Gone),
            };
            // What comes behind the first line is of no use.
            if self.state == State::Asking {
                self.ask(&buffer[..got], token, past);
            }
        }
    }

    /// More of the first line.
    fn ask(&mut self, read: &[u8], token: &str, past: &[u8]) {
        let end = read.iter().position(|byte| *byte == b'\n');
        self.line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
        if self.line.len() > LINE {
            return self.becomes(State::Gone);
        }
        if end.is_none() {
            return;
        }
        let line = std::mem::take(&mut self.line);
        let (state, answer) = match asked(line.trim_ascii_end(), token) {
            Asked::Page => (State::Answered, PAGE),
            Asked::Events => (State::Following, EVENTS),
            Asked::Nothing => (State::Answered, NOTHING),
        };
        self.answer = answer;
        self.becomes(state);
        if state == State::Following {
            self.add(past);
        }
    }

    fn write(&mut self) {
        while self.state != State::Gone && !(self.answer.is_empty() && self.waiting.is_empty()) {
            let first = !self.answer.is_empty();
            let bytes = if first { self.answer } else { &self.waiting };
            match self.stream.write(bytes) {
                Ok(written @ 1..) if first => self.answer = &self.answer[written..],
                Ok(written @ 1..) => drop(self.waiting.drain(..written)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
                _ => self.becomes(State::Gone),
            }
        }
    }
}
