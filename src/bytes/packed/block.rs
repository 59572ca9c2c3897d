//! Single blocks that a file system packs each by itself.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::bytes::packed::codec::LIMIT;
use crate::bytes::packed::{WINDOW, fill};
use lzma_rust2::XzReader;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{self, Read};

/// Unpacks one block, which is at most `most` bytes long, by SquashFS's number of the packing (`ZLIB_COMPRESSION` and so on
/// in `fs/squashfs/squashfs_fs.h`). `None` for a packing that is not known here.
///
/// # Errors
/// `InvalidData` for one that is damaged.
pub fn unpack_block(packing: u16, bytes: &[u8], most: usize) -> io::Result<Option<Vec<u8>>> {
    let damaged = |_| bad("a block of the squashfs's tables is damaged");
    let mut content = vec![0; most];
    let length = match packing {
        1 => decompress_slice_iter_to_slice(&mut content, std::iter::once(bytes), true, false)
            .map_err(|_| bad("a block of the squashfs's tables is damaged"))?,
        4 => {
            let mut decoder = XzReader::new_mem_limit(bytes, false, LIMIT);
            whole(&mut decoder, &mut content).map_err(damaged)?
        }
        6 => {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(WINDOW);
            let decoder = StreamingDecoder::new_with_decoder(bytes, decoder);
            let mut decoder = decoder.map_err(|_| bad("a block of the squashfs's tables is damaged"))?;
            whole(&mut decoder, &mut content).map_err(damaged)?
        }
        _ => return Ok(None),
    };
    content.truncate(length);
    Ok(Some(content))
}

/// All that comes out, which is no more than the buffer.
fn whole(decoder: &mut dyn Read, content: &mut [u8]) -> io::Result<usize> {
    let length = fill(decoder, content)?;
    match fill(decoder, &mut [0])? {
        0 => Ok(length),
        _ => Err(bad("it is too long")),
    }
}
