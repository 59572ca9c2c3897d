//! The first bytes of what is packed, decoded with a small window: how far back a decoder may have to look is bounded by what
//! came out before, so that for the beginning the header's own window is not needed.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::units::Fields;
use crate::bytes::packed::codec::{Codec, xz_window_at};
use crate::bytes::packed::members::{Members, past_padding};
use crate::bytes::packed::{Handle, fill};
use crate::bytes::store::Stream;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{self, Cursor, Read};
use std::ops::Range;

/// The window, in bytes. More than is ever looked at, and as long as a block of zstd's.
const WINDOW: u32 = 128 << 10;

/// Fills the buffer as far as what the first member holds can be decoded, and answers how far that is.
pub(super) fn peek(store: Handle<'_>, range: &Range<u64>, codec: Codec, buffer: &mut [u8]) -> io::Result<usize> {
    let at = past_padding(&store, range.clone(), codec)?;
    let mut head = vec![0; 64.min(range.end - at) as usize];
    store.read_exact_at(at, &mut head)?;
    let rest = |used: usize| Stream::new(store.clone(), at + used as u64..range.end);
    // What cannot be decoded is none of the kinds that are looked for.
    let decoded =
        |mut decoder: Box<dyn Read + '_>, buffer: &mut [u8]| fill(decoder.as_mut(), buffer).unwrap_or_default();
    Ok(match codec {
        Codec::Gzip | Codec::Bzip2 => decoded(Box::new(Members::first(store.clone(), range.clone(), codec)), buffer),
        Codec::Lzma => {
            let length = Fields(&head).le64(5).unwrap_or_default();
            match LzmaReader::new_with_props(rest(13), length, head[0], WINDOW, None) {
                Ok(decoder) => decoded(Box::new(decoder), buffer),
                Err(_) => 0,
            }
        }
        Codec::Xz => match small_xz(head) {
            Some(head) => {
                let length = head.len();
                let input = Cursor::new(head).chain(rest(length));
                decoded(Box::new(XzReader::new(input, false)), buffer)
            }
            None => 0,
        },
        Codec::Zstd => match small_zstd(&head) {
            Some((head, used)) => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(WINDOW.into());
                match StreamingDecoder::new_with_decoder(Cursor::new(head).chain(rest(used)), decoder) {
                    Ok(decoder) => decoded(Box::new(decoder), buffer),
                    Err(_) => 0,
                }
            }
            None => 0,
        },
    })
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
