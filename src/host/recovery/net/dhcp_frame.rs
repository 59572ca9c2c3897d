//! BOOTP and DHCP messages as bytes (RFC 951 and RFC 2131, section 2; options of RFC 2132): what a client sends is read,
//! an answer is written. Whom to answer, and with what, is left to the server.
//!
//! A message comes from anybody on the network. Reading it never panics, takes one pass and keeps no more than the
//! message holds; whatever it needs and finds damaged makes it a message that nobody answers.

#![forbid(unsafe_code)]

use crate::base::mac::Mac;
use std::net::Ipv4Addr;

/// Bytes before the options, RFC 1497's magic cookie included.
pub const HEADER: usize = 240;
/// RFC 1542: a BOOTP message has 300 bytes at least, and old boot loaders insist.
pub const LEAST: usize = 300;
/// What stands before options of this kind (RFC 1497). After anything else there are none that we could read.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;

/// Numbers of options (RFC 2132).
pub mod code {
    /// Fills up; has no length.
    pub const PAD: u8 = 0;
    /// The network's mask.
    pub const SUBNET_MASK: u8 = 1;
    /// The address that the client would like to have.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// How long an address is lent, in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Whether `file` and `sname` hold options instead of names.
    pub const OVERLOAD: u8 = 52;
    /// What message of DHCP this is; BOOTP has none.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Which server is meant, or answers.
    pub const SERVER: u8 = 54;
    /// The options that the client would like to have.
    pub const WANTED: u8 = 55;
    /// What the client says it is.
    pub const VENDOR_CLASS: u8 = 60;
    /// The TFTP server, as text.
    pub const TFTP_SERVER: u8 = 66;
    /// The file, where the field for it holds options.
    pub const BOOT_FILE: u8 = 67;
    /// No more options; has no length.
    pub const END: u8 = 255;
}

/// Types of DHCP's messages that are read or written here (RFC 2132, 9.6).
pub mod message_type {
    /// A client looks for servers.
    pub const DISCOVER: u8 = 1;
    /// A server offers an address.
    pub const OFFER: u8 = 2;
    /// A client takes an address.
    pub const REQUEST: u8 = 3;
    /// The server agrees.
    pub const ACK: u8 = 5;
    /// The server does not.
    pub const NAK: u8 = 6;
}

/// What a client's message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// BOOTP, which is older than DHCP and has no types.
    Bootp,
    /// DHCPDISCOVER.
    Discover,
    /// DHCPREQUEST.
    Request,
    /// Another type, or a message whose address, type, server or overloading cannot be read.
    Other,
}

/// A client's message, as far as a server needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is.
    pub kind: Kind,
    /// The client's number for this exchange.
    pub xid: u32,
    /// The highest bit asks for an answer by broadcast.
    pub flags: u16,
    /// The address that the client has.
    pub ciaddr: Ipv4Addr,
    /// The relay that the message came through.
    pub giaddr: Ipv4Addr,
    /// Who asks.
    pub mac: Mac,
    /// The address that the client would like to have.
    pub requested: Option<Ipv4Addr>,
    /// The server whose offer it takes.
    pub server: Option<Ipv4Addr>,
    /// The numbers of the options that it would like to have.
    pub wanted: Vec<u8>,
    /// What it says it is, as it came.
    pub class: Option<Vec<u8>>,
    /// The file that it names, as it came, without the zero at its end.
    pub file: Option<Vec<u8>>,
}

impl Request {
    /// Reads a packet; none for what no client with an Ethernet address sends.
    ///
    /// An option that does not fit the packet ends the options, as it does for other servers; what stood before it
    /// holds.
    pub fn decode(packet: &[u8]) -> Option<Request> {
        let (head, area) = packet.split_at_checked(HEADER)?;
        // Opcode 1 is a client's, hardware type 1 is Ethernet, whose addresses have 6 bytes.
        if head[..3] != [1, 1, 6] {
            return None;
        }
        let mut options = Options::default();
        if head[FILE.end..] == COOKIE {
            options.scan(area);
        }
        let overload = match options.fixed(code::OVERLOAD) {
            Ok(None) => Some(0),
            Ok(Some([what @ 1..=3])) => Some(what),
            _ => None,
        };
        let [in_file, in_sname] = [1, 2].map(|bit| overload.is_some_and(|what| what & bit != 0));
        // This order is RFC 3396's.
        if in_file {
            options.scan(&head[FILE]);
        }
        if in_sname {
            options.scan(&head[SNAME]);
        }
        let message_type = options.fixed::<1>(code::MESSAGE_TYPE);
        let requested = options.fixed::<4>(code::REQUESTED_ADDRESS);
        let server = options.fixed::<4>(code::SERVER);
        let readable = overload.is_some() && requested.is_ok() && server.is_ok();
        let kind = match message_type {
            _ if !readable => Kind::Other,
            Ok(None) => Kind::Bootp,
            Ok(Some([message_type::DISCOVER])) => Kind::Discover,
            Ok(Some([message_type::REQUEST])) => Kind::Request,
            _ => Kind::Other,
        };
        let file = match in_file {
            true => options.joined(code::BOOT_FILE),
            false => c_string(&head[FILE]).map(<[u8]>::to_vec),
        };
        Some(Request {
            kind,
            xid: u32::from_be_bytes(bytes(head, 4)),
            flags: u16::from_be_bytes(bytes(head, 10)),
            ciaddr: Ipv4Addr::from(bytes(head, 12)),
            giaddr: Ipv4Addr::from(bytes(head, 24)),
            mac: Mac(bytes(head, 28)),
            requested: requested.ok().flatten().map(Ipv4Addr::from),
            server: server.ok().flatten().map(Ipv4Addr::from),
            wanted: options.joined(code::WANTED).unwrap_or_default(),
            class: options.joined(code::VENDOR_CLASS),
            file: file.filter(|name| !name.is_empty()),
        })
    }
}

/// What stands before the first zero; none where there is no zero.
fn c_string(field: &[u8]) -> Option<&[u8]> {
    let end = field.iter().position(|byte| *byte == 0)?;
    field.get(..end)
}

/// A field of the header, which is known to be whole.
fn bytes<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&head[at..at + N]);
    field
}

/// An option is there, but says nothing that can be relied on.
struct Damaged;

/// The options of a message in their order, with their values; none for one that its area cuts off.
#[derive(Default)]
struct Options<'a>(Vec<(u8, Option<&'a [u8]>)>);

impl<'a> Options<'a> {
    fn scan(&mut self, area: &'a [u8]) {
        let mut rest = area;
        while let [code, tail @ ..] = rest {
            rest = match (*code, tail) {
                (code::PAD, _) => tail,
                (code::END, _) => return,
                (code, [length, tail @ ..]) => match tail.split_at_checked(usize::from(*length)) {
                    Some((value, tail)) => {
                        self.0.push((code, Some(value)));
                        tail
                    }
                    None => return self.0.push((code, None)),
                },
                (code, []) => return self.0.push((code, None)),
            };
        }
    }

    fn all(&self, code: u8) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.0
            .iter()
            .filter(move |(own, _)| *own == code)
            .map(|(_, value)| *value)
    }

    /// An option of a fixed length. One that comes twice must say the same twice.
    fn fixed<const N: usize>(&self, code: u8) -> Result<Option<[u8; N]>, Damaged> {
        let mut found = None;
        for value in self.all(code) {
            let value = value.and_then(|value| <[u8; N]>::try_from(value).ok()).ok_or(Damaged)?;
            if found.is_some_and(|before| before != value) {
                return Err(Damaged);
            }
            found = Some(value);
        }
        Ok(found)
    }

    /// An option of any length, put together where it comes in pieces (RFC 3396).
    fn joined(&self, code: u8) -> Option<Vec<u8>> {
        let mut whole = None;
        for piece in self.all(code).flatten() {
            whole.get_or_insert_with(Vec::new).extend_from_slice(piece);
        }
        whole
    }
}

/// A server's answer.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// The client's number for this exchange.
    pub xid: u32,
    /// The client's flags.
    pub flags: u16,
    /// The address that the client has.
    pub ciaddr: Ipv4Addr,
    /// The address that it is given.
    pub yiaddr: Ipv4Addr,
    /// Where its file lies.
    pub siaddr: Ipv4Addr,
    /// The client.
    pub mac: Mac,
    /// Its file.
    pub file: &'a str,
    /// Options with their values, in the order in which they are written.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Reply<'_> {
    /// The packet; none where the file's name has no room with a zero behind it (127 bytes), or an option's value
    /// has more than 255 bytes.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut packet = Vec::with_capacity(LEAST);
        // A server's, Ethernet, addresses of 6 bytes, no relay.
        packet.extend([2, 1, 6, 0]);
        packet.extend(self.xid.to_be_bytes());
        // No seconds since the client began: that is for clients to say.
        packet.extend([0, 0]);
        packet.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, Ipv4Addr::UNSPECIFIED] {
            packet.extend(address.octets());
        }
        packet.extend(self.mac.0);
        packet.resize(FILE.start, 0);
        if self.file.len() >= FILE.len() {
            return None;
        }
        packet.extend(self.file.bytes());
        packet.resize(FILE.end, 0);
        packet.extend(COOKIE);
        for (code, value) in &self.options {
            packet.extend([*code, u8::try_from(value.len()).ok()?]);
            packet.extend(value);
        }
        packet.push(code::END);
        packet.resize(packet.len().max(LEAST), 0);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fuzz::{VENDOR_CLASS, dhclient, dhcp, udhcpc};
    use super::*;

    fn decoded(options: &[u8]) -> Request {
        Request::decode(&dhcp([0, 0, 0, 1], options)).unwrap()
    }

    #[test]
    fn what_real_clients_send_is_read() {
        let request = Request::decode(&udhcpc()).unwrap();
        assert_eq!(request.kind, Kind::Discover);
        assert_eq!(request.xid, 0x02b5_226c);
        assert_eq!(request.class.as_deref(), Some(&b"F_TS-219P+"[..]));
        assert_eq!(request.wanted, [1, 3, 6, 12, 15, 28, 42]);
        assert_eq!((request.requested, request.server, request.file), (None, None, None));
        let request = Request::decode(&dhclient()).unwrap();
        assert_eq!((request.kind, request.class), (Kind::Discover, None));
        assert_eq!(request.wanted.len(), 13);
    }

    /// Its cookie is four zeros, so that it has no options, whatever stands there.
    #[test]
    fn without_a_cookie_there_are_no_options() {
        let request = Request::decode(VENDOR_CLASS).unwrap();
        assert_eq!((request.kind, request.class), (Kind::Bootp, None));
        let mut cookie = VENDOR_CLASS.to_vec();
        cookie[236..240].copy_from_slice(&COOKIE);
        let class = Request::decode(&cookie).unwrap().class.unwrap();
        assert!(class.starts_with(b"F_TS-439"), "{class:?}");
    }

    #[test]
    fn options_may_come_in_pieces_and_a_piece_that_is_cut_off_does_not_count() {
        let long = [
            &b"\x35\x01\x01\x3c\xff"[..],
            &[b'a'; 255],
            b"\x3c\x03bcd\x00\x00\x3c\x00\x37\x01\x43\xff\x3c\x01e",
        ]
        .concat();
        let request = decoded(&long);
        assert_eq!(request.class.unwrap(), [&[b'a'; 255][..], b"bcd"].concat());
        assert_eq!(request.wanted, [67]);
        for cut in [&b"\x35\x01\x01\x3c\x03F_T\x3c"[..], b"\x35\x01\x01\x3c\x03F_T\x3c\xffS"] {
            let mut packet = dhcp([0; 4], b"");
            packet.truncate(HEADER);
            packet.extend(cut);
            let request = Request::decode(&packet).unwrap();
            assert_eq!(
                (request.kind, request.class.unwrap()),
                (Kind::Discover, b"F_T".to_vec())
            );
        }
    }

    #[test]
    fn options_may_stand_in_the_fields_for_names() {
        for (overload, in_file, in_sname) in [(0, false, false), (1, true, false), (2, false, true), (3, true, true)] {
            let options: &[u8] = match overload {
                0 => b"\xff",
                _ => &[52, 1, overload, 60, 2, b'F', b'_', 255],
            };
            let mut packet = dhcp([0; 4], options);
            let file = b"\x43\x04name\x35\x01\x01\x3c\x01T\xff";
            packet[108..108 + file.len()].copy_from_slice(file);
            packet[44..52].copy_from_slice(b"\x36\x04\x01\x02\x03\x04\xff\x00");
            // No end but that of the field.
            packet[52..108].fill(0);
            let request = Request::decode(&packet).unwrap();
            assert_eq!(request.kind == Kind::Discover, in_file);
            assert_eq!(request.server.is_some(), in_sname);
            let name = request.file.unwrap();
            assert_eq!(name == b"name", in_file, "{name:?}");
            let class = if in_file { &b"F_T"[..] } else { b"F_" };
            assert_eq!(request.class.is_some_and(|said| said == class), overload != 0);
        }
        let twice = decoded(b"\x35\x01\x01\x34\x01\x01\x34\x01\x02\xff");
        assert_eq!(twice.kind, Kind::Other);
    }

    #[test]
    fn a_name_without_an_end_is_none() {
        let mut packet = udhcpc();
        packet[FILE].fill(b'x');
        assert_eq!(Request::decode(&packet).unwrap().file, None);
        packet[FILE.end - 1] = 0;
        assert_eq!(Request::decode(&packet).unwrap().file.unwrap().len(), 127);
    }

    #[test]
    fn what_has_no_room_is_not_written() {
        let reply = |file, length| {
            let packet = Reply {
                xid: 7,
                flags: 0x8000,
                ciaddr: Ipv4Addr::UNSPECIFIED,
                yiaddr: Ipv4Addr::new(192, 168, 1, 71),
                siaddr: Ipv4Addr::new(192, 168, 1, 2),
                mac: Mac([1, 2, 3, 4, 5, 6]),
                file,
                options: vec![(code::BOOT_FILE, vec![b'x'; length])],
            };
            packet.encode()
        };
        let (fits, long) = ("x".repeat(127), "x".repeat(128));
        let packet = reply(&fits, 255).unwrap();
        assert_eq!((packet.len(), packet[235], packet[10]), (HEADER + 2 + 255 + 1, 0, 0x80));
        assert_eq!(reply("", 0).unwrap().len(), LEAST);
        assert!(reply(&long, 0).is_none() && reply("", 256).is_none());
    }
}
