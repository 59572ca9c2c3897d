//! What must hold of every packet, whoever sent it: no answer is longer than it may be, and nothing reaches the terminal unquoted.

#![allow(clippy::unwrap_used)]

use super::dhcp_answer::{Lease, Question};
use super::dhcp_frame::{HEADER, LEAST};
use super::tftp::{Offer, admit};
use super::tftp_frame::{self, LONGEST_TEXT};
use super::{Answered, Event, Events, Name};
use crate::base::mac::Mac;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What the box is given; its address is the one in the clients' packets.
pub(super) const LEASE: Lease = Lease {
    mac: Mac([0, 0x50, 0x43, 0x3c, 0x3b, 0x5d]),
    ip: Ipv4Addr::new(192, 168, 1, 71),
    mask: Ipv4Addr::new(255, 255, 255, 0),
    server: Ipv4Addr::new(192, 168, 1, 2),
};

/// A packet for the DHCP server. Answers whether it was read, and whether it was answered.
pub(crate) fn dhcp(packet: &[u8]) -> (bool, bool) {
    let Some(question) = Question::read(packet) else {
        return (false, false);
    };
    // A byte that is not text becomes three.
    let shown = question.class.as_deref().map_or(0, str::len) + question.file.as_deref().map_or(0, str::len);
    assert!(shown <= 3 * packet.len(), "{packet:?}");
    let longest_name = "F".repeat(127);
    let Some(answer) = question.answer(&LEASE, &longest_name) else {
        return (true, false);
    };
    let len = answer.packet.len();
    // Type, server, mask, time, both names, the end.
    assert!(
        (LEAST..=HEADER + 3 + 3 * 6 + 2 + 15 + 2 + 127 + 1).contains(&len),
        "{packet:?}"
    );
    assert_eq!(answer.packet[4..8], packet[4..8], "{packet:?}");
    assert!([LEASE.ip, Ipv4Addr::BROADCAST].contains(&answer.to), "{packet:?}");
    (true, true)
}

/// What the TFTP server did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tftp {
    /// It sends the image.
    Admitted,
    /// It answers with an error.
    Refused,
    /// It answers nothing.
    Silent,
}

/// A packet for the TFTP server.
pub(crate) fn tftp(packet: &[u8]) -> Tftp {
    let client: SocketAddr = "192.168.1.71:2070".parse().unwrap();
    let offer = Offer {
        image: Arc::default(),
        name: Name::new(Some("qnapimg.bin".to_owned()), true),
        of_box: LEASE.ip,
        alone: false,
        answered: Answered::default(),
        hint: "hint",
    };
    let (events, seen) = Events::channel();
    let did = match admit(packet, client, &offer, &events) {
        Ok(options) => {
            assert!(options.len() <= 4, "{packet:?}");
            assert!(tftp_frame::oack(&options).len() <= 512, "{packet:?}");
            Tftp::Admitted
        }
        Err(Some((code, text))) => {
            assert!(tftp_frame::error(code, &text).len() <= LONGEST_TEXT + 5, "{packet:?}");
            Tftp::Refused
        }
        Err(None) => {
            assert_eq!(packet[..2], [0, 5], "only errors are not answered");
            Tftp::Silent
        }
    };
    for event in seen.try_iter() {
        let Event::Said(text) = event else {
            panic!("{event:?}");
        };
        assert!(!text.contains(char::is_control), "{text:?}");
        // A control character becomes six.
        assert!(text.len() <= 200 + 6 * packet.len(), "{packet:?}");
    }
    did
}
