//! Packs as gzip (RFC 1952, RFC 1951): pieces of 32 KiB, each by itself, with the fixed codes. Half the size of text, in a
//! fraction of the code that the best packing takes, which a device binary would have to carry.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use std::io::{self, Write};

/// Bytes of a piece: no more than the window of the format, nor than a stored block has.
const PIECE: usize = 32 << 10;
/// The shortest and the longest repetition.
const SHORTEST: usize = 3;
const LONGEST: usize = 258;
/// Entries of the table of places where three bytes were seen last.
const SEEN: usize = 1 << 12;
/// Magic, deflate, no flags, no time, no level, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Packs what is written to it into `out`.
pub struct GzipWriter<'a> {
    out: &'a mut dyn Write,
    piece: Vec<u8>,
    bits: Bits,
    crc: crc::Digest<'static, u32>,
    length: u32,
}

impl<'a> GzipWriter<'a> {
    /// Begins a member.
    ///
    /// # Errors
    /// Those of writing.
    pub fn new(out: &'a mut dyn Write) -> io::Result<GzipWriter<'a>> {
        out.write_all(&HEADER)?;
        Ok(GzipWriter {
            out,
            piece: Vec::with_capacity(PIECE),
            bits: Bits::default(),
            crc: CRC32.digest(),
            length: 0,
        })
    }

    /// Ends it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush_piece(true)?;
        self.out.write_all(&self.crc.finalize().to_le_bytes())?;
        self.out.write_all(&self.length.to_le_bytes())
    }

    fn flush_piece(&mut self, last: bool) -> io::Result<()> {
        self.crc.update(&self.piece);
        self.length = self.length.wrapping_add(self.piece.len() as u32);
        block(&self.piece, last, &mut self.bits);
        if last {
            self.bits.align();
        }
        self.piece.clear();
        self.out.write_all(&self.bits.bytes)?;
        self.bits.bytes.clear();
        Ok(())
    }
}

impl Write for GzipWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..take]);
        if self.piece.len() == PIECE {
            self.flush_piece(false)?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bits, the lowest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.held |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        self.put(0, (8 - self.count) % 8);
    }

    /// A code, whose highest bit comes first.
    fn code(&mut self, value: u32, count: u32) {
        self.put(value.reverse_bits() >> (32 - count), count);
    }

    /// A literal byte, a length or the end, in the fixed code (RFC 1951, 3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// Lengths and distances have codes in steps that double: which one, and the bits behind it. `group` is how many codes share a
    /// step, as a power of two.
    fn stepped(value: u32, group: u32) -> (u32, u32, u32) {
        let bits = (32 - value.leading_zeros()).saturating_sub(group + 1);
        ((bits << group) + (value >> bits), value & ((1 << bits) - 1), bits)
    }

    fn repetition(&mut self, length: usize, distance: usize) {
        match length {
            LONGEST => self.symbol(285),
            _ => {
                let (code, rest, bits) = Bits::stepped((length - SHORTEST) as u32, 2);
                self.symbol(257 + code);
                self.put(rest, bits);
            }
        }
        let (code, rest, bits) = Bits::stepped(distance as u32 - 1, 1);
        self.code(code, 5);
        self.put(rest, bits);
    }
}

/// A block with the fixed codes.
fn block(piece: &[u8], last: bool, bits: &mut Bits) {
    bits.put(u32::from(last), 1);
    bits.put(1, 2);
    let mut seen = [u16::MAX; SEEN];
    let mut at = 0;
    while at < piece.len() {
        let mut length = 0;
        let mut from = 0;
        if let [a, b, c, ..] = piece[at..] {
            let hash = (u32::from(a) << 16 | u32::from(b) << 8 | u32::from(c)).wrapping_mul(0x9e37_79b1) >> 20;
            let entry = &mut seen[hash as usize];
            from = usize::from(*entry);
            *entry = at as u16;
            if from < at {
                let same = piece[from..].iter().zip(&piece[at..]).take(LONGEST);
                length = same.take_while(|(one, other)| one == other).count();
            }
        }
        if length >= SHORTEST {
            bits.repetition(length, at - from);
            at += length;
        } else {
            bits.symbol(piece[at].into());
            at += 1;
        }
    }
    bits.symbol(256);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::packed::gzip::Gzip;
    use std::io::Read;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = GzipWriter::new(&mut out).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        out
    }

    /// Every length and every distance of the format, and bytes that do not repeat.
    #[test]
    fn what_is_packed_is_unpacked() {
        let mut state = 1_u32;
        let mut noise = |length: usize| -> Vec<u8> {
            let byte = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..length).map(byte).collect()
        };
        let text = b"config interface 'lan'\n\toption proto 'static'\n".repeat(2000);
        let mut cases = vec![Vec::new(), b"a".to_vec(), vec![0; 100_000], text, noise(100_000)];
        for length in 3..=258 {
            let word = noise(length);
            let between = noise(length * 113 % 30_000);
            cases.push([&word[..], &between, &word, &[word[0] ^ 1]].concat());
        }
        for bytes in cases {
            let mut back = Vec::new();
            Gzip::new(&packed(&bytes)[..]).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn settings_become_much_shorter() {
        let text = include_bytes!("../../docs/keep.md");
        assert!(packed(text).len() * 10 < text.len() * 7, "{}", packed(text).len());
    }
}
