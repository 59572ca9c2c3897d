//! CramFS: the superblock holds the length and a CRC-32 of the whole (`include/uapi/linux/cramfs_fs.h`).

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::format::Format;
use crate::base::machine::{Order, Role};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use std::io;
use std::ops::Range;

const MAGIC: u32 = 0x28cd_3d45;
/// The CRC and the length are right only in images with this flag (CRAMFS_FLAG_FSID_VERSION_2).
const VERSION_2: u32 = 1;

/// Recognises a cramfs of either byte order; the kernel mounts only its own.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; 76];
    if !store.read_head(range, &mut head)? {
        return Ok(None);
    }
    let order = if Fields(&head).le32(0) == Some(MAGIC) {
        Order::Little
    } else if Fields(&head).be32(0) == Some(MAGIC) {
        Order::Big
    } else {
        return Ok(None);
    };
    let field = |at| {
        match order {
            Order::Little => Fields(&head).le32(at),
            Order::Big => Fields(&head).be32(at),
        }
        .unwrap_or_default()
    };
    let (length, flags, crc) = (u64::from(field(4)), field(8), field(32));
    let versioned = flags & VERSION_2 != 0;
    let mut problem = None;
    if versioned && length <= range.end - range.start {
        let mut blank = head;
        blank[32..36].fill(0);
        let mut digest = CRC32.digest();
        digest.update(&blank);
        let rest = range.start + head.len() as u64..range.start + length;
        store.scan(rest, |chunk| digest.update(chunk))?;
        if digest.finalize() != crc {
            problem = Some("the cramfs fails its CRC".into());
        }
    }
    Ok(Some(Content {
        // Version 1 images have no length.
        length: if versioned { length } else { head.len() as u64 },
        order: Some(order),
        title: String::from_utf8_lossy(&head[48..64]).trim_end_matches('\0').to_owned(),
        checked: versioned,
        problem,
        ..Content::new(Format::Cramfs, Role::Filesystem)
    }))
}
