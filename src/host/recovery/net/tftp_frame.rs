//! TFTP packets as bytes (RFC 1350; options of RFC 2347, 2348, 2349 and 7440): what a client sends is read, what a
//! server sends is written. The order of packets is left to the transfer.
//!
//! A packet comes from anybody on the network. Reading it never panics and keeps nothing but four numbers.

#![forbid(unsafe_code)]

use crate::base::digits;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Bytes of text in an error that we send. With its header it fits the 512 bytes that every client takes, and an
/// answer stays smaller than many questions.
pub const LONGEST_TEXT: usize = 500;

/// An option of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// `blksize`: bytes of a block.
    BlockSize,
    /// `tsize`: bytes of the file.
    TransferSize,
    /// `timeout`: seconds until a packet is sent again.
    Timeout,
    /// `windowsize`: blocks that are sent before an acknowledgement is waited for.
    WindowSize,
}

impl Choice {
    const ALL: [Choice; 4] = [
        Choice::BlockSize,
        Choice::TransferSize,
        Choice::Timeout,
        Choice::WindowSize,
    ];

    fn name(self) -> &'static str {
        match self {
            Choice::BlockSize => "blksize",
            Choice::TransferSize => "tsize",
            Choice::Timeout => "timeout",
            Choice::WindowSize => "windowsize",
        }
    }
}

/// Why something is refused (RFC 1350, appendix).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The file is not here.
    FileNotFound = 1,
    /// It may not be read or written.
    AccessViolation = 2,
    /// The packet asks for something that TFTP does not have.
    IllegalOperation = 4,
    /// The packet belongs to no transfer.
    UnknownId = 5,
}

/// A packet that a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// RRQ.
    Read {
        /// The file.
        name: &'a str,
        /// `octet`, or what else there once was.
        mode: &'a str,
        /// What is known of the options, each once, in the client's order.
        options: Vec<(Choice, u64)>,
    },
    /// WRQ, for this file.
    Write(&'a str),
    /// ACK of this block.
    Ack(u16),
    /// ERROR with this text. It must never be answered (RFC 1350, section 7).
    Error(String),
    /// DATA or OACK, which only a server or a writer sends.
    Stray,
}

impl<'a> Frame<'a> {
    /// Reads a packet; none for what cannot be read.
    pub fn decode(packet: &'a [u8]) -> Option<Frame<'a>> {
        let (opcode, rest) = packet.split_first_chunk()?;
        let opcode = u16::from_be_bytes(*opcode);
        match opcode {
            READ | WRITE => request(opcode, rest),
            // A block's number.
            DATA if rest.len() >= 2 => Some(Frame::Stray),
            ACK => rest.first_chunk().map(|number| Frame::Ack(u16::from_be_bytes(*number))),
            ERROR => Some(Frame::Error(error_text(rest))),
            OACK => Some(Frame::Stray),
            _ => None,
        }
    }
}

/// A text up to its zero, and what follows.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(text).ok()?, rest.get(1..)?))
}

fn request(opcode: u16, bytes: &[u8]) -> Option<Frame<'_>> {
    let (name, rest) = text(bytes)?;
    let (mode, mut rest) = text(rest)?;
    let mut options: Vec<(Choice, u64)> = Vec::new();
    while !rest.is_empty() {
        let (option, tail) = text(rest)?;
        let (value, tail) = text(tail)?;
        rest = tail;
        let known = Choice::ALL
            .into_iter()
            .find(|choice| option.eq_ignore_ascii_case(choice.name()));
        let Some(choice) = known else { continue };
        let value = digits::decimal(value)?;
        // RFC 2347 allows each once; the first holds.
        if options.iter().all(|(before, _)| *before != choice) {
            options.push((choice, value));
        }
    }
    Some(match opcode {
        READ => Frame::Read { name, mode, options },
        _ => Frame::Write(name),
    })
}

/// The text of an error, after its number of two bytes.
fn error_text(rest: &[u8]) -> String {
    let text = rest.get(2..).unwrap_or_default();
    match text.split(|byte| *byte == 0).next() {
        Some(text) if !text.is_empty() => String::from_utf8_lossy(text).into_owned(),
        _ => "(no message)".to_owned(),
    }
}

/// DATA: a block with its number.
pub fn data(number: u16, block: &[u8]) -> Vec<u8> {
    [&DATA.to_be_bytes(), &number.to_be_bytes(), block].concat()
}

/// ERROR, with as much of the text as [`LONGEST_TEXT`] allows.
pub fn error(code: ErrorCode, text: &str) -> Vec<u8> {
    let whole = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(whole).unwrap_or(0);
    let text = text.get(..end).unwrap_or_default();
    [
        &ERROR.to_be_bytes()[..],
        &(code as u16).to_be_bytes(),
        text.as_bytes(),
        &[0],
    ]
    .concat()
}

/// OACK: the options that are agreed to.
pub fn oack(options: &[(Choice, u64)]) -> Vec<u8> {
    let mut packet = OACK.to_be_bytes().to_vec();
    for (choice, value) in options {
        packet.extend(format!("{}\0{value}\0", choice.name()).into_bytes());
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::READS;
    use super::*;

    fn read<'a>(name: &'a str, mode: &'a str, options: &[(Choice, u64)]) -> Option<Frame<'a>> {
        let options = options.to_vec();
        Some(Frame::Read { name, mode, options })
    }

    #[test]
    fn what_real_clients_send_is_read() {
        use Choice::{BlockSize, Timeout, TransferSize, WindowSize};
        let [hpa, curl, busybox] = READS;
        assert_eq!(Frame::decode(hpa), read("qnapimg.bin", "octet", &[]));
        let options = [(TransferSize, 0), (BlockSize, 1468), (Timeout, 6)];
        assert_eq!(Frame::decode(curl), read("qnapimg.bin", "octet", &options));
        let options = [(BlockSize, 65464), (TransferSize, 0)];
        assert_eq!(Frame::decode(busybox), read("F_TS-219P+", "octet", &options));
        let odd = b"\0\x01x\0OCTET\0WindowSize\x008\0multicast\0\0windowsize\x009\0";
        assert_eq!(Frame::decode(odd), read("x", "OCTET", &[(WindowSize, 8)]));
        assert_eq!(Frame::decode(b"\0\x02x\0octet\0"), Some(Frame::Write("x")));
        assert_eq!(Frame::decode(b"\0\x04\x12\x34"), Some(Frame::Ack(0x1234)));
        for (packet, text) in [
            (&b"\0\x05\0\x01no\0more"[..], "no"),
            (b"\0\x05\xff\xff\xffno", "\u{fffd}no"),
            (b"\0\x05\0", "(no message)"),
            (b"\0\x05", "(no message)"),
        ] {
            assert_eq!(Frame::decode(packet), Some(Frame::Error(text.to_owned())));
        }
        for packet in [&b"\0\x03\0\x01data"[..], b"\0\x06blksize\x008\0"] {
            assert_eq!(Frame::decode(packet), Some(Frame::Stray));
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for rubbish in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01x",
            b"\0\x01x\0octet",
            b"\0\x01\xff\0octet\0",
            b"\0\x01x\0octet\0blksize\0",
            b"\0\x01x\0octet\0blksize\x00512",
            b"\0\x01x\0octet\0blksize\0-1\0",
            b"\0\x01x\0octet\0blksize\0+512\0",
            b"\0\x01x\0octet\0tsize\x0018446744073709551616\0",
            b"\0\x03\0",
            b"\0\x04\0",
            b"\0\x07\0\x01",
            b"\xff\xff\xff\xff",
        ] {
            assert_eq!(Frame::decode(rubbish), None, "{rubbish:?}");
        }
    }

    #[test]
    fn what_is_sent_is_what_the_standard_says() {
        assert_eq!(data(0x1234, b"abc"), b"\0\x03\x12\x34abc");
        assert_eq!(data(0, b""), b"\0\x03\0\0");
        assert_eq!(error(ErrorCode::FileNotFound, "no"), b"\0\x05\0\x01no\0");
        assert_eq!(error(ErrorCode::UnknownId, ""), b"\0\x05\0\x05\0");
        let options = [
            (Choice::BlockSize, 65464),
            (Choice::Timeout, 1),
            (Choice::TransferSize, u64::MAX),
        ];
        assert_eq!(
            oack(&options),
            b"\0\x06blksize\x0065464\0timeout\x001\0tsize\x0018446744073709551615\0"
        );
        let long = format!("x{}", "ü".repeat(400));
        let cut = error(ErrorCode::FileNotFound, &long);
        assert_eq!(cut.len(), 4 + LONGEST_TEXT - 1 + 1);
        assert!(Frame::decode(&cut) == Some(Frame::Error(long[..LONGEST_TEXT - 1].to_owned())));
    }
}
