//! TFTP for one file, read-only: who asks, and whether it is for what is served. The blocks are the transfer's affair.

#![forbid(unsafe_code)]

use super::tftp_frame::{self, Choice, ErrorCode, Frame};
use super::transfer::Transfer;
use super::{Answered, Event, Events, Name};
use crate::base::quoted::Quoted;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// Transfers at a time to one address: one is wanted, a client that starts again leaves others behind for a while.
const TO_ONE: usize = 4;
/// Transfers at a time to all addresses but that of the box, so that no others keep the box out.
const TO_OTHERS: usize = 4;

/// What is served.
pub struct Offer {
    /// The file.
    pub image: Arc<Vec<u8>>,
    /// Its name.
    pub name: Name,
    /// The address of the box.
    pub of_box: Ipv4Addr,
    /// Whether nobody else gets it.
    pub alone: bool,
    /// Whether the box was told its address.
    pub answered: Answered,
    /// What to say to someone who asks for another name.
    pub hint: &'static str,
}

/// Answers until the socket breaks.
pub fn serve(socket: &UdpSocket, offer: &Offer, events: &Events) {
    let busy = Busy::default();
    let mut buffer = [0; 1024];
    loop {
        let (got, client) = match socket.recv_from(&mut buffer) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return events.send(Event::Broken(format!("TFTP: {error}"))),
        };
        let options = match admit(&buffer[..got], client, offer, events) {
            Ok(options) => options,
            Err(refusal) => {
                if let Some((code, text)) = refusal {
                    let _ = socket.send_to(&tftp_frame::error(code, &text), client);
                }
                continue;
            }
        };
        let Some(place) = busy.enter(client, offer.of_box) else {
            continue;
        };
        let (image, own_events) = (Arc::clone(&offer.image), events.clone());
        let (own, answered) = (socket.local_addr(), offer.answered.get());
        let thread = std::thread::Builder::new().spawn(move || {
            let end = match own.and_then(|own| open(own, client)) {
                Ok(socket) => Transfer::new(&socket, &image, &options)
                    .run(&own_events)
                    .map_err(|what| format!("the transfer to {client} broke off: {what}")),
                Err(error) => Err(format!("TFTP to {client}: {error}")),
            };
            // Whoever hears of the end may ask again at once.
            drop(place);
            match (end, client) {
                (Ok(()), SocketAddr::V4(client)) => own_events.send(Event::Done {
                    to: *client.ip(),
                    answered,
                }),
                (Ok(()), SocketAddr::V6(_)) => (),
                (Err(what), _) => own_events.warn(what),
            }
        });
        if let Err(error) = thread {
            events.warn(format!("TFTP to {client}: {error}"));
        }
    }
}

/// The clients that something is sent to.
#[derive(Clone, Default)]
struct Busy(Arc<Mutex<Vec<SocketAddr>>>);

/// A place among them, which is free again when this is dropped.
struct Place {
    client: SocketAddr,
    busy: Busy,
}

impl Busy {
    /// None where there is no place, and for a client that has one: it asks again because it has not heard us yet, and
    /// will.
    fn enter(&self, client: SocketAddr, of_box: Ipv4Addr) -> Option<Place> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = clients.iter().filter(|other| other.ip() == client.ip()).count();
        let others = clients.iter().filter(|other| other.ip() != of_box).count();
        let full = client.ip() != of_box && others >= TO_OTHERS;
        if full || same >= TO_ONE || clients.contains(&client) {
            return None;
        }
        clients.push(client);
        Some(Place {
            client,
            busy: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.busy.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| *client != self.client);
    }
}

/// A socket of its own for each transfer: its port is the transfer's identifier.
fn open(own: SocketAddr, client: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((own.ip(), 0))?;
    socket.connect(client)?;
    Ok(socket)
}

/// The options of a request for what is served; otherwise what the client is told, if anything.
type Admission = Result<Vec<(Choice, u64)>, Option<(ErrorCode, String)>>;

/// Whether a request is for what is served, and with which options.
pub(super) fn admit(packet: &[u8], client: SocketAddr, offer: &Offer, events: &Events) -> Admission {
    let refuse = |code, text: String| {
        events.say(format!("refused {client}: {text}"));
        Err(Some((code, text)))
    };
    match Frame::decode(packet) {
        Some(Frame::Read { name, mode, options }) => {
            let asked = Quoted(name);
            if offer.alone && client.ip() != offer.of_box {
                return refuse(ErrorCode::AccessViolation, format!("{asked} is for another box"));
            }
            // U-Boot asks for the name as it was told; other clients put a slash before it.
            let wanted = name.strip_prefix('/').unwrap_or(name);
            match offer.name.get() {
                Some(name) if name == wanted => (),
                served => {
                    let served = served.unwrap_or_else(|| "nothing yet".to_owned());
                    return refuse(
                        ErrorCode::FileNotFound,
                        format!("{asked} is not here, but {served}: {}", offer.hint),
                    );
                }
            }
            if !mode.eq_ignore_ascii_case("octet") {
                let mode = Quoted(mode);
                return refuse(
                    ErrorCode::IllegalOperation,
                    format!("{asked} in mode {mode}: an image goes in mode octet (binary) only"),
                );
            }
            events.say(format!("{client} asks for {asked}"));
            Ok(options)
        }
        Some(Frame::Write(name)) => refuse(
            ErrorCode::AccessViolation,
            format!("writing {}: nothing can be written here", Quoted(name)),
        ),
        // Two servers that answer each other's errors talk for ever.
        Some(Frame::Error(_)) => Err(None),
        Some(Frame::Ack(_) | Frame::Stray) => Err(Some((ErrorCode::UnknownId, "no transfer of that kind".to_owned()))),
        None => refuse(ErrorCode::IllegalOperation, "a request that cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fuzz::READS;
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_the_box_and_a_place_is_free_again() {
        let busy = Busy::default();
        let of_box = Ipv4Addr::new(192, 168, 0, 10);
        let enter = |host: u8, port: u16| busy.enter(SocketAddr::from(([192, 168, 0, host], port)), of_box);
        let mut places: Vec<Place> = [(66, 1), (66, 2), (67, 1), (67, 2), (67, 3), (68, 1)]
            .into_iter()
            .filter_map(|(host, port)| enter(host, port))
            .collect();
        assert_eq!(places.len(), TO_OTHERS, "several others have no more than one");
        let own: Vec<Place> = (1..9).filter_map(|port| enter(10, port)).collect();
        assert_eq!(own.len(), TO_ONE);
        drop(own);
        let own = enter(10, 1).unwrap();
        assert!(enter(10, 1).is_none(), "the same request again");
        drop(own);
        assert!(enter(10, 1).is_some());
        places.pop();
        assert!(enter(68, 1).is_some());
    }

    #[test]
    fn names_and_modes_are_shown_quoted_and_the_box_alone_is_admitted() {
        let (events, seen) = Events::channel();
        let offer = Offer {
            image: Arc::default(),
            name: Name::new(Some("qnapimg.bin".to_owned()), true),
            of_box: Ipv4Addr::new(192, 168, 1, 71),
            alone: true,
            answered: Answered::default(),
            hint: "hint",
        };
        let ask = |packet: &[u8], host: u8| {
            let admission = admit(packet, SocketAddr::from(([192, 168, 1, host], 7)), &offer, &events);
            let said = match seen.try_recv() {
                Ok(Event::Said(text)) => text,
                other => format!("{other:?}"),
            };
            (admission.is_ok(), said)
        };
        let client = "192.168.1.71:7";
        let [plain, ..] = READS;
        assert_eq!(ask(plain, 71), (true, format!("{client} asks for \"qnapimg.bin\"")));
        for (packet, host, said) in [
            (plain, 72, r#"refused 192.168.1.72:7: "qnapimg.bin" is for another box"#),
            (
                b"\0\x01\x1b[2Jx\0octet\0",
                71,
                r#"refused 192.168.1.71:7: "\u{1b}[2Jx" is not here, but qnapimg.bin: hint"#,
            ),
            (
                b"\0\x01qnapimg.bin\0\x1b[2J\n\0",
                71,
                r#"refused 192.168.1.71:7: "qnapimg.bin" in mode "\u{1b}[2J\n": an image goes in mode octet (binary) only"#,
            ),
            (
                b"\0\x02\x1b\0octet\0",
                71,
                r#"refused 192.168.1.71:7: writing "\u{1b}": nothing can be written here"#,
            ),
        ] {
            assert_eq!(ask(packet, host), (false, said.to_owned()));
        }
        // An error is neither answered nor shown.
        assert!(matches!(
            admit(b"\0\x05\0\0x\0", client.parse().unwrap(), &offer, &events),
            Err(None)
        ));
        assert!(seen.try_recv().is_err());
    }
}
