//! DHCP for one box: it is told its address, our address and the file name, as `filename` and `next-server` of ISC
//! dhcpd do; nobody else is answered, and everybody who asks is shown.

#![forbid(unsafe_code)]

use crate::base::mac::Mac;
use crate::base::quoted::Quoted;
use crate::host::recovery::net::{Events, Name};
use dhcproto::v4::{DhcpOption, HType, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

/// What the box is given.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The box.
    pub mac: Mac,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The network's mask.
    pub mask: Ipv4Addr,
    /// Ourselves.
    pub server: Ipv4Addr,
}

/// RFC 1542: a BOOTP message has 300 bytes at least, and old boot loaders insist.
const LEAST: usize = 300;
/// Ten minutes outlast any transfer, and the address is soon free again.
const SECONDS: u32 = 600;

/// A question, as far as it matters here.
#[derive(Debug)]
pub struct Question {
    message: Message,
    /// Who asks.
    pub mac: Mac,
    /// What it says it is.
    pub class: Option<String>,
    /// The file that it wants, if it says so.
    pub file: Option<String>,
}

impl Question {
    /// Reads a packet; none for what is no question from an Ethernet interface.
    pub fn read(packet: &[u8]) -> Option<Question> {
        // Lengths first: the parser believes hlen.
        if packet.len() < 240 || packet[1] != 1 || packet[2] != 6 {
            return None;
        }
        let message = Message::decode(&mut Decoder::new(packet)).ok()?;
        if message.opcode() != Opcode::BootRequest || message.htype() != HType::Eth {
            return None;
        }
        let mac = Mac(message.chaddr().try_into().ok()?);
        let text = |bytes: &[u8]| -> String {
            String::from_utf8_lossy(bytes)
                .chars()
                .filter(|c| !c.is_control())
                .collect()
        };
        let class = match message.opts().get(OptionCode::ClassIdentifier) {
            Some(DhcpOption::ClassIdentifier(bytes)) => Some(text(bytes)),
            _ => None,
        };
        let file = message.fname().map(text).filter(|name| !name.is_empty());
        Some(Question {
            message,
            mac,
            class,
            file,
        })
    }

    /// What kind of question it is, in the words of a system log.
    fn kind(&self) -> &'static str {
        match self.message.opts().msg_type() {
            Some(MessageType::Discover) => "DHCPDISCOVER",
            Some(MessageType::Request) => "DHCPREQUEST",
            Some(_) => "DHCP message",
            None => "BOOTP request",
        }
    }

    /// The address of another server, whose offer this client takes.
    fn other_server(&self, ours: Ipv4Addr) -> Option<Ipv4Addr> {
        match self.message.opts().get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(other)) if *other != ours => Some(*other),
            _ => None,
        }
    }

    /// The answer and where it goes; none for what is not to be answered.
    pub fn answer(&self, lease: &Lease, file: &str) -> Option<(Vec<u8>, Ipv4Addr)> {
        let question = &self.message;
        let relayed = question.giaddr() != Ipv4Addr::UNSPECIFIED;
        if self.mac != lease.mac || relayed || self.other_server(lease.server).is_some() {
            return None;
        }
        let asked = match question.opts().get(OptionCode::RequestedIpAddress) {
            Some(DhcpOption::RequestedIpAddress(ip)) => Some(*ip),
            _ if question.ciaddr() != Ipv4Addr::UNSPECIFIED => Some(question.ciaddr()),
            _ => None,
        };
        let kind = match question.opts().msg_type() {
            Some(MessageType::Discover) => Some(MessageType::Offer),
            Some(MessageType::Request) if asked.is_none_or(|ip| ip == lease.ip) => Some(MessageType::Ack),
            Some(MessageType::Request) => Some(MessageType::Nak),
            None => None,
            Some(_) => return None,
        };
        let refused = kind == Some(MessageType::Nak);
        let none = Ipv4Addr::UNSPECIFIED;
        let mut reply = Message::new_with_id(question.xid(), none, none, none, none, &self.mac.0);
        reply.set_opcode(Opcode::BootReply).set_flags(question.flags());
        if let Some(kind) = kind {
            let options = reply.opts_mut();
            options.insert(DhcpOption::MessageType(kind));
            options.insert(DhcpOption::ServerIdentifier(lease.server));
        }
        if !refused {
            reply
                .set_ciaddr(question.ciaddr())
                .set_yiaddr(lease.ip)
                .set_siaddr(lease.server)
                .set_fname_str(file);
            let wanted = match question.opts().get(OptionCode::ParameterRequestList) {
                Some(DhcpOption::ParameterRequestList(codes)) => codes.as_slice(),
                _ => &[],
            };
            let options = reply.opts_mut();
            options.insert(DhcpOption::SubnetMask(lease.mask));
            if kind.is_some() {
                options.insert(DhcpOption::AddressLeaseTime(SECONDS));
            }
            if wanted.contains(&OptionCode::TFTPServerName) {
                options.insert(DhcpOption::TFTPServerName(lease.server.to_string().into_bytes()));
            }
            if wanted.contains(&OptionCode::BootfileName) {
                options.insert(DhcpOption::BootfileName(file.as_bytes().to_vec()));
            }
        }
        let mut bytes = reply.to_vec().ok()?;
        bytes.resize(bytes.len().max(LEAST), 0);
        // A client without an address hears broadcasts only; we have no raw socket to talk to its MAC.
        let to = match (refused, question.ciaddr()) {
            (false, ip) if ip == lease.ip => ip,
            _ => Ipv4Addr::BROADCAST,
        };
        Some((bytes, to))
    }
}

/// A socket that hears and sends broadcasts, on one interface where one is named.
///
/// # Errors
/// A port that is taken, or that needs root.
pub fn bind(interface: Option<&str>, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    if let Some(name) = interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    Ok(socket.into())
}

/// Answers until the socket breaks. Without a lease it only shows who asks.
pub fn serve(socket: &UdpSocket, port: u16, lease: Option<Lease>, name: &Name, events: &Events) {
    let mut shown = HashSet::new();
    let mut buffer = [0; 2048];
    loop {
        let got = match socket.recv_from(&mut buffer) {
            Ok((got, _)) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return events.send(crate::host::recovery::net::Event::Broken(format!("DHCP: {error}"))),
        };
        let Some(question) = Question::read(&buffer[..got]) else {
            continue;
        };
        let ours = lease.filter(|lease| lease.mac == question.mac);
        if ours.is_some() || shown.insert((question.mac, question.class.clone())) {
            events.say(describe(&question, lease.is_some(), ours.is_some()));
        }
        if let Some(lease) = ours {
            reply(socket, port, &question, &lease, name, events);
        }
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

fn reply(socket: &UdpSocket, port: u16, question: &Question, lease: &Lease, name: &Name, events: &Events) {
    if let Some(other) = question.other_server(lease.server) {
        return events.warn(format!(
            "the box takes its address from another DHCP server, {other}: give that one the entries of flasher \
             recovery config, or join box and machine by a cable of their own"
        ));
    }
    let class = question.class.as_deref().filter(|class| class.starts_with("F_"));
    if let Some(class) = class
        && !name.must_begin(class)
    {
        events.warn(format!(
            "the box takes only names that begin with {class}: --name {class}, or leave --name out"
        ));
    }
    let Some(file) = name.get() else {
        return events.warn(
            "the box does not say which file it takes: say so with --name (flasher recovery boards lists the names)",
        );
    };
    let Some((bytes, to)) = question.answer(lease, &file) else {
        return;
    };
    match socket.send_to(&bytes, (to, port.saturating_add(1))) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LEASE: Lease = Lease {
        mac: Mac([0, 0x50, 0x43, 0x3c, 0x3b, 0x5d]),
        ip: Ipv4Addr::new(192, 168, 1, 71),
        mask: Ipv4Addr::new(255, 255, 255, 0),
        server: Ipv4Addr::new(192, 168, 1, 2),
    };

    fn question(kind: Option<MessageType>, mac: Mac) -> Vec<u8> {
        let none = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(7, none, none, none, none, &mac.0);
        message.set_opcode(Opcode::BootRequest);
        if let Some(kind) = kind {
            message.opts_mut().insert(DhcpOption::MessageType(kind));
        }
        message.to_vec().unwrap()
    }

    #[test]
    fn the_answer_says_what_the_entry_of_the_seed_says() {
        for (asked, answered) in [
            (Some(MessageType::Discover), Some(MessageType::Offer)),
            (Some(MessageType::Request), Some(MessageType::Ack)),
            (None, None),
        ] {
            let question = Question::read(&question(asked, LEASE.mac)).unwrap();
            let (bytes, to) = question.answer(&LEASE, "F_TS-219_debian").unwrap();
            assert!(bytes.len() >= LEAST && to == Ipv4Addr::BROADCAST);
            let reply = Message::decode(&mut Decoder::new(&bytes)).unwrap();
            assert_eq!(reply.opts().msg_type(), answered);
            assert_eq!((reply.yiaddr(), reply.siaddr()), (LEASE.ip, LEASE.server));
            assert_eq!(
                reply.fname_str().unwrap().unwrap().trim_end_matches('\0'),
                "F_TS-219_debian"
            );
            assert_eq!(reply.xid(), 7);
        }
    }

    #[test]
    fn nobody_else_is_answered_and_rubbish_is_not_read() {
        let other = Mac([0, 8, 0x9b, 1, 2, 3]);
        let packet = question(Some(MessageType::Discover), other);
        let stranger = Question::read(&packet).unwrap();
        assert!(stranger.answer(&LEASE, "x").is_none());
        for length in 0..packet.len() {
            let _ = Question::read(&packet[..length]);
        }
        let mut lying = packet.clone();
        lying[2] = 255;
        assert!(Question::read(&lying).is_none());
    }
}
