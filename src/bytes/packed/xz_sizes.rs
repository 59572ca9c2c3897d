//! What an xz stream says of its own sizes, in the headers of its blocks and in its index, held against the bytes as they come by:
//! lzma-rust2 counts the records of the index and no more. ("The .xz File Format", 3.1 and 4; the chunks of LZMA2 as
//! `lzma2_decoder.c` of liblzma reads them.)

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::checksum::CRC32;
use crate::base::units::Fields;
use std::io::{self, Read};

/// Bytes of the stream's header.
const HEADER: usize = 12;
/// The CRC of the index, and the stream's footer.
const END: usize = 4 + 12;
/// Bytes of the longest number.
const NUMBER: usize = 9;

/// Hands on the bytes of one stream.
pub(super) struct Sizes<R> {
    input: R,
    /// What is read, as far as it is here, and how many bytes it has; 0 once something was wrong.
    field: Field,
    bytes: Vec<u8>,
    wanted: usize,
    /// Bytes in front of it that say nothing of sizes.
    skipped: u64,
    /// Bytes of the check behind each block.
    check: u64,
    block: Block,
    /// Of the sizes of all blocks, and of those that the index says.
    found: crc::Digest<'static, u32>,
    listed: crc::Digest<'static, u32>,
    /// Bytes of the index, and how many numbers are left of it.
    index: u64,
    left: u64,
}

/// What can be read.
#[derive(Clone, Copy)]
enum Field {
    Stream,
    BlockLength,
    BlockHeader,
    Control,
    Chunk,
    Count,
    Number,
    End,
}

/// The block that is read: bytes of its header, and of what it holds, packed and unpacked, with what the header says of these.
#[derive(Default)]
struct Block {
    header: u64,
    packed: u64,
    unpacked: u64,
    says_packed: Option<u64>,
    says_unpacked: Option<u64>,
}

impl<R> Sizes<R> {
    pub(super) fn new(input: R) -> Sizes<R> {
        Sizes {
            input,
            field: Field::Stream,
            bytes: Vec::new(),
            wanted: HEADER,
            skipped: 0,
            check: 0,
            block: Block::default(),
            found: CRC32.digest(),
            listed: CRC32.digest(),
            index: 0,
            left: 0,
        }
    }

    /// What it reads from.
    pub(super) fn input(&self) -> &R {
        &self.input
    }

    /// Takes in what came; `None` where something is wrong.
    fn see(&mut self, mut seen: &[u8]) -> Option<()> {
        loop {
            let skipped = self.skipped.min(seen.len() as u64);
            self.skipped -= skipped;
            seen = &seen[skipped as usize..];
            let (taken, rest) = seen.split_at(seen.len().min(self.wanted - self.bytes.len()));
            self.bytes.extend_from_slice(taken);
            seen = rest;
            if self.bytes.len() < self.wanted {
                return Some(());
            }
            self.next()?;
        }
    }

    /// Goes on to another field, whose first bytes are those that are at hand already, if they are kept.
    fn then(&mut self, field: Field, wanted: usize) {
        (self.field, self.wanted) = (field, wanted);
    }

    /// Takes in the field that is here; `None` for one that is wrong.
    fn next(&mut self) -> Option<()> {
        let first = *self.bytes.first()?;
        let mut keep = false;
        match self.field {
            Field::Stream => {
                self.check = match self.bytes[7] & 15 {
                    0 => 0,
                    kind => 4 << ((kind - 1) / 3),
                };
                self.then(Field::BlockLength, 1);
            }
            Field::BlockLength if first == 0 => {
                self.index = 1;
                self.then(Field::Count, 1);
            }
            Field::BlockLength => {
                keep = true;
                self.then(Field::BlockHeader, (usize::from(first) + 1) * 4);
            }
            Field::BlockHeader => {
                let mut rest = &self.bytes[2..];
                let mut says = |flag| match self.bytes[1] & flag {
                    0 => Some(None),
                    _ => number(&mut rest).map(Some),
                };
                self.block = Block {
                    header: self.wanted as u64,
                    says_packed: says(0x40)?,
                    says_unpacked: says(0x80)?,
                    ..Block::default()
                };
                self.then(Field::Control, 1);
            }
            Field::Control if first == 0 => {
                let block = &mut self.block;
                block.packed += 1;
                let is = |said: Option<u64>, size| said.is_none_or(|said| said == size);
                if !is(block.says_packed, block.packed) || !is(block.says_unpacked, block.unpacked) {
                    return None;
                }
                for size in [block.header + block.packed + self.check, block.unpacked] {
                    self.found.update(&size.to_le_bytes());
                }
                self.skipped = block.packed.next_multiple_of(4) - block.packed + self.check;
                self.then(Field::BlockLength, 1);
            }
            Field::Control => {
                keep = true;
                self.then(
                    Field::Chunk,
                    match first {
                        1 | 2 => 3,
                        0x80..0xc0 => 5,
                        0xc0.. => 6,
                        _ => return None,
                    },
                );
            }
            Field::Chunk => {
                let size = |at: usize| u64::from(u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]])) + 1;
                let (unpacked, packed) = match first {
                    0x80.. => (size(1) + (u64::from(first & 0x1f) << 16), size(3)),
                    _ => (size(1), size(1)),
                };
                self.block.unpacked += unpacked;
                self.block.packed += self.wanted as u64 + packed;
                self.skipped = packed;
                self.then(Field::Control, 1);
            }
            Field::Count | Field::Number if self.bytes.last()? & 0x80 != 0 => {
                keep = self.wanted < NUMBER;
                self.then(self.field, keep.then_some(self.wanted + 1)?);
            }
            Field::Count | Field::Number => {
                let number = number(&mut &self.bytes[..])?;
                self.index += self.wanted as u64;
                match self.field {
                    Field::Count => self.left = number.checked_mul(2)?,
                    _ => {
                        self.listed.update(&number.to_le_bytes());
                        self.left -= 1;
                    }
                }
                self.then(Field::Number, 1);
                if self.left == 0 {
                    if self.listed.clone().finalize() != self.found.clone().finalize() {
                        return None;
                    }
                    self.skipped = self.index.next_multiple_of(4) - self.index;
                    self.index += self.skipped + 4;
                    self.then(Field::End, END);
                }
            }
            Field::End => {
                let said = (u64::from(Fields(&self.bytes).le32(8)?) + 1) * 4;
                if said != self.index {
                    return None;
                }
                self.then(Field::Stream, HEADER);
            }
        }
        if !keep {
            self.bytes.clear();
        }
        Some(())
    }
}

/// Takes a number off, seven bits a byte, the lowest first, in as few bytes as it needs.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let last = rest.iter().take(NUMBER).position(|byte| byte & 0x80 == 0)?;
    let (bytes, behind) = rest.split_at(last + 1);
    *rest = behind;
    let number = bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f));
    (last == 0 || bytes[last] != 0).then_some(number)
}

impl<R: Read> Read for Sizes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        // What was wrong once stays wrong.
        if self.wanted == 0 || self.see(&buffer[..got]).is_none() {
            self.wanted = 0;
            return Err(bad("what it says of its sizes is not so"));
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::packed::codec::Codec;
    use crate::bytes::packed::{Handle, members::Members};
    use crate::bytes::store::Store;
    use std::process::Command;

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let store = Store::Memory(bytes.to_vec());
        let mut content = Vec::new();
        Members::new(Handle::Lent(&store), 0..store.len(), Codec::Xz).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Puts a CRC right behind what it is of.
    fn sum(bytes: &mut [u8], from: usize, to: usize) {
        let crc = CRC32.checksum(&bytes[from..to]).to_le_bytes();
        bytes[to..to + 4].copy_from_slice(&crc);
    }

    /// In blocks of 1000 bytes.
    fn packed(content: &[u8], flags: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let pack = format!("xz -c --block-size=1000 {flags} \"$0\"");
        let run = Command::new("sh")
            .args(["-c", &pack])
            .arg(file.path())
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        run.stdout
    }

    #[test]
    fn every_size_is_held_against_what_there_is() {
        // Three blocks, of which the second is longer when it is packed.
        let noise = |at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8;
        let byte = |at: u32| {
            if at % 1000 < 300 || at / 1000 == 1 {
                noise(at)
            } else {
                7
            }
        };
        let content: Vec<u8> = (0..3000).map(byte).collect();
        for flags in [
            "-T1",
            "-T2",
            "-T2 --check=none",
            "-T2 --check=sha256",
            "-T1 --x86 --lzma2",
            "-T1 --check=crc32 --delta=dist=4 --lzma2=lc=0",
        ] {
            assert!(unpacked(&packed(&content, flags)).unwrap() == content, "{flags}");
        }
        let good = packed(&content, "-T2 --check=none");
        let end = good.len();
        let length = (u32::from_le_bytes(good[end - 8..end - 4].try_into().unwrap()) as usize + 1) * 4;
        let index = end - 12 - length;
        // The indicator, the count, and three times two numbers of two bytes.
        assert_eq!(good[index..index + 2], [0, 3]);
        assert_eq!(good[index + 12..index + 14], [0xe8, 0x07]);
        let wrong = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut changed = good.clone();
            change(&mut changed);
            sum(&mut changed, index, end - 16);
            let length = 4 + 4 * usize::from(good[12]);
            sum(&mut changed, 12, 12 + length - 4);
            let footer = CRC32.checksum(&changed[end - 8..end - 2]).to_le_bytes();
            changed[end - 12..end - 8].copy_from_slice(&footer);
            assert_eq!(unpacked(&changed).is_err(), !what.is_empty(), "{what}");
            // Who reads on finds nothing else.
            let (mut sizes, mut sink) = (Sizes::new(&changed[..]), Vec::new());
            for _ in 0..2 {
                assert_eq!(sizes.read_to_end(&mut sink).is_err(), !what.is_empty(), "{what}");
            }
        };
        wrong("", &|_| ());
        wrong("a byte more in the last block", &|bytes| bytes[index + 12] += 1);
        wrong("two records in each other's place", &|bytes| {
            bytes[index + 2..index + 10].rotate_left(4);
        });
        wrong("a byte less, packed", &|bytes| bytes[index + 2] ^= 1);
        wrong("a header says another packed size", &|bytes| bytes[14] ^= 1);
        wrong("and another unpacked one", &|bytes| bytes[16] ^= 1);
        wrong("the footer says a longer index", &|bytes| bytes[end - 8] += 1);
    }

    #[test]
    fn a_number_takes_no_more_bytes_than_it_needs() {
        let of = |bytes: &[u8]| number(&mut &bytes[..]);
        assert_eq!(of(&[0]), Some(0));
        assert_eq!(of(&[0xe8, 7]), Some(1000));
        assert_eq!(of(&[0xff; 9]), None);
        assert_eq!(of(&[0x80, 0]), None);
        assert_eq!(of(&[0x80]), None);
        assert_eq!(
            of(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            Some(u64::MAX >> 1)
        );
    }
}
