//! Single blocks that a file system packs each by itself.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::bytes::packed::codec::Codec;
use crate::bytes::packed::members::Members;
use crate::bytes::packed::{Handle, fill};
use crate::bytes::pull::Pull;
use crate::bytes::store::Store;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use std::io;

/// Unpacks one block, which is at most `most` bytes long, by SquashFS's number of the packing (`ZLIB_COMPRESSION` and so on
/// in `fs/squashfs/squashfs_fs.h`). `None` for a packing that is not known here.
///
/// # Errors
/// `InvalidData` for one that is damaged.
pub fn unpack_block(packing: u16, bytes: &[u8], most: usize) -> io::Result<Option<Vec<u8>>> {
    let damaged = || bad("a block of the squashfs's tables is damaged");
    let mut content = vec![0; most];
    let codec = match packing {
        1 => {
            let unpacked = decompress_slice_iter_to_slice(&mut content, std::iter::once(bytes), true, false);
            content.truncate(unpacked.map_err(|_| damaged())?);
            return Ok(Some(content));
        }
        4 => Codec::Xz,
        6 => Codec::Zstd,
        _ => return Ok(None),
    };
    let store = Store::Memory(bytes.to_vec());
    let mut decoder = Members::first(Handle::Lent(&store), 0..bytes.len() as u64, codec);
    let length = whole(&mut decoder, &mut content).map_err(|_| damaged())?;
    content.truncate(length);
    Ok(Some(content))
}

/// All that comes out, which is no more than the buffer.
fn whole(decoder: &mut dyn Pull, content: &mut [u8]) -> io::Result<usize> {
    let length = fill(decoder, content)?;
    match fill(decoder, &mut [0])? {
        0 => Ok(length),
        _ => Err(bad("it is too long")),
    }
}
