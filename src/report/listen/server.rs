//! The thread that passes events on. What it does in a turn is bounded, and so is how often it takes one: nobody from outside can
//! have it take more than a small part of the processor's time, and it stands behind everything else that wants it.

#![forbid(unsafe_code)]

use super::Listen;
use super::client::{Client, State, WAITING};
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two turns, at the least.
const TURN: Duration = Duration::from_millis(100);
/// A turn is followed by a rest of so many times its length, so that whatever is sent to us takes less than two of a hundred parts
/// of the time; but for no longer than this.
const REST: u32 = 60;
const LONGEST: Duration = Duration::from_secs(1);
/// Connections that are taken in a turn.
const TAKEN: usize = 8;
/// Those that have not shown the token; one more puts out the oldest.
const STRANGERS: usize = 16;
/// Those that follow; likewise.
const FOLLOWERS: usize = 8;
/// Bytes of events that whoever comes later is told.
const PAST: usize = WAITING / 2;
/// How often those who follow are shown that somebody is there.
const STILL_HERE: Duration = Duration::from_secs(2);
/// How often it is tried to open the port.
const AGAIN: Duration = Duration::from_secs(1);
/// How long those who follow may take for the end.
const FAREWELL: Duration = Duration::from_millis(1500);

/// The thread's own.
pub struct Server {
    at: Listen,
    socket: Option<TcpListener>,
    events: UnixStream,
    clients: Vec<Client>,
    /// Whole lines.
    past: Vec<u8>,
    /// The beginning of a line.
    begun: Vec<u8>,
    tried: Instant,
    told: Instant,
}

impl Server {
    /// Nothing is done yet.
    pub fn new(at: Listen, socket: Option<TcpListener>, events: UnixStream) -> Server {
        Server {
            at,
            socket,
            events,
            clients: Vec::new(),
            past: Vec::new(),
            begun: Vec::new(),
            tried: Instant::now(),
            told: Instant::now(),
        }
    }

    /// Until there are no more events, and a moment longer for the last of them.
    pub fn run(&mut self) {
        stages::stand_back();
        let mut begun = Instant::now();
        while self.hear() {
            self.turn();
            sleep((begun.elapsed() * REST).clamp(TURN, LONGEST));
            begun = Instant::now();
        }
        self.socket = None;
        let end = Instant::now();
        for client in &mut self.clients {
            client.finish();
        }
        while !self.clients.is_empty() && end.elapsed() < FAREWELL {
            self.serve();
            sleep(TURN / 10);
        }
    }

    fn turn(&mut self) {
        if self.socket.is_none() && self.tried.elapsed() > AGAIN {
            self.tried = Instant::now();
            self.socket = self.at.bind().ok();
        }
        for _ in 0..TAKEN {
            let Some(Ok((stream, _))) = self.socket.as_ref().map(TcpListener::accept) else {
                break;
            };
            if let Some(mut client) = Client::new(stream) {
                client.turn(&self.at.token, &self.past);
                self.clients.push(client);
            }
            self.put_out(|state| state != State::Following, STRANGERS);
        }
        if self.told.elapsed() > STILL_HERE {
            self.pass_on(b"\n");
        }
        self.serve();
        self.put_out(|state| state == State::Following, FOLLOWERS);
    }

    fn serve(&mut self) {
        for client in &mut self.clients {
            client.turn(&self.at.token, &self.past);
        }
        self.clients.retain(|client| client.state != State::Gone);
    }

    /// The oldest of a kind go where there are too many.
    fn put_out(&mut self, of: fn(State) -> bool, most: usize) {
        let mut left = self.clients.iter().filter(|client| of(client.state)).count();
        self.clients.retain(|client| {
            let stays = !of(client.state) || left <= most;
            left -= usize::from(of(client.state));
            stays
        });
    }

    fn pass_on(&mut self, bytes: &[u8]) {
        self.told = Instant::now();
        for client in self
            .clients
            .iter_mut()
            .filter(|client| client.state == State::Following)
        {
            client.add(bytes);
        }
    }

    /// Passes new events on; `false` when there will be none any more.
    fn hear(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.events.read(&mut buffer) {
                Ok(0) => return false,
                Ok(got) => {
                    self.begun.extend_from_slice(&buffer[..got]);
                    if let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') {
                        let lines: Vec<u8> = self.begun.drain(..=end).collect();
                        self.pass_on(&lines);
                        self.keep(&lines);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// The last lines, for whoever comes later; of those that say how far something is only the last of all.
    fn keep(&mut self, lines: &[u8]) {
        let progress = |line: &[u8]| line.starts_with(br#"{"event":"progress""#);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let last = self.past.len().saturating_sub(1);
            let last = self.past[..last]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            if progress(line) && progress(&self.past[last..]) {
                self.past.truncate(last);
            }
            self.past.extend_from_slice(line);
        }
        while self.past.len() > PAST {
            let end = self
                .past
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(self.past.len(), |at| at + 1);
            self.past.drain(..end);
        }
    }
}
