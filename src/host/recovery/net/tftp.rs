//! TFTP for one file, read-only (RFC 1350, with the options of RFC 2348, 2349 and 7440).
//!
//! The packets are the tftpd crate's. The transfer is our own, because we must know when the box has everything, and
//! must serve one file under one name instead of a directory.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use crate::host::recovery::net::{Event, Events, Name};
use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tftpd::{ErrorCode, OptionType, Packet, TransferOption};

/// Transfers at a time: one is wanted, a client that starts again leaves others behind for a while.
const TRANSFERS: usize = 8;
/// How often a packet is sent before the client is given up.
const TRIES: u32 = 12;
/// Blocks that may be under way.
const WINDOW: u64 = 64;

/// What is served.
pub struct Offer {
    /// The file.
    pub image: Arc<Vec<u8>>,
    /// Its name.
    pub name: Name,
    /// The only client, where there is only one.
    pub only: Option<Ipv4Addr>,
    /// What to say to someone who asks for another name.
    pub hint: String,
}

/// Answers until the socket breaks.
pub fn serve(socket: &UdpSocket, offer: &Offer, events: &Events) {
    let busy: Arc<Mutex<HashSet<SocketAddr>>> = Arc::default();
    let mut buffer = [0; 1024];
    loop {
        let (got, client) = match socket.recv_from(&mut buffer) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return events.send(Event::Broken(format!("TFTP: {error}"))),
        };
        let options = match admit(&buffer[..got], client, offer, events) {
            Ok(options) => options,
            Err((code, text)) => {
                let _ = socket.send_to(&error(code, &text), client);
                continue;
            }
        };
        {
            let mut busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
            // A client that asks again from the same port has not heard us yet: it will.
            if busy.len() >= TRANSFERS || !busy.insert(client) {
                continue;
            }
        }
        let (image, events, busy) = (Arc::clone(&offer.image), events.clone(), Arc::clone(&busy));
        let own = socket.local_addr();
        std::thread::spawn(move || {
            match own.and_then(|own| open(own, client)) {
                Ok(socket) => match Transfer::new(&socket, &image, &options).run(&events) {
                    Ok(()) => {
                        if let SocketAddr::V4(client) = client {
                            events.send(Event::Done { to: *client.ip() });
                        }
                    }
                    Err(what) => events.warn(format!("the transfer to {client} broke off: {what}")),
                },
                Err(error) => events.warn(format!("TFTP to {client}: {error}")),
            }
            busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&client);
        });
    }
}

/// A socket of its own for each transfer: its port is the transfer's identifier.
fn open(own: SocketAddr, client: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((own.ip(), 0))?;
    socket.connect(client)?;
    Ok(socket)
}

fn error(code: ErrorCode, text: &str) -> Vec<u8> {
    let packet = Packet::Error {
        code,
        msg: text.to_owned(),
    };
    packet.serialize().unwrap_or_default()
}

/// Whether a request is for what is served, and with which options.
fn admit(
    packet: &[u8],
    client: SocketAddr,
    offer: &Offer,
    events: &Events,
) -> Result<Vec<TransferOption>, (ErrorCode, String)> {
    let refuse = |code, text: String| {
        events.say(format!("refused {client}: {text}"));
        Err((code, text))
    };
    match parse(packet) {
        Some(Packet::Rrq {
            filename,
            mode,
            options,
        }) => {
            let asked: String = filename.chars().filter(|c| !c.is_control()).collect();
            if offer.only.is_some_and(|only| client.ip() != only) {
                return refuse(
                    ErrorCode::AccessViolation,
                    format!("{} is for another box", Quoted(&asked)),
                );
            }
            // U-Boot asks for the name as it was told; other clients put a slash before it.
            let wanted = asked.strip_prefix('/').unwrap_or(&asked);
            match offer.name.get() {
                Some(name) if name == wanted => (),
                served => {
                    let served = served.unwrap_or_else(|| "nothing yet".to_owned());
                    return refuse(
                        ErrorCode::FileNotFound,
                        format!("{} is not here, but {served}: {}", Quoted(&asked), offer.hint),
                    );
                }
            }
            if !mode.eq_ignore_ascii_case("octet") {
                return refuse(
                    ErrorCode::IllegalOperation,
                    format!(
                        "{} in mode {mode}: an image goes in mode octet (binary) only",
                        Quoted(&asked)
                    ),
                );
            }
            events.say(format!("{client} asks for {}", Quoted(&asked)));
            Ok(options)
        }
        Some(Packet::Wrq { filename, .. }) => refuse(
            ErrorCode::AccessViolation,
            format!("writing {}: nothing can be written here", Quoted(&filename)),
        ),
        // An answer that lost its way must not be answered, or two servers talk for ever.
        Some(_) => Err((ErrorCode::UnknownId, "no transfer of that kind".to_owned())),
        None => refuse(ErrorCode::IllegalOperation, "a request that cannot be read".to_owned()),
    }
}

/// The parser indexes a packet's first four bytes.
fn parse(packet: &[u8]) -> Option<Packet> {
    match packet.len() {
        0..4 => None,
        _ => Packet::deserialize(packet).ok(),
    }
}

struct Transfer<'a> {
    socket: &'a UdpSocket,
    image: &'a [u8],
    /// Bytes of a block.
    block: usize,
    /// Blocks under way.
    window: u64,
    /// How long to wait for an answer.
    wait: Duration,
    /// The options that are agreed to.
    agreed: Vec<TransferOption>,
}

impl<'a> Transfer<'a> {
    fn new(socket: &'a UdpSocket, image: &'a [u8], options: &[TransferOption]) -> Transfer<'a> {
        let mut transfer = Transfer {
            socket,
            image,
            block: 512,
            window: 1,
            wait: Duration::from_secs(1),
            agreed: Vec::new(),
        };
        for TransferOption { option, value } in options {
            let agreed = match option {
                OptionType::BlockSize if *value >= 8 => {
                    // The largest that fits a datagram (RFC 2348).
                    let size = (*value).min(65464);
                    transfer.block = size as usize;
                    Some((OptionType::BlockSize, size))
                }
                OptionType::TransferSize => Some((OptionType::TransferSize, image.len() as u64)),
                OptionType::Timeout if (1..=255).contains(value) => {
                    transfer.wait = Duration::from_secs((*value).min(5));
                    Some((OptionType::Timeout, *value))
                }
                OptionType::WindowSize if *value >= 1 => {
                    transfer.window = (*value).min(WINDOW);
                    Some((OptionType::WindowSize, transfer.window))
                }
                _ => None,
            };
            transfer
                .agreed
                .extend(agreed.map(|(option, value)| TransferOption { option, value }));
        }
        transfer
    }

    fn run(mut self, events: &Events) -> Result<(), String> {
        let agreed = std::mem::take(&mut self.agreed);
        if !agreed.is_empty() {
            let packet = Packet::Oack(agreed).serialize().map_err(str::to_owned)?;
            let send = |transfer: &Transfer<'_>| transfer.send(&packet);
            send(&self)?;
            self.until(send, |block| (block == 0).then_some(0))?;
        }
        // A file of whole blocks ends with an empty one.
        let last = self.image.len() as u64 / self.block as u64 + 1;
        let mut acknowledged = 0;
        while acknowledged < last {
            let window = acknowledged + 1..(acknowledged + self.window).min(last) + 1;
            let send = |transfer: &Transfer<'_>| window.clone().try_for_each(|number| transfer.data(number));
            send(&self)?;
            // Block numbers have 16 bits and go round.
            acknowledged = self.until(send, |block| window.clone().find(|number| *number as u16 == block))?;
            events.send(Event::Progress {
                done: (acknowledged * self.block as u64).min(self.image.len() as u64),
                total: self.image.len() as u64,
            });
        }
        Ok(())
    }

    fn send(&self, packet: &[u8]) -> Result<(), String> {
        self.socket.send(packet).map(|_| ()).map_err(|error| error.to_string())
    }

    fn data(&self, number: u64) -> Result<(), String> {
        let start = (number - 1) as usize * self.block;
        let end = (start + self.block).min(self.image.len());
        let packet = Packet::Data {
            block_num: number as u16,
            data: self.image.get(start..end).unwrap_or_default().to_vec(),
        };
        self.send(&packet.serialize().map_err(str::to_owned)?)
    }

    /// Waits for an acknowledgement that `accept` takes, and sends again when none comes. A second acknowledgement
    /// of an earlier block is never answered: it would double every packet from then on (RFC 1123, 4.2.3.1).
    fn until(
        &self,
        again: impl Fn(&Transfer<'_>) -> Result<(), String>,
        accept: impl Fn(u16) -> Option<u64>,
    ) -> Result<u64, String> {
        let mut buffer = [0; 600];
        for _ in 0..TRIES {
            let deadline = Instant::now() + self.wait;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                self.socket
                    .set_read_timeout(Some(left))
                    .map_err(|error| error.to_string())?;
                let got = match self.socket.recv(&mut buffer) {
                    Ok(got) => got,
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => continue,
                        _ => return Err(error.to_string()),
                    },
                };
                match parse(&buffer[..got]) {
                    Some(Packet::Ack(block)) => {
                        if let Some(number) = accept(block) {
                            return Ok(number);
                        }
                    }
                    Some(Packet::Error { msg, .. }) => return Err(format!("the client says {}", Quoted(&msg))),
                    _ => (),
                }
            }
            again(self)?;
        }
        Err("it does not answer any more".to_owned())
    }
}
