//! The compression formats: how each is recognised, what memory its header asks for, and its decoder.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::base::units::{Fields, Grouped};
use crate::bytes::packed::bzip2::Bzip2;
use crate::bytes::packed::gzip::Gzip;
use crate::bytes::packed::{Cursor, Decoder, WINDOW, read_ahead};
use crate::bytes::store::Store;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read};

/// With what an image is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// The older `.lzma`, also called lzma-alone.
    Lzma,
}

/// What decoders keep beside their window, in bytes: tables, input, a block of zstd.
const TABLES: u64 = 512 << 10;

impl Codec {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Codec::Gzip => "gzip",
            Codec::Xz => "xz",
            Codec::Zstd => "zstd",
            Codec::Bzip2 => "bzip2",
            Codec::Lzma => "lzma",
        }
    }

    /// Recognises it by the first bytes.
    pub fn recognise(head: &[u8]) -> Option<Codec> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Codec::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Codec::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Codec::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(Codec::Bzip2),
            _ => is_lzma(head).then_some(Codec::Lzma),
        }
    }

    /// Bytes of memory that decoding takes, ahead of who reads.
    ///
    /// # Errors
    /// `InvalidData` for a header that makes no sense or asks for more than [`WINDOW`].
    pub(super) fn memory(self, store: &Store, packed: u64) -> io::Result<u64> {
        let mut head = [0; 64];
        let take = head.len().min(packed as usize);
        store.read_exact_at(0, &mut head[..take])?;
        let window = match self {
            Codec::Gzip => Some(32 << 10),
            // A block, four bytes a byte.
            Codec::Bzip2 => Some(u64::from(head[3].saturating_sub(b'0')) * 400_000),
            Codec::Lzma => Fields(&head).le32(1).map(u64::from),
            Codec::Xz => xz_window(&head),
            Codec::Zstd => zstd_window(&head),
        };
        let name = self.as_str();
        match window {
            None => Err(bad(format_args!("the {name} is damaged: its header makes no sense"))),
            Some(window) if window > WINDOW => Err(bad(format_args!(
                "unpacking the {name} takes a window of {} bytes of RAM, and {} are the most that is given: pack it \
                 again, for example with xz -6, zstd -19 or gzip",
                Grouped(window),
                Grouped(WINDOW)
            ))),
            Some(window) => Ok(window + TABLES + read_ahead::MEMORY),
        }
    }

    /// What bytes are that are packed with it and cannot be unpacked.
    pub fn format(self) -> Format {
        match self {
            Codec::Gzip => Format::Gzip,
            Codec::Bzip2 => Format::Bzip2,
            Codec::Xz => Format::Xz,
            Codec::Lzma => Format::Lzma,
            Codec::Zstd => Format::Zstd,
        }
    }

    /// A decoder at the beginning.
    pub(super) fn decoder(self, cursor: Cursor) -> io::Result<Decoder> {
        // The crates count in KiB and add their own overhead.
        const LIMIT: u32 = ((WINDOW + TABLES) >> 10) as u32;
        Ok(match self {
            Codec::Gzip => Box::new(Gzip::new(cursor)),
            Codec::Xz => Box::new(XzReader::new_mem_limit(BufReader::new(cursor), true, LIMIT)),
            Codec::Bzip2 => Box::new(Bzip2::new(cursor)),
            Codec::Lzma => Box::new(Whole {
                decoder: LzmaReader::new_mem_limit(BufReader::new(cursor), LIMIT, None)?,
                input: |decoder| decoder.inner_mut(),
            }),
            Codec::Zstd => Box::new(Zstd::new(cursor)?),
        })
    }
}

/// There is no magic: properties, a window of 2^n or 3 × 2^n, a length that is unknown or sane, and the first byte of
/// every range coder, which is zero.
fn is_lzma(head: &[u8]) -> bool {
    let (Some(window), Some(length)) = (Fields(head).le32(1), Fields(head).le64(5)) else {
        return false;
    };
    let odd = window >> window.trailing_zeros().min(31);
    head[0] < 225
        && window >= 4096
        && (odd == 1 || odd == 3)
        && (length == u64::MAX || (1..1 << 38).contains(&length))
        && head.get(13) == Some(&0)
}

/// The window of the first block's LZMA2 filter (xz file format, 3.1 and 5.3.1). Later blocks are held to the limit by
/// the decoder.
fn xz_window(head: &[u8]) -> Option<u64> {
    let flags = *head.get(13)?;
    let mut at = 14;
    let skip = |at: &mut usize| -> Option<()> {
        while head.get(*at)? & 0x80 != 0 {
            *at += 1;
        }
        *at += 1;
        Some(())
    };
    // An empty file has no block.
    if *head.get(12)? == 0 {
        return Some(0);
    }
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            skip(&mut at)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (id, size) = (*head.get(at)?, usize::from(*head.get(at + 1)?));
        if id == 0x21 {
            let bits = *head.get(at + 2)?;
            return match bits {
                40 => Some(u64::from(u32::MAX)),
                0..40 => Some((2 | u64::from(bits & 1)) << (bits / 2 + 11)),
                _ => None,
            };
        }
        at += 2 + size;
    }
    None
}

/// Zstandard format (RFC 8878, 3.1.1.1).
fn zstd_window(head: &[u8]) -> Option<u64> {
    let descriptor = *head.get(4)?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *head.get(5)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    match descriptor >> 6 {
        0 => Some(u64::from(*head.get(at)?)),
        1 => Some(u64::from(Fields(head).le16(at)?) + 256),
        2 => Some(Fields(head).le32(at)?.into()),
        _ => Fields(head).le64(at),
    }
}

/// A decoder behind whose end nothing may follow.
struct Whole<D> {
    decoder: D,
    input: fn(&mut D) -> &mut BufReader<Cursor>,
}

impl<D: Read> Read for Whole<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.decoder.read(buffer)?;
        match got == 0 && !buffer.is_empty() && !(self.input)(&mut self.decoder).fill_buf()?.is_empty() {
            true => Err(bad("something follows behind its end")),
            false => Ok(got),
        }
    }
}

/// Frames one behind the other, each with its checksum held against its content.
struct Zstd {
    frame: Option<StreamingDecoder<BufReader<Cursor>, FrameDecoder>>,
}

impl Zstd {
    fn new(cursor: Cursor) -> io::Result<Zstd> {
        Ok(Zstd {
            frame: Some(Zstd::frame(BufReader::new(cursor), FrameDecoder::new())?),
        })
    }

    fn frame(
        input: BufReader<Cursor>,
        mut decoder: FrameDecoder,
    ) -> io::Result<StreamingDecoder<BufReader<Cursor>, FrameDecoder>> {
        decoder.set_max_window_size(WINDOW);
        StreamingDecoder::new_with_decoder(input, decoder).map_err(|_| bad("a frame's header makes no sense"))
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(frame) = &mut self.frame else {
                return Ok(0);
            };
            let got = frame.read(buffer).map_err(|_| bad("a block makes no sense"))?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            let listed = frame.decoder.get_checksum_from_data();
            if listed.is_some() && listed != frame.decoder.get_calculated_checksum() {
                return Err(bad("a frame fails its checksum"));
            }
            let Some(frame) = self.frame.take() else {
                return Ok(0);
            };
            let (mut input, decoder) = frame.into_parts();
            if !input.fill_buf()?.is_empty() {
                self.frame = Some(Zstd::frame(input, decoder)?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_is_not_taken_for_lzma() {
        for head in [
            &[0; 64][..],
            &[0xff; 64],
            b"\x5d\0\0\x80\0short",
            &[0x27, 5, 0x19, 0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(Codec::recognise(head), None);
        }
        let mut head = [
            0x5d, 0, 0, 0x80, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1,
        ];
        assert_eq!(Codec::recognise(&head), Some(Codec::Lzma));
        head[4] = 0x11;
        assert_eq!(Codec::recognise(&head), None);
    }
}
