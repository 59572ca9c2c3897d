//! gzip (RFC 1952): members one behind the other, each with CRC-32 and length at its end.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::checksum::CRC32;
use crate::bytes::packed::Cursor;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};
use std::io::{self, BufRead, BufReader, Read};

static CRC: crc::Crc<u32> = CRC32;

/// Bits of the header's flags.
const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;

pub(super) struct Gzip {
    input: BufReader<Cursor>,
    state: Box<InflateState>,
    inside: bool,
    crc: crc::Digest<'static, u32>,
    length: u32,
}

impl Gzip {
    pub fn new(cursor: Cursor) -> Gzip {
        Gzip {
            input: BufReader::new(cursor),
            state: InflateState::new_boxed(DataFormat::Raw),
            inside: false,
            crc: CRC.digest(),
            length: 0,
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|_| bad("it is cut off"))?;
        Ok(bytes)
    }

    fn header(&mut self) -> io::Result<()> {
        let head: [u8; 10] = self.take()?;
        if head[..3] != [0x1f, 0x8b, 8] || head[3] & 0xe0 != 0 {
            return Err(bad("something follows behind its end"));
        }
        if head[3] & FEXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.take()?) {
                self.take::<1>()?;
            }
        }
        for text in [FNAME, FCOMMENT] {
            while head[3] & text != 0 && self.take::<1>()? != [0] {}
        }
        if head[3] & FHCRC != 0 {
            self.take::<2>()?;
        }
        self.state.reset(DataFormat::Raw);
        self.crc = CRC.digest();
        self.length = 0;
        self.inside = true;
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        self.inside = false;
        let (crc, length) = (u32::from_le_bytes(self.take()?), u32::from_le_bytes(self.take()?));
        let found = std::mem::replace(&mut self.crc, CRC.digest()).finalize();
        match (crc, length) == (found, self.length) {
            true => Ok(()),
            false => Err(bad("it fails its CRC")),
        }
    }
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.inside {
                if self.input.fill_buf()?.is_empty() || buffer.is_empty() {
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
            if dry && self.inside {
                return Err(bad("it is cut off"));
            }
        }
    }
}
