//! What a DHCP client asks, and what one box is answered: its address, our address and the file name, as `filename` and
//! `next-server` of ISC dhcpd do. It decides and sends nothing.

#![forbid(unsafe_code)]

use super::dhcp_frame::{Kind, Reply, Request, code, message_type};
use crate::base::mac::Mac;
use std::net::Ipv4Addr;

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

/// Ten minutes outlast any transfer, and the address is soon free again.
const SECONDS: u32 = 600;
/// A question, as far as it matters here.
#[derive(Debug)]
pub struct Question {
    request: Request,
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
        let request = Request::decode(packet)?;
        // Some boot loaders send the zero at a string's end.
        let text = |bytes: &Vec<u8>| {
            let text = String::from_utf8_lossy(bytes);
            text.split('\0').next().unwrap_or_default().to_owned()
        };
        Some(Question {
            mac: request.mac,
            class: request.class.as_ref().map(text),
            file: request.file.as_ref().map(text),
            request,
        })
    }

    /// What kind of question it is, in the words of a system log.
    pub(super) fn kind(&self) -> &'static str {
        match self.request.kind {
            Kind::Discover => "DHCPDISCOVER",
            Kind::Request => "DHCPREQUEST",
            Kind::Other => "DHCP message",
            Kind::Bootp => "BOOTP request",
        }
    }

    /// The address of another server, whose offer this client takes.
    pub(super) fn other_server(&self, ours: Ipv4Addr) -> Option<Ipv4Addr> {
        self.request.server.filter(|other| *other != ours)
    }

    /// The relay that the question came through. It would have to be answered instead of the box.
    pub(super) fn relay(&self) -> Option<Ipv4Addr> {
        Some(self.request.giaddr).filter(|relay| *relay != Ipv4Addr::UNSPECIFIED)
    }

    /// The answer; none for what is not to be answered.
    pub fn answer(&self, lease: &Lease, file: &str) -> Option<Answer> {
        let request = &self.request;
        if self.mac != lease.mac || self.relay().is_some() || self.other_server(lease.server).is_some() {
            return None;
        }
        let has = Some(request.ciaddr).filter(|ip| *ip != Ipv4Addr::UNSPECIFIED);
        let agreed = request.requested.or(has).is_none_or(|ip| ip == lease.ip);
        let kind = match request.kind {
            Kind::Discover => Some(message_type::OFFER),
            Kind::Request if agreed => Some(message_type::ACK),
            Kind::Request => Some(message_type::NAK),
            Kind::Bootp => None,
            Kind::Other => return None,
        };
        let refused = kind == Some(message_type::NAK);
        let mut options = Vec::new();
        if let Some(kind) = kind {
            options.push((code::MESSAGE_TYPE, vec![kind]));
            options.push((code::SERVER, lease.server.octets().to_vec()));
        }
        if !refused {
            options.push((code::SUBNET_MASK, lease.mask.octets().to_vec()));
            if kind.is_some() {
                options.push((code::LEASE_TIME, SECONDS.to_be_bytes().to_vec()));
            }
            if request.wanted.contains(&code::TFTP_SERVER) {
                options.push((code::TFTP_SERVER, lease.server.to_string().into_bytes()));
            }
            if request.wanted.contains(&code::BOOT_FILE) {
                options.push((code::BOOT_FILE, file.as_bytes().to_vec()));
            }
        }
        options.sort();
        let given = |what| if refused { Ipv4Addr::UNSPECIFIED } else { what };
        let reply = Reply {
            xid: request.xid,
            flags: request.flags,
            ciaddr: given(request.ciaddr),
            yiaddr: given(lease.ip),
            siaddr: given(lease.server),
            mac: self.mac,
            file: if refused { "" } else { file },
            options,
        };
        Some(Answer {
            packet: reply.encode()?,
            // A client without an address hears broadcasts only; we have no raw socket to talk to its MAC.
            to: match request.ciaddr == lease.ip && !refused {
                true => lease.ip,
                false => Ipv4Addr::BROADCAST,
            },
            given: matches!(kind, None | Some(message_type::ACK)),
        })
    }
}

/// What a question is answered with.
#[derive(Debug)]
pub struct Answer {
    /// The packet.
    pub packet: Vec<u8>,
    /// Where it goes.
    pub to: Ipv4Addr,
    /// Whether the client has the address now: of an offer it may think better, and BOOTP has no other answer.
    pub given: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fuzz::{LEASE, dhcp, udhcpc};
    use super::*;

    fn question(options: &[u8]) -> Question {
        Question::read(&dhcp([0, 0, 0, 7], options)).unwrap()
    }

    #[test]
    fn the_answer_says_what_an_entry_for_dhcpd_says() {
        let options = |bytes: &str| [b"\x63\x82\x53\x63", bytes.as_bytes()].concat();
        for (asked, said) in [
            (&b"\x35\x01\x01\xff"[..], Some(message_type::OFFER)),
            (b"\x35\x01\x03\xff", Some(message_type::ACK)),
            (
                b"\x35\x01\x03\x32\x04\xc0\xa8\x01\x47\x36\x04\xc0\xa8\x01\x02\xff",
                Some(message_type::ACK),
            ),
            (b"\xff", None),
        ] {
            let Answer { packet, to, given } = question(asked).answer(&LEASE, "F_TS-219_debian").unwrap();
            assert!(packet.len() >= 300 && to == Ipv4Addr::BROADCAST);
            assert_eq!(given, said != Some(message_type::OFFER));
            assert_eq!(packet[..12], [2, 1, 6, 0, 0, 0, 0, 7, 0, 0, 0, 0]);
            assert_eq!(
                packet[12..28],
                [0, 0, 0, 0, 192, 168, 1, 71, 192, 168, 1, 2, 0, 0, 0, 0]
            );
            assert_eq!(
                packet[28..44],
                [0, 0x50, 0x43, 0x3c, 0x3b, 0x5d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            );
            assert_eq!(&packet[108..124], b"F_TS-219_debian\0");
            let mask = [1, 4, 255, 255, 255, 0];
            let expected = match said {
                None => [&options("")[..], &mask, b"\xff"].concat(),
                Some(kind) => [
                    &options("")[..],
                    &mask,
                    &[51, 4, 0, 0, 2, 88, 53, 1, kind, 54, 4, 192, 168, 1, 2, 255],
                ]
                .concat(),
            };
            assert!(packet[236..].starts_with(&expected), "{packet:?}");
        }
    }

    #[test]
    fn what_a_client_asks_for_it_gets() {
        let packet = question(b"\x35\x01\x01\x37\x02\x42\x43\xff")
            .answer(&LEASE, "F_TS-219")
            .unwrap()
            .packet;
        let end = b"\x42\x0b192.168.1.2\x43\x08F_TS-219\xff";
        assert!(packet.windows(end.len()).any(|window| window == end), "{packet:?}");
    }

    #[test]
    fn another_address_is_refused_and_names_nothing() {
        let answer = question(b"\x35\x01\x03\x32\x04\xc0\xa8\x01\x09\xff")
            .answer(&LEASE, "F_TS-219")
            .unwrap();
        assert!(!answer.given && answer.to == Ipv4Addr::BROADCAST);
        assert_eq!(answer.packet[12..28], [0; 16]);
        assert_eq!(answer.packet[108..236], [0; 128]);
        assert_eq!(
            answer.packet[240..250],
            [53, 1, message_type::NAK, 54, 4, 192, 168, 1, 2, 255]
        );
    }

    #[test]
    fn a_client_that_has_the_address_is_answered_there() {
        let mut packet = dhcp([0, 0, 0, 7], b"\x35\x01\x03\xff");
        packet[12..16].copy_from_slice(&LEASE.ip.octets());
        assert_eq!(
            Question::read(&packet).unwrap().answer(&LEASE, "x").unwrap().to,
            LEASE.ip
        );
    }

    #[test]
    fn nobody_else_is_answered_and_rubbish_is_not_read() {
        let mut packet = udhcpc();
        packet[33] = 1;
        assert!(
            Question::read(&packet).unwrap().answer(&LEASE, "x").is_none(),
            "another client"
        );
        for (options, why) in [
            (&b"\x35\x01\x03\x36\x04\xc0\xa8\x01\x01\xff"[..], "another server"),
            (b"\x35\x01\x03\x36\x03\xc0\xa8\x01\xff", "some server"),
            (
                b"\x35\x01\x03\x36\x04\xc0\xa8\x01\x02\x36\x04\xc0\xa8\x01\x01\xff",
                "two servers",
            ),
            (b"\x35\x02\x01\x01\xff", "some type"),
            (b"\x35\x01\x07\xff", "a type that needs no answer"),
            (b"\x35\x01\x03\x32\x02\xc0\xa8\xff", "some address"),
            (b"\x35\x01\x01\x34\x01\x07\xff", "options in some field"),
        ] {
            assert!(question(options).answer(&LEASE, "x").is_none(), "{why}");
        }
        let mut relayed = udhcpc();
        relayed[24] = 10;
        assert!(Question::read(&relayed).unwrap().answer(&LEASE, "x").is_none());
        for (at, why) in [(0, "an answer"), (1, "not Ethernet"), (2, "an address of 255 bytes")] {
            let mut lying = udhcpc();
            lying[at] = 255;
            assert!(Question::read(&lying).is_none(), "{why}");
        }
        for length in 0..packet.len() {
            assert_eq!(Question::read(&packet[..length]).is_some(), length >= 240);
        }
    }
}
