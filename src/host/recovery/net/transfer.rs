//! One file on its way to one TFTP client (RFC 1350, with the options of RFC 2348, 2349 and 7440).
//!
//! It knows when the client has everything: an acknowledgement counts only for a block that was sent, and only when all
//! before it were acknowledged.

#![forbid(unsafe_code)]

use super::tftp_frame::{self, Choice, Frame};
use super::{Event, Events};
use crate::base::quoted::Quoted;
use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// How often a packet is sent before the client is given up.
const TRIES: u32 = 12;
/// Blocks that may be under way.
const WINDOW: u64 = 64;
/// Of a client that is not heard any more once all of it was sent: the missing acknowledgement may have been lost, and boot loaders do
/// not repeat it.
const MAY_HAVE_ALL: &str = "all of the image was sent, so the box may have it and be writing now: leave it alone for \
                            five minutes, or until it beeps";

/// The image on its way to one client.
pub(super) struct Transfer<'a> {
    socket: &'a UdpSocket,
    image: &'a [u8],
    /// Bytes of a block.
    block: usize,
    /// Blocks under way.
    window: u64,
    /// How long to wait for an answer.
    wait: Duration,
    /// The options that are agreed to.
    agreed: Vec<(Choice, u64)>,
}

impl<'a> Transfer<'a> {
    /// A transfer over a socket that is connected to the client, with the options that the client would like.
    pub(super) fn new(socket: &'a UdpSocket, image: &'a [u8], options: &[(Choice, u64)]) -> Transfer<'a> {
        let mut transfer = Transfer {
            socket,
            image,
            block: 512,
            window: 1,
            wait: Duration::from_secs(1),
            agreed: Vec::new(),
        };
        for (choice, value) in options {
            let agreed = match choice {
                Choice::BlockSize if *value >= 8 => {
                    // The largest that fits a datagram (RFC 2348).
                    let size = (*value).min(65464);
                    transfer.block = size as usize;
                    Some(size)
                }
                Choice::TransferSize => Some(image.len() as u64),
                Choice::Timeout if (1..=255).contains(value) => {
                    transfer.wait = Duration::from_secs((*value).min(5));
                    Some(*value)
                }
                Choice::WindowSize if *value >= 1 => {
                    transfer.window = (*value).min(WINDOW);
                    Some(transfer.window)
                }
                _ => None,
            };
            transfer.agreed.extend(agreed.map(|value| (*choice, value)));
        }
        transfer
    }

    /// Sends everything. Succeeds only when the client acknowledged each block, or each window, after the one before
    /// it, and the last.
    pub(super) fn run(mut self, events: &Events) -> Result<(), String> {
        let agreed = std::mem::take(&mut self.agreed);
        if !agreed.is_empty() {
            let packet = tftp_frame::oack(&agreed);
            let send = |transfer: &Transfer<'_>| transfer.send(&packet);
            send(&self)?;
            self.until(false, send, |block| (block == 0).then_some(0))?;
        }
        // A file of whole blocks ends with an empty one.
        let last = self.image.len() as u64 / self.block as u64 + 1;
        let mut acknowledged = 0;
        while acknowledged < last {
            let window = acknowledged + 1..(acknowledged + self.window).min(last) + 1;
            let send = |transfer: &Transfer<'_>| window.clone().try_for_each(|number| transfer.data(number));
            send(&self)?;
            // Block numbers have 16 bits and go round.
            let number_of = |block| window.clone().find(|number| *number as u16 == block);
            acknowledged = self.until(window.contains(&last), send, number_of)?;
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
        let block = self.image.get(start..end).unwrap_or_default();
        self.send(&tftp_frame::data(number as u16, block))
    }

    /// Waits for an acknowledgement that `accept` takes, and sends again when none comes. A second acknowledgement
    /// of an earlier block is never answered: it would double every packet from then on (RFC 1123, 4.2.3.1).
    /// With `all_sent` nothing of the image is left to be sent.
    fn until(
        &self,
        all_sent: bool,
        again: impl Fn(&Transfer<'_>) -> Result<(), String>,
        accept: impl Fn(u16) -> Option<u64>,
    ) -> Result<u64, String> {
        let mut buffer = [0; 600];
        let lost = |what: String| match all_sent {
            true => format!("{what}; {MAY_HAVE_ALL}"),
            false => what,
        };
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
                        _ => return Err(lost(error.to_string())),
                    },
                };
                match Frame::decode(&buffer[..got]) {
                    Some(Frame::Ack(block)) => {
                        if let Some(number) = accept(block) {
                            return Ok(number);
                        }
                    }
                    Some(Frame::Error(text)) => return Err(format!("the client says {}", Quoted(&text))),
                    _ => (),
                }
            }
            again(self).map_err(lost)?;
        }
        Err(lost("it does not answer any more".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A transfer of this image in blocks of 512 bytes, and its client's end.
    fn begin(
        image: Vec<u8>,
        options: &'static [(Choice, u64)],
    ) -> (UdpSocket, std::thread::JoinHandle<Result<(), String>>) {
        let [ours, client] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        ours.connect(client.local_addr().unwrap()).unwrap();
        client.connect(ours.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (events, _) = Events::channel();
        (
            client,
            std::thread::spawn(move || Transfer::new(&ours, &image, options).run(&events)),
        )
    }

    fn next(client: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 1000];
        let got = client.recv(&mut buffer).unwrap();
        buffer[..got].to_vec()
    }

    #[test]
    fn no_acknowledgement_counts_for_a_block_that_was_not_sent() {
        let image: Vec<u8> = (0..1024).map(|at| (at % 251) as u8).collect();
        let (client, transfer) = begin(image.clone(), &[]);
        for number in 1..=3_u8 {
            let start = usize::from(number - 1) * 512;
            let end = (start + 512).min(1024);
            assert_eq!(next(&client), tftp_frame::data(number.into(), &image[start..end]));
            // Of the block before, of those to come, of none at all.
            for other in (0..10).filter(|other| *other != number) {
                client.send(&[0, 4, 0, other]).unwrap();
            }
            client.send(b"rubbish").unwrap();
            client.send(&[]).unwrap();
            assert!(!transfer.is_finished());
            client.send(&[0, 4, 0, number]).unwrap();
        }
        transfer.join().unwrap().unwrap();
    }

    #[test]
    fn a_client_that_gives_up_at_the_last_block_does_not_have_the_image() {
        let (client, transfer) = begin(vec![7; 700], &[]);
        for number in 1..=2 {
            assert_eq!(next(&client)[3], number);
            match number {
                1 => client.send(&[0, 4, 0, 1]).unwrap(),
                _ => client.send(b"\0\x05\0\x63disk \x1b full\0").unwrap(),
            };
        }
        let what = transfer.join().unwrap().unwrap_err();
        assert_eq!(what, r#"the client says "disk \u{1b} full""#);
    }

    /// A box whose last acknowledgement is lost writes all the same.
    #[test]
    fn a_client_that_goes_without_a_word_may_have_all_of_it_once_all_was_sent() {
        for (length, may) in [(511, true), (1024, false)] {
            let (client, transfer) = begin(vec![7; length], &[]);
            assert_eq!(next(&client)[3], 1);
            drop(client);
            let what = transfer.join().unwrap().unwrap_err();
            assert_eq!(what.contains("may have it and be writing now"), may, "{what}");
        }
    }

    #[test]
    fn an_acknowledgement_inside_a_window_goes_on_from_there() {
        let (client, transfer) = begin(vec![7; 2000], &[(Choice::WindowSize, 1000), (Choice::BlockSize, 7)]);
        assert_eq!(next(&client), b"\0\x06windowsize\x0064\0");
        client.send(&[0, 4, 0, 0]).unwrap();
        let round = |expected: &[u8]| expected.iter().for_each(|number| assert_eq!(next(&client)[3], *number));
        round(&[1, 2, 3, 4]);
        client.send(&[0, 4, 0, 2]).unwrap();
        round(&[3, 4]);
        client.send(&[0, 4, 0, 4]).unwrap();
        transfer.join().unwrap().unwrap();
    }
}
