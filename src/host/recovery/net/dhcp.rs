//! DHCP for one box: it is told its address, our address and the file name, as `filename` and `next-server` of ISC
//! dhcpd do; nobody else is answered, and everybody who asks is shown.

#![forbid(unsafe_code)]

pub use super::dhcp_answer::Lease;
use super::dhcp_answer::{Answer, Question};
use super::{Answered, Event, Events, Name};
use crate::base::mac::Mac;
use crate::base::quoted::Quoted;
use crate::cli::network::is_file_name;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, sockopt};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// Clients that are remembered, so that each is shown once. When there are more, the oldest is forgotten.
const REMEMBERED: usize = 256;

/// A socket that hears and sends broadcasts, on one interface where one is named.
///
/// # Errors
/// A port that is taken, or that needs root.
pub fn bind(interface: Option<&str>, port: u16) -> io::Result<UdpSocket> {
    let protocol = SockProtocol::Udp;
    let socket = socket::socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        protocol,
    )?;
    socket::setsockopt(&socket, sockopt::Broadcast, &true)?;
    // Before it is bound: other servers may have the port on other interfaces. Two servers on one interface would
    // take each other's packets, so the port is not shared (SO_REUSEADDR).
    if let Some(name) = interface {
        socket::setsockopt(&socket, sockopt::BindToDevice, &OsString::from(name))?;
    }
    let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    socket::bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(socket.into())
}

/// What answers.
pub struct Server {
    /// The port that it listens on; clients listen on the next one.
    pub port: u16,
    /// The box. Without one, it is only shown who asks.
    pub lease: Option<Lease>,
    /// The name under which the image is served.
    pub name: Name,
    /// What the image says that its box asks for, if it says that.
    pub inside: Vec<String>,
    /// Whether the box was answered.
    pub answered: Answered,
    /// Who looks on.
    pub events: Events,
}

impl Server {
    /// Answers until the socket breaks.
    pub fn serve(&self, socket: &UdpSocket) {
        let mut shown = Shown::default();
        let mut buffer = [0; 2048];
        loop {
            let got = match socket.recv_from(&mut buffer) {
                Ok((got, _)) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.events.send(Event::Broken(format!("DHCP: {error}"))),
            };
            let Some(question) = Question::read(&buffer[..got]) else {
                continue;
            };
            let ours = self.lease.filter(|lease| lease.mac == question.mac);
            if ours.is_some() || shown.is_new(&question) {
                self.events
                    .say(describe(&question, self.lease.is_some(), ours.is_some()));
            }
            if let Some(lease) = ours {
                self.reply(socket, &question, &lease);
            }
        }
    }

    fn reply(&self, socket: &UdpSocket, question: &Question, lease: &Lease) {
        let events = &self.events;
        if let Some(other) = question.other_server(lease.server) {
            self.answered.not_any_more();
            return events.warn(format!(
                "the box takes its address from another DHCP server, {other}: give that one the entries of flasher \
                 recovery config, or join box and machine by a cable of their own"
            ));
        }
        if let Some(relay) = question.relay() {
            return events.warn(format!(
                "the box asks through a relay, {relay}, which is not answered: join box and machine by a cable of their own"
            ));
        }
        match question.class.as_deref().filter(|class| class.starts_with("F_")) {
            Some(class) if !is_file_name(class) => events.warn(
                "the vendor class of the box is not a file name and is not taken as one: if the box does not fetch the \
                 image, say with --name which file it takes",
            ),
            Some(class) if !self.name.must_begin(class) => events.warn(format!(
                "the box takes only names that begin with {class}: --name {class}, or leave --name out"
            )),
            Some(class) if !self.inside.is_empty() && self.inside.iter().all(|name| name != class) => {
                events.warn(format!(
                    "the box asks for {class}, but the boot loader configuration in the image is that of a box that asks \
                     for {}: is the image for this box?",
                    self.inside.join(" or ")
                ));
            }
            _ => (),
        }
        let Some(file) = self.name.get() else {
            return events.warn(
                "the box does not say which file it takes: say so with --name (flasher recovery boards lists the names)",
            );
        };
        let Some(Answer { packet, to, given }) = question.answer(lease, &file) else {
            return;
        };
        let send = || socket.send_to(&packet, (to, self.port.saturating_add(1)));
        let sent = match given {
            true => self.answered.sending(send),
            false => send(),
        };
        match sent {
            Ok(_) => events.say(format!(
                "answered {}: address {}, filename {}, next-server {}",
                question.mac,
                lease.ip,
                Quoted(&file),
                lease.server
            )),
            Err(error) => events.warn(format!("DHCP answer to {to}: {error}")),
        }
    }
}

/// Who was shown already.
#[derive(Default)]
struct Shown(VecDeque<(Mac, Option<String>)>);

impl Shown {
    fn is_new(&mut self, question: &Question) -> bool {
        let (mac, class) = (question.mac, &question.class);
        if self.0.iter().any(|(known, says)| *known == mac && says == class) {
            return false;
        }
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front((mac, class.clone()));
        true
    }
}

fn describe(question: &Question, chosen: bool, ours: bool) -> String {
    let mut text = format!("{} from {}", question.kind(), question.mac);
    if let Some(class) = &question.class {
        text.push_str(&format!(", vendor class {}", Quoted(class)));
    }
    if let Some(file) = &question.file {
        text.push_str(&format!(", asks for {}", Quoted(file)));
    }
    match (chosen, ours) {
        (false, _) => text.push_str(&format!(": if this is the box, --mac {}", question.mac)),
        (true, false) => text.push_str(": not the box, not answered"),
        (true, true) => (),
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fuzz::{LEASE, VENDOR_CLASS, dhclient, dhcp, udhcpc};
    use super::*;
    use std::sync::mpsc::Receiver;

    /// One for an image that says these names, and what it tells.
    fn server(inside: &[&str]) -> (Server, Receiver<Event>) {
        let (events, seen) = Events::channel();
        let server = Server {
            port: 9,
            lease: Some(LEASE),
            name: Name::new(Some("F_TS-219".to_owned()), false),
            inside: inside.iter().map(|name| (*name).to_owned()).collect(),
            answered: Answered::default(),
            events,
        };
        (server, seen)
    }

    #[test]
    fn that_the_image_is_of_another_box_is_told_and_so_is_a_relay() {
        let told = |inside: &[&str], packet: &[u8]| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (server, seen) = server(inside);
            server.reply(&socket, &Question::read(packet).unwrap(), &LEASE);
            format!("{:?}", seen.try_iter().collect::<Vec<_>>())
        };
        for (inside, other) in [
            (&["F_TS-219"][..], true),
            (&["F_TS-219", "F_TS-219P+"], false),
            (&[], false),
        ] {
            let told = told(inside, &udhcpc());
            assert_eq!(told.contains("is the image for this box?"), other, "{told}");
        }
        let mut relayed = udhcpc();
        relayed[24] = 10;
        let told = told(&[], &relayed);
        assert!(
            told.contains("through a relay, 10.0.0.0") && !told.contains("answered 00"),
            "{told}"
        );
    }

    /// Another server's offer may be the better one, and then somebody else may have our address.
    #[test]
    fn a_box_that_was_only_offered_its_address_or_has_another_one_was_not_answered() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let lease = Lease {
            ip: Ipv4Addr::LOCALHOST,
            ..LEASE
        };
        let (server, _seen) = server(&[]);
        for (options, answered) in [
            (&b"\x35\x01\x01\xff"[..], false),
            (b"\x35\x01\x03\xff", true),
            (b"\x35\x01\x01\xff", true),
            (b"\x35\x01\x03\x36\x04\xc0\xa8\x01\x01\xff", false),
            (b"\xff", true),
        ] {
            // One that has the address is answered there.
            let mut packet = dhcp([0, 0, 0, 7], options);
            packet[12..16].copy_from_slice(&lease.ip.octets());
            server.reply(&socket, &Question::read(&packet).unwrap(), &lease);
            assert_eq!(server.answered.get(), answered, "{options:?}");
        }
    }

    #[test]
    fn a_vendor_class_that_is_no_file_name_is_shown_and_not_taken() {
        let answer = Question::read(VENDOR_CLASS)
            .unwrap()
            .answer(&LEASE, "F_TS-219")
            .unwrap();
        assert_eq!(&answer.packet[108..117], b"F_TS-219\0");
        for length in [126, 127, 200, 253] {
            let class = format!("F_{}", "x".repeat(length - 2));
            let packet = dhcp(
                [0, 0, 0, 7],
                &[&[53, 1, 1, 60, length as u8], class.as_bytes(), &[255]].concat(),
            );
            let question = Question::read(&packet).unwrap();
            assert!(describe(&question, true, true).ends_with(&format!("vendor class {class:?}")));
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (server, seen) = server(&[]);
            server.reply(&socket, &question, &LEASE);
            let taken = length < 128;
            assert_eq!(
                server.name.get(),
                Some(if taken { class } else { "F_TS-219".to_owned() })
            );
            let complained = seen
                .try_iter()
                .any(|event| matches!(event, Event::Warned(text) if text.contains("not a file name")));
            assert_eq!(complained, !taken);
        }
    }

    #[test]
    fn real_clients_are_shown_as_they_are() {
        let text = |packet: &[u8]| describe(&Question::read(packet).unwrap(), true, true);
        let mac = LEASE.mac;
        assert_eq!(
            text(&udhcpc()),
            format!("DHCPDISCOVER from {mac}, vendor class \"F_TS-219P+\"")
        );
        assert_eq!(text(&dhclient()), format!("DHCPDISCOVER from {mac}"));
        let hostile = dhcp([0; 4], b"\x35\x01\x01\x3c\x06\x1b[2J\n\0\xff");
        assert!(text(&hostile).ends_with(r#"vendor class "\u{1b}[2J\n""#));
    }

    #[test]
    fn each_client_is_shown_once_and_no_more_than_some_are_remembered() {
        let mut shown = Shown::default();
        let mut packet = udhcpc();
        let mut ask = |number: u16| {
            packet[32..34].copy_from_slice(&number.to_be_bytes());
            shown.is_new(&Question::read(&packet).unwrap())
        };
        assert!(ask(0) && !ask(0));
        assert!((1..=1000).all(&mut ask) && !ask(1000) && ask(0));
        assert_eq!(shown.0.len(), REMEMBERED);
    }

    #[test]
    fn a_socket_takes_its_port_for_itself() {
        let first = bind(None, 0).unwrap();
        assert!(first.broadcast().unwrap());
        let taken = bind(None, first.local_addr().unwrap().port()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert!(bind(Some("no-such-device"), 0).is_err());
    }
}
