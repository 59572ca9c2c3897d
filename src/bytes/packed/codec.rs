//! The compression formats: how each is recognised, what memory its header asks for, and its decoder.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::base::units::{Fields, Grouped};
use crate::bytes::packed::members::{is_skippable, past_padding};
use crate::bytes::packed::{Handle, WINDOW, read_ahead};
use crate::bytes::store::Store;
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;

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
/// What the crates for xz and lzma are given. They count in KiB and add their own overhead.
pub(super) const LIMIT: u32 = ((WINDOW + TABLES) >> 10) as u32;

impl Codec {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.format().as_str()
    }

    /// Recognises it by the first bytes.
    pub fn recognise(head: &[u8]) -> Option<Codec> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Codec::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Codec::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Codec::Zstd),
            _ if is_skippable(head) => Some(Codec::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(Codec::Bzip2),
            // Of nothing.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Codec::Bzip2),
            _ => is_lzma(head).then_some(Codec::Lzma),
        }
    }

    /// The one with which the bytes in this range are packed; `None` for nothing that is known here.
    ///
    /// # Errors
    /// Those of reading.
    pub fn at(store: &Store, range: &Range<u64>) -> io::Result<Option<Codec>> {
        let mut head = [0; 16];
        Ok(Codec::recognise(store.front(range, &mut head)?))
    }

    /// Bytes of memory that decoding takes, ahead of who reads.
    ///
    /// # Errors
    /// `InvalidData` for a header that makes no sense or asks for more than [`WINDOW`].
    pub(super) fn memory(self, store: &Store, range: &Range<u64>) -> io::Result<u64> {
        let name = self.as_str();
        match self.window(store, range)? {
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

    /// Whether the window that the first member in this range wants may be had. A header that makes no sense is for the decoder.
    ///
    /// # Errors
    /// Those of reading.
    #[cfg(feature = "host")]
    pub fn is_affordable(self, store: &Store, range: &Range<u64>) -> io::Result<bool> {
        Ok(self.window(store, range)?.is_none_or(|window| window <= WINDOW))
    }

    /// Bytes of the window that the first member in this range wants; `None` for a header that makes no sense.
    pub(super) fn window(self, store: &Store, range: &Range<u64>) -> io::Result<Option<u64>> {
        let at = past_padding(&Handle::Lent(store), range.clone(), self)?;
        let mut head = [0; 64];
        store.front(&(at..range.end), &mut head)?;
        Ok(match self {
            Codec::Gzip => Some(32 << 10),
            // A block, four bytes a byte.
            Codec::Bzip2 => Some(u64::from(head[3].saturating_sub(b'0')) * 400_000),
            Codec::Lzma => Fields(&head).le32(1).map(u64::from),
            Codec::Xz => xz_window(&head),
            Codec::Zstd => zstd_window(&head),
        })
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
    // An empty file has no block.
    if *head.get(12)? == 0 {
        return Some(0);
    }
    match *head.get(xz_window_at(head)?)? {
        40 => Some(u64::from(u32::MAX)),
        bits @ 0..40 => Some((2 | u64::from(bits & 1)) << (bits / 2 + 11)),
        _ => None,
    }
}

/// Where in the head of an xz file the window of its first block stands.
pub(super) fn xz_window_at(head: &[u8]) -> Option<usize> {
    let flags = *head.get(13)?;
    let mut at = 14;
    let skip = |at: &mut usize| -> Option<()> {
        while head.get(*at)? & 0x80 != 0 {
            *at += 1;
        }
        *at += 1;
        Some(())
    };
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            skip(&mut at)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (id, size) = (*head.get(at)?, usize::from(*head.get(at + 1)?));
        if id == 0x21 {
            return Some(at + 2);
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
