//! Packets of real clients, and what becomes of them when bytes change on the way: the same at every run.

#![allow(clippy::unwrap_used)]

use super::dhcp_frame::LEAST;
use super::hostile::{self, Tftp};

pub(super) use super::hostile::LEASE;

/// A packet with a vendor class that is longer than any file name. It ended an earlier version of this server.
pub(super) const VENDOR_CLASS: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/net/dhcp-vendor-class.packet"
));

/// A client's DHCP message with these options, the rest as udhcpc and dhclient fill it in.
pub(super) fn dhcp(xid: [u8; 4], options: &[u8]) -> Vec<u8> {
    let mut packet = vec![1, 1, 6, 0];
    packet.extend(xid);
    packet.resize(28, 0);
    packet.extend(LEASE.mac.0);
    packet.resize(236, 0);
    packet.extend([99, 130, 83, 99]);
    packet.extend(options);
    packet.resize(packet.len().max(LEAST), 0);
    packet
}

/// DHCPDISCOVER of busybox 1.35's `udhcpc -V F_TS-219P+`, as it came over the wire.
pub(super) fn udhcpc() -> Vec<u8> {
    let options = b"\x35\x01\x01\x39\x02\x02\x40\x37\x07\x01\x03\x06\x0c\x0f\x1c\x2a\x3c\x0aF_TS-219P+\
                    \x3d\x07\x01\x00\x50\x43\x3c\x3b\x5d\xff";
    dhcp([0x02, 0xb5, 0x22, 0x6c], options)
}

/// DHCPDISCOVER of ISC dhclient 4.4.3, likewise; another host name of the same length.
pub(super) fn dhclient() -> Vec<u8> {
    let options = b"\x35\x01\x01\x0c\x03nas\x37\x0d\x01\x1c\x02\x03\x0f\x06\x77\x0c\x2c\x2f\x1a\x79\x2a\xff";
    dhcp([0x98, 0x9c, 0x04, 0x65], options)
}

/// Read requests of tftp-hpa 5.2, curl 7.88 and busybox 1.35, as they came over the wire.
pub(super) const READS: [&[u8]; 3] = [
    b"\0\x01qnapimg.bin\0octet\0",
    b"\0\x01qnapimg.bin\0octet\0tsize\x000\0blksize\x001468\0timeout\x006\0",
    b"\0\x01F_TS-219P+\0octet\0blksize\x0065464\0tsize\x000\0",
];

/// Marsaglia's xorshift64: <https://doi.org/10.18637/jss.v008.i14>.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// The packet with a few bytes changed, put in, left out or cut off, towards those that mean something.
    fn spoil(&mut self, packet: &[u8], telling: &[u8]) -> Vec<u8> {
        let mut packet = packet.to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(packet.len() + 1);
            let byte = match self.below(3) {
                0 => self.next() as u8,
                _ => telling[self.below(telling.len())],
            };
            match self.below(8) {
                0 => packet.truncate(at),
                1 => packet.insert(at, byte),
                2 if at < packet.len() => drop(packet.remove(at)),
                3 => packet.extend(vec![byte; self.below(300)]),
                _ => {
                    if let Some(place) = packet.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        packet
    }
}

#[test]
fn no_change_to_a_dhcp_packet_makes_the_answer_longer_than_an_answer() {
    let overloaded = dhcp(
        [0, 0, 0, 1],
        b"\x35\x01\x03\x34\x01\x03\x37\x02\x42\x43\x32\x04\xc0\xa8\x01\x47\xff",
    );
    let seeds = [udhcpc(), dhclient(), overloaded, VENDOR_CLASS.to_vec()];
    let telling = [0, 1, 2, 3, 4, 6, 50, 52, 53, 54, 55, 60, 66, 67, 254, 255, b'F', b'_'];
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (mut read, mut answered) = (0, 0);
    for round in 0..200_000 {
        let (was_read, was_answered) = hostile::dhcp(&dice.spoil(&seeds[round % seeds.len()], &telling));
        read += u32::from(was_read);
        answered += u32::from(was_answered);
    }
    assert!(read > 100_000 && answered > 50_000, "{read} read, {answered} answered");
}

#[test]
fn no_change_to_a_tftp_packet_makes_the_answer_longer_than_a_packet() {
    let others: [&[u8]; 5] = [
        b"\0\x02secret\0octet\0",
        b"\0\x03\0\x01data",
        b"\0\x04\0\x01",
        b"\0\x05\0\x01no\0",
        b"\0\x06blksize\x001024\0",
    ];
    let seeds: Vec<&[u8]> = READS.into_iter().chain(others).collect();
    let telling = [0, 1, 2, 3, 4, 5, 6, b'0', b'9', 255, 0x1b, b'"', b'/'];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut admitted, mut refused, mut silent) = (0, 0, 0);
    for round in 0..200_000 {
        let packet = dice.spoil(seeds[round % seeds.len()], &telling);
        match hostile::tftp(&packet) {
            Tftp::Admitted => admitted += 1,
            Tftp::Refused => refused += 1,
            Tftp::Silent => silent += 1,
        }
    }
    assert!(admitted > 10_000 && refused > 10_000 && silent > 10_000);
}
