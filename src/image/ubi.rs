//! UBI images: each erase block begins with an erase counter header, and most have a volume header behind it
//! (`drivers/mtd/ubi/ubi-media.h`). Both have a CRC; the data of dynamic volumes has none.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::fwtool::CRC;
use crate::image::ubi_volumes::Volumes;
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;

/// Bytes of either header (`UBI_EC_HDR_SIZE`, `UBI_VID_HDR_SIZE`).
pub const HEADER: usize = 64;
/// The highest erase counter that UBI believes (`UBI_MAX_ERASECOUNTER`).
pub const MOST_ERASES: u64 = 0x7fff_ffff;
/// Erase blocks of real flash: the power of two of their bytes.
const BLOCKS: Range<u32> = 12..24;
/// Erase blocks beside those of volumes: two of the volume table, and one each for wear levelling and for atomic changes
/// (`UBI_LAYOUT_VOLUME_EBS`, `WL_RESERVED_PEBS`, `EBA_RESERVED_PEBS` in `drivers/mtd/ubi/ubi.h`).
const OVERHEAD: u64 = 4;

/// What all erase blocks of an UBI have in common; with the erase counter it makes an erase counter header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Where in an erase block the volume header is, in bytes.
    pub volume_header: u32,
    /// Where the data begins, in bytes.
    pub data: u32,
    /// The number that tells the blocks of one image from leftovers of another (`image_seq`).
    pub image_seq: u32,
    /// Good erase blocks without which UBI does not attach: those of all volumes and its own.
    pub needed: u64,
}

impl Layout {
    /// The header of an erase block that was erased so many times (`struct ubi_ec_hdr`; big-endian).
    pub fn header(&self, erased: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..5].copy_from_slice(b"UBI#\x01");
        header[8..16].copy_from_slice(&erased.to_be_bytes());
        header[16..20].copy_from_slice(&self.volume_header.to_be_bytes());
        header[20..24].copy_from_slice(&self.data.to_be_bytes());
        header[24..28].copy_from_slice(&self.image_seq.to_be_bytes());
        let crc = CRC.checksum(&header[..60]);
        header[60..].copy_from_slice(&crc.to_be_bytes());
        header
    }
}

/// Whether a header with that magic is whole, and of the one version that there is: its CRC is over all in front of it.
fn is_whole(header: &[u8], magic: &[u8; 4]) -> bool {
    header.starts_with(magic)
        && header.get(4) == Some(&1)
        && Fields(header).be32(60) == header.get(..60).map(|front| CRC.checksum(front))
}

/// How often an erase block was erased, as the header at its beginning says; `None` where no whole header is.
pub fn erase_counter(block: &[u8]) -> Option<u64> {
    let high = Fields(block).be32(8)?;
    let low = Fields(block).be32(12)?;
    let erased = u64::from(high) << 32 | u64::from(low);
    (is_whole(block, b"UBI#") && erased <= MOST_ERASES).then_some(erased)
}

/// Recognises an image that `ubinize` made, or a copy of an UBI that was in use; finds its erase block size, and checks
/// every header, the volume tables, and the data of static volumes.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut first = [0; HEADER];
    if !store.read_head(range, &mut first)? || &first[..4] != b"UBI#" {
        return Ok(None);
    }
    let room = range.end - range.start;
    let mut content = Content {
        length: room,
        ..Content::new(Format::Ubi, Role::Filesystem)
    };
    if !is_whole(&first, b"UBI#") {
        content.problem = Some("the first ubi header fails its CRC, or is of another version".into());
        return Ok(Some(content));
    }
    let field = |at| Fields(&first).be32(at).unwrap_or_default();
    let mut layout = Layout {
        volume_header: field(16),
        data: field(20),
        image_seq: field(24),
        needed: OVERHEAD,
    };
    let size = spacing(store, range)?.unwrap_or(room);
    content.erase_size = Some(size);
    content.title = format!("for erase blocks of {size} bytes");
    if !room.is_multiple_of(size) {
        content.problem = Some(format!("the ubi image is cut off in an erase block of {size} bytes"));
    }
    let data = u64::from(layout.data);
    if data >= size || u64::from(layout.volume_header) + HEADER as u64 > data {
        content.problem = Some("the ubi headers name places outside of their erase blocks".into());
        return Ok(Some(content));
    }
    let mut volumes = Volumes::new(size - data, room / size);
    let wrong = blocks(store, range, &layout, size, &mut volumes)?;
    content.problem = wrong.or(content.problem);
    layout.needed += volumes.reserved();
    if content.problem.is_none() {
        volumes.verdict(store, &mut content)?;
    }
    content.title.push_str(&volumes.names());
    content.ubi = Some(layout);
    Ok(Some(content))
}

/// The distance of the first two headers, which is the size of the erase blocks that the image was made for.
fn spacing(store: &Store, range: &Range<u64>) -> io::Result<Option<u64>> {
    let mut magic = [0; 4];
    for size in BLOCKS.map(|bits| 1u64 << bits) {
        let at = (range.start + size).min(range.end);
        if store.read_head(&(at..range.end), &mut magic)? && magic == *b"UBI#" {
            return Ok(Some(size));
        }
    }
    Ok(None)
}

/// Gives the block of each volume to these, up to the first whose headers are wrong, which is told: those at the beginning of the
/// image, this layout and size of an erase block are those of all.
fn blocks(
    store: &Store,
    range: &Range<u64>,
    layout: &Layout,
    size: u64,
    volumes: &mut Volumes,
) -> io::Result<Option<String>> {
    let mut header = [0; HEADER];
    for block in 0..(range.end - range.start) / size {
        let at = range.start + block * size;
        let whole = store.read_head(&(at..range.end), &mut header)?;
        // UBI in use has blocks that are blank altogether, and puts its header on them when it finds them.
        if whole && header == [0xff; HEADER] && is_blank(store, at + HEADER as u64..at + size)? {
            continue;
        }
        // Kernels before 2.6.31 left the number 0, and UBI takes that for any.
        let field = |at| Fields(&header).be32(at).unwrap_or_default();
        let same =
            [field(16), field(20)] == [layout.volume_header, layout.data] && [0, layout.image_seq].contains(&field(24));
        let whole = whole && is_whole(&header, b"UBI#") && same;
        let volume = at + u64::from(layout.volume_header);
        let blank = !store.read_head(&(volume..range.end), &mut header)? || header.iter().all(|byte| *byte == 0xff);
        if !whole || !blank && !is_whole(&header, b"UBI!") {
            return Ok(Some(format!(
                "an ubi header fails its CRC, or is of another ubi, in the block at 0x{:x}",
                block * size
            )));
        }
        if !blank && at + size <= range.end {
            volumes.block(store, &header, at + u64::from(layout.data)..at + size)?;
        }
    }
    Ok(None)
}

fn is_blank(store: &Store, range: Range<u64>) -> io::Result<bool> {
    let mut blank = true;
    store.scan(range, |chunk| blank &= chunk.iter().all(|byte| *byte == 0xff))?;
    Ok(blank)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    /// The first header of an image that ubinize 2.1.5 made with `-p 128KiB -m 2048 -Q 218254177`.
    #[test]
    fn a_header_is_the_one_that_ubinize_makes() {
        let layout = Layout {
            volume_header: 2048,
            data: 4096,
            image_seq: 0x0d02_4f61,
            needed: OVERHEAD,
        };
        let header = layout.header(0);
        assert_eq!(header[60..], [0x5c, 0xec, 0xa2, 0xcb]);
        assert_eq!(erase_counter(&header), Some(0));
        assert_eq!(erase_counter(&layout.header(77)), Some(77));
        assert_eq!(erase_counter(&layout.header(MOST_ERASES + 1)), None);
        let mut flipped = layout.header(77);
        flipped[15] ^= 1;
        assert_eq!(erase_counter(&flipped), None);
        assert_eq!(erase_counter(&header[..63]), None);
    }

    /// A block that is larger than any flash has is not one of a size that nobody knows.
    #[test]
    fn a_block_of_4_gib_keeps_its_size() {
        let layout = Layout {
            volume_header: 2048,
            data: 4096,
            image_seq: 7,
            needed: OVERHEAD,
        };
        let dir = tempfile::tempdir().unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(dir.path().join("ubi"))
            .unwrap();
        file.set_len(1 << 32).unwrap();
        file.write_all_at(&layout.header(0), 0).unwrap();
        file.write_all_at(&[0xff; HEADER], 2048).unwrap();
        let store = Store::file(file).unwrap();
        let content = recognise(&store, &(0..store.len())).unwrap().unwrap();
        assert_eq!(content.erase_size, Some(1 << 32));
    }
}
