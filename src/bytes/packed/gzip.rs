//! gzip (RFC 1952): members one behind the other, each with CRC-32 and length at its end.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::checksum::CRC32;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};
use std::io::{self, BufRead, BufReader, Read};

/// Packed bytes that are read at a time.
const INPUT: usize = 4 << 10;
/// Bits of the header's flags.
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;

/// Unpacks while it is read.
pub struct Gzip<R> {
    input: BufReader<R>,
    state: Box<InflateState>,
    position: Position,
    /// Whether the first member is all that is wanted.
    first: bool,
    crc: crc::Digest<'static, u32>,
    length: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    BeforeMember,
    Inside,
    Ended,
}

impl<R: Read> Gzip<R> {
    /// All members, behind which nothing may follow.
    pub fn new(input: R) -> Gzip<R> {
        Gzip {
            input: BufReader::with_capacity(INPUT, input),
            state: InflateState::new_boxed(DataFormat::Raw),
            position: Position::BeforeMember,
            first: false,
            crc: CRC32.digest(),
            length: 0,
        }
    }

    /// The first member; what follows it is left alone.
    pub fn first(input: R) -> Gzip<R> {
        Gzip {
            first: true,
            ..Gzip::new(input)
        }
    }

    /// Where it reads from.
    pub(super) fn input(&self) -> &BufReader<R> {
        &self.input
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| bad("it is cut off"))?;
        Ok(bytes)
    }

    /// Bytes of a header, which may have a checksum of its own.
    fn take_summed<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = self.take()?;
        self.crc.update(&bytes);
        Ok(bytes)
    }

    fn header(&mut self) -> io::Result<()> {
        self.crc = CRC32.digest();
        let head: [u8; 10] = self.take_summed()?;
        if head[..3] != [0x1f, 0x8b, 8] || head[3] & 0xe0 != 0 {
            return Err(bad("something follows behind its end"));
        }
        if head[3] & FEXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.take_summed()?) {
                self.take_summed::<1>()?;
            }
        }
        for text in [FNAME, FCOMMENT] {
            while head[3] & text != 0 && self.take_summed::<1>()? != [0] {}
        }
        let crc = self.crc.clone().finalize() as u16;
        if head[3] & FHCRC != 0 && self.take()? != crc.to_le_bytes() {
            return Err(bad("its header fails its CRC"));
        }
        self.state.reset(DataFormat::Raw);
        self.crc = CRC32.digest();
        self.length = 0;
        self.position = Position::Inside;
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        self.position = match self.first {
            true => Position::Ended,
            false => Position::BeforeMember,
        };
        let (crc, length) = (u32::from_le_bytes(self.take()?), u32::from_le_bytes(self.take()?));
        let found = std::mem::replace(&mut self.crc, CRC32.digest()).finalize();
        match (crc, length) == (found, self.length) {
            true => Ok(()),
            false => Err(bad("it fails its CRC")),
        }
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.position != Position::Inside {
                if self.position == Position::Ended || self.input.fill_buf()?.is_empty() || buffer.is_empty() {
                    return Ok(0);
                }
                self.header()?;
            }
            let input = self.input.fill_buf()?;
            let dry = input.is_empty();
            let result = inflate(&mut self.state, input, buffer, MZFlush::None);
            self.input.consume(result.bytes_consumed);
            let got = result.bytes_written;
            self.crc.update(&buffer[..got]);
            self.length = self.length.wrapping_add(got as u32);
            match result.status {
                Ok(MZStatus::StreamEnd) => self.trailer()?,
                Ok(_) => (),
                Err(_) if dry => return Err(bad("it is cut off")),
                Err(miniz_oxide::MZError::Buf) => (),
                Err(_) => return Err(bad("its data makes no sense")),
            }
            if got > 0 {
                return Ok(got);
            }
            if dry && self.position == Position::Inside {
                return Err(bad("it is cut off"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn member(content: &[u8]) -> Vec<u8> {
        let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        packed.extend(miniz_oxide::deflate::compress_to_vec(content, 6));
        packed.extend(CRC32.checksum(content).to_le_bytes());
        packed.extend((content.len() as u32).to_le_bytes());
        packed
    }

    fn read(mut gzip: Gzip<&[u8]>) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        gzip.read_to_end(&mut content).map(|_| content)
    }

    #[test]
    fn what_follows_the_first_member_is_its_readers_choice() {
        let two = [member(b"one"), member(b"two")].concat();
        assert_eq!(read(Gzip::new(&two)).unwrap(), b"onetwo");
        assert_eq!(read(Gzip::first(&two)).unwrap(), b"one");
        let more = [&member(b"one")[..], b"a signature"].concat();
        assert!(read(Gzip::new(&more)).is_err());
        assert_eq!(read(Gzip::first(&more)).unwrap(), b"one");
    }

    #[test]
    fn a_header_with_a_checksum_of_its_own_is_held_against_it() {
        let plain = member(b"one");
        let mut head = plain[..10].to_vec();
        head[3] = FHCRC | FEXTRA | FNAME | FCOMMENT;
        head.extend(b"\x02\0ab" as &[u8]);
        head.extend(b"name\0comment\0" as &[u8]);
        let crc = CRC32.checksum(&head) as u16;
        for (crc, whole) in [(crc, true), (crc ^ 1, false)] {
            let member = [&head[..], &crc.to_le_bytes(), &plain[10..]].concat();
            assert_eq!(read(Gzip::new(&member)).is_ok(), whole);
        }
    }

    #[test]
    fn a_cut_or_a_flipped_bit_is_noticed_by_both() {
        let whole = member(&[7; 10_000]);
        for end in 1..whole.len() {
            assert!(read(Gzip::new(&whole[..end])).is_err(), "{end}");
            assert!(read(Gzip::first(&whole[..end])).is_err(), "{end}");
        }
        let mut flipped = whole.clone();
        let crc = whole.len() - 8;
        flipped[crc] ^= 1;
        assert!(read(Gzip::first(&flipped)).is_err());
    }
}
