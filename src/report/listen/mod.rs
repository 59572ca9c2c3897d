//! `--listen`: what happens, for whoever connects to a TCP port with the right token: a page for people, and the events as JSON
//! lines for programs. It goes on where an ssh session ends, also in process 1.
//!
//! The update writes its events into a socket of this process that never makes it wait, and a thread of its own passes them on.
//! Whatever becomes of that thread, of the port or of those who connect, the update goes on.

#![forbid(unsafe_code)]

mod client;
pub(crate) mod request;
mod server;

use crate::base::digits;
use crate::base::error::{Context, Failure, Result};
use crate::base::random;
use crate::base::units::hex;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, SndBuf};
use serde::{Deserialize, Serialize};
use server::Server;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// The TCP port where none is named; the rescue has the one before it.
const PORT: u16 = 3553;
/// Bytes of a token, as many as nobody guesses.
const RANDOM: usize = 16;
/// Bytes of the thread's stack, all of which process 1 locks into RAM.
const STACK: usize = 64 << 10;
/// Bytes that the kernel keeps of what a connection has sent and nobody has read, and of what it has not taken yet.
const RECEIVED: usize = 4 << 10;
const SENT: usize = 16 << 10;
/// How long the end of an update waits for its last words to reach those who follow it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where it listens: what `--listen` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// An address of this box; empty for all of them.
    address: String,
    /// The TCP port; 0 for one that is free.
    port: u16,
    /// What whoever connects has to know: made when the port is opened, and handed on to process 1.
    token: String,
}

impl Listen {
    /// `PORT`, `ADDRESS:PORT`, or nothing for the usual port; `None` for anything else.
    pub fn parse(text: &str) -> Option<Listen> {
        let (address, port) = text.rsplit_once(':').unwrap_or(("", text));
        let bracketed = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let bare = bracketed.unwrap_or(address);
        // `::1` without a port is an address, and no port 1 of an address `:`.
        let right = match bare.parse() {
            Ok(IpAddr::V6(_)) => bracketed.is_some(),
            Ok(IpAddr::V4(_)) => bracketed.is_none(),
            Err(_) => address.is_empty() && !text.contains(':'),
        };
        Some(Listen {
            address: bare.to_owned(),
            port: match port {
                "" if text.is_empty() => PORT,
                port => digits::decimal(port)?,
            },
            token: String::new(),
        })
        .filter(|_| right)
    }

    /// Opens the port, and makes the token.
    ///
    /// # Errors
    /// A port that is taken, an address that is not this box's, a system without random numbers.
    pub fn open(&self) -> Result<Door> {
        let socket = self.bind().map_err(|error| {
            Failure::system(format_args!("--listen: {self}: {error}")).hint("name another port: --listen=PORT")
        })?;
        let port = socket.local_addr().context("--listen")?.port();
        Ok(Door {
            at: Listen {
                address: self.address.clone(),
                port,
                token: token()?,
            },
            socket,
        })
    }

    /// One socket for addresses of both kinds, where the kernel has one (`bindv6only`, ip-sysctl of the kernel).
    fn bind(&self) -> io::Result<TcpListener> {
        let of_both = || !std::fs::read("/proc/sys/net/ipv6/bindv6only").is_ok_and(|text| text.starts_with(b"1"));
        let open = |address: &str| TcpListener::bind((address, self.port));
        let socket = match self.address.as_str() {
            "" if of_both() => open("::").or_else(|_| open("0.0.0.0")),
            "" => open("0.0.0.0"),
            named => open(named),
        }?;
        socket.set_nonblocking(true)?;
        // Connections get theirs of it: what nobody reads takes little of the kernel's memory.
        let _ = setsockopt(&socket, RcvBuf, &RECEIVED);
        let _ = setsockopt(&socket, SndBuf, &SENT);
        Ok(socket)
    }

    /// Where to look, as far as is known: the address that an ssh client has connected to is one of this box's.
    fn url(&self) -> String {
        let known = std::env::var("SSH_CONNECTION").unwrap_or_default();
        let of_ssh = known.split(' ').nth(2).filter(|word| word.parse::<IpAddr>().is_ok());
        let address = match self.address.as_str() {
            "" | "::" | "0.0.0.0" => of_ssh.unwrap_or("THIS-BOX"),
            named => named,
        };
        let (open, close) = if address.contains(':') { ("[", "]") } else { ("", "") };
        format!("http://{open}{address}{close}:{}/{}", self.port, self.token)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.address.is_empty() {
            write!(f, "{} ", self.address)?;
        }
        write!(f, "port {}", self.port)
    }
}

/// Thirty-two hexadecimal digits that nobody can foresee.
fn token() -> Result<String> {
    let mut bytes = [0; RANDOM];
    random::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// An open port to which nobody answers yet.
#[derive(Debug)]
pub struct Door {
    at: Listen,
    socket: TcpListener,
}

impl Door {
    /// What process 1 opens again. The port is closed here.
    pub fn close(self) -> Listen {
        self.at
    }

    /// What the user is told.
    pub fn told(&self) -> Told {
        Told {
            url: self.at.url(),
            port: self.at.port,
            token: self.at.token.clone(),
        }
    }

    /// Answers from now on.
    ///
    /// # Errors
    /// No thread.
    pub fn serve(self) -> io::Result<Tap> {
        Tap::new(self.at, Some(self.socket))
    }
}

/// What the user is told of an open port.
#[derive(Debug, Serialize)]
pub struct Told {
    /// The page.
    pub url: String,
    /// The TCP port.
    port: u16,
    /// What the path begins with.
    token: String,
}

/// Where events go in.
#[derive(Debug)]
pub struct Tap {
    /// `None` after the last one.
    events: Option<UnixStream>,
    thread: JoinHandle<()>,
    /// Whether the last one did not go in whole.
    half: bool,
}

impl Tap {
    /// Opens the port that stage one had, in process 1, as soon as that can be done.
    ///
    /// # Errors
    /// No thread.
    pub fn again(at: Listen) -> io::Result<Tap> {
        let socket = at.bind().ok();
        Tap::new(at, socket)
    }

    fn new(at: Listen, socket: Option<TcpListener>) -> io::Result<Tap> {
        let (events, heard) = UnixStream::pair()?;
        events.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let mut server = Server::new(at, socket, heard);
        let thread = Builder::new()
            .name("listen".to_owned())
            .stack_size(STACK)
            .spawn(move || server.run())?;
        Ok(Tap {
            events: Some(events),
            thread,
            half: false,
        })
    }

    /// Passes an event on. One that finds no room is lost: the update does not wait.
    pub fn tell(&mut self, event: &str) {
        // Half a line must not spoil the next one.
        let line = [if self.half { "\n" } else { "" }, event, "\n"].concat();
        if let Some(Ok(written)) = self.events.as_mut().map(|events| events.write(line.as_bytes())) {
            self.half = written < line.len();
        }
    }

    /// Lets those who follow hear the end, and waits a moment for that.
    pub fn end(mut self) {
        self.events = None;
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < FAREWELL {
            sleep(Duration::from_millis(10));
        }
        if self.thread.is_finished() {
            let _ = self.thread.join();
            // Who forks next looks whether it is alone, and the kernel takes a moment longer to forget a thread.
            sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(address: &str, port: u16) -> Option<Listen> {
        Some(Listen {
            address: address.to_owned(),
            port,
            token: String::new(),
        })
    }

    #[test]
    fn a_port_or_an_address_with_its_port_is_taken_and_nothing_else() {
        assert_eq!(Listen::parse(""), at("", PORT));
        assert_eq!(Listen::parse("0"), at("", 0));
        assert_eq!(Listen::parse("65535"), at("", 65535));
        assert_eq!(Listen::parse("192.168.0.7:80"), at("192.168.0.7", 80));
        assert_eq!(Listen::parse("[::1]:80"), at("::1", 80));
        for wrong in [
            "65536",
            "-1",
            "+1",
            ":80",
            "80:",
            "::1",
            "::1:80",
            "[::1]",
            "[::1]:",
            "[1.2.3.4]:80",
            "1.2.3.4",
            "1.2.3.4:",
            "nas:80",
            "[]:80",
            "1.2.3:80",
            " 80",
            "80 ",
            "x",
        ] {
            assert_eq!(Listen::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_token_is_like_another() {
        let tokens: Vec<_> = (0..100).map(|_| token().unwrap()).collect();
        for (index, token) in tokens.iter().enumerate() {
            assert!(token.len() == 2 * RANDOM && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(!tokens[..index].contains(token));
        }
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_and_one_that_is_free_is_found() {
        let first = Listen::parse("127.0.0.1:0").unwrap().open().unwrap();
        assert_ne!(first.at.port, 0);
        let taken = Listen::parse(&format!("127.0.0.1:{}", first.at.port)).unwrap();
        let failure = taken.open().unwrap_err();
        assert!(
            failure.what.contains("127.0.0.1 port") && failure.what.contains("in use"),
            "{failure}"
        );
        let at = first.close();
        taken.open().unwrap();
        assert!(at.url().ends_with(&at.token) && at.url().starts_with("http://127.0.0.1:"));
    }
}
