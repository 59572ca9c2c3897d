//! The first bytes of what is packed, decoded with a small window: how far back a decoder may have to look is bounded by what
//! came out before, so that for the beginning the header's own window is not needed.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::bytes::packed::codec::{Codec, xz_window_at};
use crate::bytes::packed::members::{Members, past_padding};
use crate::bytes::packed::{Handle, fill};
use crate::bytes::store::Store;
use std::io;
use std::ops::Range;

/// The window, in bytes. More than is ever looked at, and as long as a block of zstd's.
const WINDOW: u32 = 128 << 10;
/// Packed bytes that are read beyond as many as are wanted: the longest block that has to be there before any of it comes out, and
/// its head. No packing makes much more of what it packs.
const MOST: u64 = 256 << 10;

/// Fills the buffer as far as what the first member holds can be decoded, and answers how far that is.
pub(super) fn peek(store: Handle<'_>, range: &Range<u64>, codec: Codec, buffer: &mut [u8]) -> io::Result<usize> {
    let at = past_padding(&store, range.clone(), codec)?;
    let head = store.bytes(&(at..range.end.min(at + 64)))?;
    // With another header in front, in memory: the decoders of whole members read it by the same type, and are in the binary once.
    let again = |mut front: Vec<u8>, used: usize| {
        // A header may be cut off, or say that it is longer than all there is.
        let from = range.end.min(at + used as u64);
        let length = (range.end - from).min(buffer.len() as u64 + MOST);
        let filled = front.len();
        front.resize(filled + length as usize, 0);
        store.read_exact_at(from, &mut front[filled..])?;
        Ok::<_, io::Error>(Store::Memory(front))
    };
    let made = match codec {
        Codec::Gzip | Codec::Bzip2 => {
            let mut members = Members::first(store.clone(), range.clone(), codec);
            return Ok(fill(&mut members, buffer).unwrap_or_default());
        }
        Codec::Lzma => again(small_lzma(&head), head.len().min(13))?,
        Codec::Xz => match small_xz(head) {
            Some(head) => {
                let used = head.len();
                again(head, used)?
            }
            None => return Ok(0),
        },
        Codec::Zstd => match small_zstd(&head) {
            Some((head, used)) => again(head, used)?,
            None => return Ok(0),
        },
    };
    // What cannot be decoded is none of the kinds that are looked for.
    let length = made.len();
    let mut members = Members::first(Handle::Lent(&made), 0..length, codec);
    Ok(fill(&mut members, buffer).unwrap_or_default())
}

/// The header of the older lzma with the small window: properties, window, length.
fn small_lzma(head: &[u8]) -> Vec<u8> {
    let mut head = head[..head.len().min(13)].to_vec();
    if let Some(window) = head.get_mut(1..5) {
        let asked = window.first_chunk().map_or(WINDOW, |bytes| u32::from_le_bytes(*bytes));
        window.copy_from_slice(&asked.min(WINDOW).to_le_bytes());
    }
    head
}

/// The head of an xz file with the small window in the header of its first block, whose CRC is its last four bytes.
fn small_xz(mut head: Vec<u8>) -> Option<Vec<u8>> {
    // 2^17 bytes.
    const BITS: u8 = 12;
    let window = xz_window_at(&head)?;
    let end = 12 + (usize::from(*head.get(12)?) + 1) * 4;
    let slot = head.get_mut(window)?;
    *slot = BITS.min(*slot);
    let crc = CRC32.checksum(head.get(12..end.checked_sub(4)?)?);
    head.get_mut(end - 4..end)?.copy_from_slice(&crc.to_le_bytes());
    Some(head)
}

/// A header of a zstd frame with the small window and no length, and how long the one was that it stands for.
fn small_zstd(head: &[u8]) -> Option<(Vec<u8>, usize)> {
    // 2^17 bytes.
    const BITS: u8 = 7 << 3;
    let descriptor = *head.get(4)?;
    let single_segment = descriptor & 0x20 != 0;
    let identifier = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = match descriptor >> 6 {
        0 => usize::from(single_segment),
        other => 1 << other,
    };
    let at = 5 + usize::from(!single_segment);
    let mut small = head.get(..4)?.to_vec();
    // Only whether there is a checksum, and how long the dictionary's number is.
    small.push(descriptor & 0x07);
    small.push(BITS);
    small.extend(head.get(at..at + identifier)?);
    Some((small, at + identifier + length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_a_file_that_ends_within_its_header_nothing_comes_out() {
        // A zstd frame whose descriptor announces four bytes of dictionary and eight of length, and xz and lzma of a few bytes.
        let heads: [(Codec, &[u8]); 3] = [
            (Codec::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0xc3, 0, 0, 0, 0, 0]),
            (Codec::Xz, b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01"),
            (Codec::Lzma, &[0x5d, 0, 0, 0x80]),
        ];
        for (codec, head) in heads {
            for length in 0..=head.len() {
                let store = Store::Memory(head[..length].to_vec());
                let made = peek(Handle::Lent(&store), &(0..length as u64), codec, &mut [0; 16]);
                assert_eq!(made.unwrap_or_default(), 0, "{codec:?} of {length} bytes");
            }
        }
    }
}
