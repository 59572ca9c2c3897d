//! bzip2: blocks of up to 900,000 bytes, each Burrows-Wheeler transformed, Huffman coded, and under a CRC-32 of its own;
//! and another CRC over those of a stream. Streams stand one behind the other.
//!
//! Written for size: the crates that there are bring the encoder's tables and several speeds of decoder with them, and
//! weigh more than the rest of the containers' code together. (The format: `bzip2-format` by Joe Tsai.)

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::bytes::packed::Cursor;
use std::io::{self, BufRead, BufReader, Read};

/// The longest code, in bits.
const LONGEST: usize = 20;
/// Symbols between two choices of the table.
const GROUP: usize = 50;
const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
/// bzip2's CRC-32 goes through each byte from the other end than zlib's.
static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_BZIP2);

/// A canonical Huffman code: symbols by the length of their code.
#[derive(Default)]
struct Table {
    /// How many codes there are of each length.
    counts: [u16; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Table {
    fn new(lengths: &[u8]) -> Table {
        let mut table = Table::default();
        for length in 1..=LONGEST {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| usize::from(**l) == length) {
                table.counts[length] += 1;
                table.symbols.push(symbol as u16);
            }
        }
        table
    }
}

pub(super) struct Bzip2<'s> {
    input: BufReader<Cursor<'s>>,
    /// Whether its stream has ended.
    ended: bool,
    bits: u64,
    have: u32,
    /// The largest block of this stream, in bytes; 0 before its head.
    limit: usize,
    stream_crc: u32,
    block_crc: u32,
    crc: crc::Digest<'static, u32>,
    /// Low byte: the byte; above: where the next one is.
    block: Vec<u32>,
    at: u32,
    left: usize,
    /// Four equal bytes are followed by how often the byte comes again.
    run: u8,
    last: Option<u8>,
    again: u32,
}

impl<'s> Bzip2<'s> {
    /// The first stream; what follows it is left alone.
    pub fn new(cursor: Cursor<'s>) -> Bzip2<'s> {
        Bzip2 {
            input: BufReader::new(cursor),
            ended: false,
            bits: 0,
            have: 0,
            limit: 0,
            stream_crc: 0,
            block_crc: 0,
            crc: CRC.digest(),
            block: Vec::new(),
            at: 0,
            left: 0,
            run: 0,
            last: None,
            again: 0,
        }
    }

    /// Where it reads from.
    pub fn input(&self) -> &BufReader<Cursor<'s>> {
        &self.input
    }

    /// The next bits, at most 32, the first of them highest.
    fn take(&mut self, count: u32) -> io::Result<u32> {
        while self.have < count {
            let byte = *self.input.fill_buf()?.first().ok_or_else(|| bad("it is cut off"))?;
            self.input.consume(1);
            self.bits = self.bits << 8 | u64::from(byte);
            self.have += 8;
        }
        self.have -= count;
        Ok((self.bits >> self.have & ((1 << count) - 1)) as u32)
    }

    fn bit(&mut self) -> io::Result<bool> {
        Ok(self.take(1)? == 1)
    }

    fn symbol(&mut self, table: &Table) -> io::Result<usize> {
        let (mut code, mut first, mut index) = (0usize, 0usize, 0usize);
        for count in &table.counts[1..] {
            code |= self.take(1)? as usize;
            let count = usize::from(*count);
            if code < first + count {
                let symbol = table.symbols.get(index + code - first).ok_or_else(nonsense)?;
                return Ok(usize::from(*symbol));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(nonsense())
    }

    /// Goes on to the next block; false at the end of the stream.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.limit == 0 {
            let head = self.take(32)?.to_be_bytes();
            match head {
                [b'B', b'Z', b'h', level @ b'1'..=b'9'] => self.limit = usize::from(level - b'0') * 100_000,
                _ => return Err(nonsense()),
            }
        }
        let magic = u64::from(self.take(24)?) << 24 | u64::from(self.take(24)?);
        let crc = self.take(32)?;
        match magic {
            BLOCK => {
                self.block_crc = crc;
                self.stream_crc = self.stream_crc.rotate_left(1) ^ crc;
                self.decode()?;
                Ok(true)
            }
            END if crc == self.stream_crc => {
                self.ended = true;
                Ok(false)
            }
            END => Err(bad("it fails its CRC")),
            _ => Err(nonsense()),
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        // Blocks made random are from before bzip2 0.9.5 of 1999.
        if self.bit()? {
            return Err(nonsense());
        }
        let origin = self.take(24)? as usize;
        // Which bytes occur: sixteen groups of sixteen.
        let groups = self.take(16)?;
        let mut bytes = Vec::with_capacity(256);
        for group in (0..16u8).filter(|group| groups & 0x8000 >> group != 0) {
            let members = self.take(16)?;
            bytes.extend(
                (0..16u8)
                    .filter(|member| members & 0x8000 >> member != 0)
                    .map(|member| group * 16 + member),
            );
        }
        let tables = self.take(3)? as usize;
        let count = self.take(15)? as usize;
        if bytes.is_empty() || !(2..=6).contains(&tables) || count == 0 {
            return Err(nonsense());
        }
        let mut order = [0u8, 1, 2, 3, 4, 5];
        let mut selectors = Vec::with_capacity(count);
        for _ in 0..count {
            let mut place = 0;
            while self.bit()? {
                place += 1;
                if place == tables {
                    return Err(nonsense());
                }
            }
            order[..=place].rotate_right(1);
            selectors.push(order[0]);
        }
        let end = bytes.len() + 1;
        let mut codes = Vec::with_capacity(tables);
        for _ in 0..tables {
            let mut lengths = [0u8; 258];
            let mut length = self.take(5)?;
            for slot in &mut lengths[..=end] {
                loop {
                    if !(1..=LONGEST as u32).contains(&length) {
                        return Err(nonsense());
                    }
                    if !self.bit()? {
                        break;
                    }
                    length = if self.bit()? { length - 1 } else { length + 1 };
                }
                *slot = length as u8;
            }
            codes.push(Table::new(&lengths[..=end]));
        }
        self.symbols(&mut bytes, &selectors, &codes)?;
        self.invert(origin)
    }

    /// Undoes Huffman, the runs of the most recent byte, and move-to-front.
    fn symbols(&mut self, bytes: &mut [u8], selectors: &[u8], codes: &[Table]) -> io::Result<()> {
        let end = bytes.len() + 1;
        self.block.clear();
        self.block.reserve_exact(self.limit);
        let (mut repeat, mut weight) = (0usize, 1usize);
        for selector in selectors {
            let table = codes.get(usize::from(*selector)).ok_or_else(nonsense)?;
            for _ in 0..GROUP {
                let symbol = self.symbol(table)?;
                if symbol < 2 {
                    // Digits of value 1 and 2, the lowest first.
                    repeat += weight << symbol;
                    weight <<= 1;
                    if repeat > self.limit {
                        return Err(nonsense());
                    }
                    continue;
                }
                if self.block.len() + repeat + usize::from(symbol != end) > self.limit {
                    return Err(nonsense());
                }
                let byte = u32::from(bytes[0]);
                self.block.resize(self.block.len() + repeat, byte);
                (repeat, weight) = (0, 1);
                if symbol == end {
                    return Ok(());
                }
                bytes.get_mut(..symbol).ok_or_else(nonsense)?.rotate_right(1);
                self.block.push(bytes[0].into());
            }
        }
        Err(nonsense())
    }

    /// Undoes Burrows and Wheeler: links each byte to the one that follows it.
    fn invert(&mut self, origin: usize) -> io::Result<()> {
        let mut starts = [0u32; 256];
        for entry in &self.block {
            starts[(*entry & 0xff) as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for at in 0..self.block.len() {
            let byte = (self.block[at] & 0xff) as usize;
            let to = starts[byte] as usize;
            starts[byte] += 1;
            self.block[to] |= (at as u32) << 8;
        }
        self.at = self.block.get(origin).ok_or_else(nonsense)? >> 8;
        self.left = self.block.len();
        self.run = 0;
        self.last = None;
        self.crc = CRC.digest();
        Ok(())
    }

    /// The next byte of the block, with its runs undone.
    fn byte(&mut self) -> Option<u8> {
        if self.again > 0 {
            self.again -= 1;
            return self.last;
        }
        loop {
            self.left = self.left.checked_sub(1)?;
            let entry = self.block[self.at as usize];
            self.at = entry >> 8;
            let byte = entry as u8;
            if self.run == 4 {
                self.run = 0;
                let last = self.last.take();
                if byte > 0 {
                    self.again = u32::from(byte) - 1;
                    self.last = last;
                    return last;
                }
                continue;
            }
            self.run = if self.last == Some(byte) { self.run + 1 } else { 1 };
            self.last = Some(byte);
            return Some(byte);
        }
    }
}

fn nonsense() -> io::Error {
    bad("its data makes no sense")
}

impl Read for Bzip2<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            match self.byte() {
                Some(byte) => {
                    buffer[got] = byte;
                    got += 1;
                }
                None if got > 0 => break,
                None => {
                    let crc = std::mem::replace(&mut self.crc, CRC.digest()).finalize();
                    if !self.block.is_empty() && crc != self.block_crc {
                        return Err(bad("it fails its CRC"));
                    }
                    self.block.clear();
                    if !self.next_block()? {
                        return Ok(0);
                    }
                }
            }
        }
        self.crc.update(&buffer[..got]);
        Ok(got)
    }
}
