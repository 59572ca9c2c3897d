//! UBI images: each erase block begins with an erase counter header, and most have a volume header behind it
//! (`drivers/mtd/ubi/ubi-media.h`). Both have a CRC; the data of dynamic volumes has none.

#![forbid(unsafe_code)]

use super::content::{Content, ContentFormat, Role};
use super::fwtool::CRC;
use super::store::Store;
use crate::units::Fields;
use std::io;
use std::ops::Range;

const HEADER: usize = 64;
/// Erase blocks of real flash, in bytes.
const BLOCKS: Range<u32> = 12..24;

/// Whether a header with that magic is whole: its CRC is over all in front of it.
fn is_whole(header: &[u8; HEADER], magic: &[u8; 4]) -> bool {
    &header[..4] == magic && Fields(header).be32(60) == Some(CRC.checksum(&header[..60]))
}

/// Recognises an image that `ubinize` made, finds its erase block size, and checks every header.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut first = [0; HEADER];
    if !store.read_head(range, &mut first)? || &first[..4] != b"UBI#" {
        return Ok(None);
    }
    let room = range.end - range.start;
    let mut content = Content {
        length: room,
        ..Content::new(ContentFormat::Ubi, Role::Filesystem)
    };
    if !is_whole(&first, b"UBI#") {
        content.problem = Some("the first ubi header fails its CRC".into());
        return Ok(Some(content));
    }
    let volume_header = u64::from(Fields(&first).be32(16).unwrap_or_default());
    let mut header = [0; HEADER];
    // The spacing of the headers is the size of the erase blocks the image was made for.
    let mut size = None;
    for size_here in BLOCKS.map(|bits| 1u64 << bits) {
        let at = range.start + size_here;
        if store.read_head(&(at.min(range.end)..range.end), &mut header)? && is_whole(&header, b"UBI#") {
            size = Some(size_here);
            break;
        }
    }
    let size = size.unwrap_or(room);
    content.erase_size = u32::try_from(size).ok();
    content.title = format!("for erase blocks of {size} bytes");
    if !room.is_multiple_of(size) {
        content.problem = Some(format!("the ubi image is cut off in an erase block of {size} bytes"));
    }
    for block in 0..room / size {
        let at = range.start + block * size;
        let whole = store.read_head(&(at..range.end), &mut header)? && is_whole(&header, b"UBI#");
        let volume = at + volume_header;
        let volume_whole = volume_header < size
            && store.read_head(&(volume..range.end), &mut header)?
            && (is_whole(&header, b"UBI!") || header.iter().all(|byte| *byte == 0xff));
        if !whole || !volume_whole {
            content.problem = Some(format!(
                "an ubi header fails its CRC in the block at 0x{:x}",
                block * size
            ));
            break;
        }
    }
    Ok(Some(content))
}
