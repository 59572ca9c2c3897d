//! What of an image the box has already, and what goes over the wire instead.
//!
//! The search is rsync's: a checksum that rolls over the image finds where a block of the box may be, at any offset, and the
//! SHA-256 decides.

#![forbid(unsafe_code)]

use super::told::Block;
use crate::base::units::hex;
use crate::bytes::blocks::{LARGEST, Rolling, weak};
use crate::bytes::pushed::PIECE;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::ops::Range;

/// How well the pieces are packed: miniz's usual.
const LEVEL: u8 = 6;
/// Bytes that are collected before they are sent.
const AT_ONCE: usize = 16 << 10;
/// How often a rolling checksum may promise what the SHA-256 does not keep, before the rest is sent as it is.
const VAIN: u32 = 4096;

/// How many lengths of blocks are sought: chips have one or two.
const LENGTHS: usize = 8;

/// A part of an image.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A block of the box, by its number.
    Have(usize),
    /// Bytes of the image.
    Data(Range<usize>),
}

/// Hands over the pieces of an image as they go over the wire, which together are all of it, as soon as they are packed; with
/// each how many bytes of the image are in it.
///
/// # Errors
/// Those of whoever takes them.
pub fn send(image: &[u8], blocks: &[Block], take: &mut dyn FnMut(&[u8], usize) -> io::Result<()>) -> io::Result<()> {
    let (mut wire, mut covered) = (Vec::new(), 0);
    for piece in pieces(image, blocks) {
        match piece {
            Piece::Have(number) => {
                let _ = writeln!(wire, "have {number}");
                covered += blocks[number].bytes;
            }
            Piece::Data(range) => {
                for bytes in image[range].chunks(PIECE) {
                    data(bytes, &mut wire);
                    covered += bytes.len();
                    if wire.len() >= AT_ONCE {
                        take(&wire, covered)?;
                        wire.clear();
                        covered = 0;
                    }
                }
            }
        }
    }
    take(&wire, covered)
}

fn data(bytes: &[u8], wire: &mut Vec<u8>) {
    let packed = miniz_oxide::deflate::compress_to_vec(bytes, LEVEL);
    let shorter = if packed.len() < bytes.len() { &packed } else { bytes };
    let _ = writeln!(wire, "data {} {}", bytes.len(), shorter.len());
    wire.extend(shorter);
}

fn pieces(image: &[u8], blocks: &[Block]) -> Vec<Piece> {
    let lengths: BTreeSet<usize> = blocks.iter().map(|block| block.bytes).collect();
    let mut found = vec![Piece::Data(0..image.len())];
    let lengths = lengths
        .into_iter()
        .rev()
        .filter(|length| (1..=LARGEST).contains(length));
    // The larger, the fewer.
    for length in lengths.take(LENGTHS) {
        let known = Known::of(length, blocks);
        let split = |piece| match piece {
            Piece::Data(range) => known.within(image, range),
            have => vec![have],
        };
        found = found.into_iter().flat_map(split).collect();
    }
    found
}

/// The blocks of one length.
struct Known<'a> {
    length: usize,
    /// Their numbers by the rolling checksum and the SHA-256.
    numbers: HashMap<u32, HashMap<&'a str, usize>>,
}

impl Known<'_> {
    fn of(length: usize, blocks: &[Block]) -> Known<'_> {
        let mut numbers: HashMap<u32, HashMap<&str, usize>> = HashMap::new();
        for (number, block) in blocks.iter().enumerate().filter(|(_, block)| block.bytes == length) {
            numbers.entry(block.weak).or_default().insert(&block.sha256, number);
        }
        Known { length, numbers }
    }

    /// Where they are in this range, and what is between them.
    fn within(&self, image: &[u8], range: Range<usize>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let (mut sent, mut at, mut vain) = (range.start, range.start, 0);
        let rolling = Rolling::over(self.length);
        let mut sum = None;
        while at + self.length <= range.end && vain < VAIN {
            let window = &image[at..at + self.length];
            let now = sum.unwrap_or_else(|| weak(window));
            if let Some(known) = self.numbers.get(&now) {
                if let Some(number) = known.get(hex(&Sha256::digest(window)).as_str()) {
                    if sent < at {
                        pieces.push(Piece::Data(sent..at));
                    }
                    pieces.push(Piece::Have(*number));
                    at += self.length;
                    (sent, sum) = (at, None);
                    continue;
                }
                vain += 1;
            }
            let come = image.get(at + self.length);
            sum = come.map(|come| rolling.roll(now, image[at], *come));
            at += 1;
        }
        if sent < range.end {
            pieces.push(Piece::Data(sent..range.end));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, seed: u32) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn told(content: &[u8], length: usize) -> Vec<Block> {
        let block = |bytes: &[u8]| Block {
            bytes: bytes.len(),
            weak: weak(bytes),
            sha256: hex(&Sha256::digest(bytes)),
        };
        content.chunks(length).map(block).collect()
    }

    #[test]
    fn what_the_box_has_is_found_at_any_offset() {
        let flash = noise(16 << 12, 1);
        let blocks = told(&flash, 1 << 12);
        for shift in [0, 1, 512, 4095] {
            let image = [
                &noise(shift, 2)[..],
                &flash[2 << 12..5 << 12],
                b"new",
                &flash[9 << 12..],
                b"x",
            ]
            .concat();
            let pieces = pieces(&image, &blocks);
            let have = pieces.iter().filter(|piece| matches!(piece, Piece::Have(_))).count();
            assert_eq!(have, 3 + 7, "{shift}");
            let data = |piece: &Piece| match piece {
                Piece::Have(_) => 0,
                Piece::Data(range) => range.len(),
            };
            assert_eq!(pieces.iter().map(data).sum::<usize>(), shift + 4);
            let all = |piece: &Piece| match piece {
                Piece::Have(number) => flash.chunks(1 << 12).nth(*number).unwrap_or_default().to_vec(),
                Piece::Data(range) => image[range.clone()].to_vec(),
            };
            assert!(pieces.iter().flat_map(all).eq(image.iter().copied()));
        }
    }

    #[test]
    fn a_box_that_lies_costs_no_more_than_sending_all_of_it() {
        // One block that is not there, whose rolling checksum is everywhere.
        let image = vec![7; 1 << 20];
        let lie = Block {
            bytes: 4096,
            weak: weak(&image[..4096]),
            sha256: "0".repeat(64),
        };
        assert_eq!(pieces(&image, &[lie]), [Piece::Data(0..1 << 20)]);
        let odd = |bytes| Block {
            bytes,
            weak: 0,
            sha256: String::new(),
        };
        assert_eq!(pieces(&image, &[odd(0), odd(usize::MAX)]), [Piece::Data(0..1 << 20)]);
        assert_eq!(pieces(b"", &[]), [Piece::Data(0..0)]);
    }

    fn packed(image: &[u8], blocks: &[Block]) -> Vec<u8> {
        let (mut wire, mut all) = (Vec::new(), 0);
        let sent = send(image, blocks, &mut |bytes, covered| {
            wire.extend(bytes);
            all += covered;
            Ok(())
        });
        assert!(sent.is_ok() && all == image.len());
        wire
    }

    #[test]
    fn what_is_sent_is_packed_where_that_makes_it_shorter() {
        assert!(packed(&[0; 1 << 20], &[]).len() < 8 << 10);
        let noise = noise(100_000, 3);
        assert!(packed(&noise, &[]).len() < noise.len() + 64);
    }
}
