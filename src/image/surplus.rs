//! What stands behind the kernel or the file system in the data of an image that is said to hold one. Padding, device trees and a
//! file system have their place there. Of anything else nothing takes notice, such as of a second kernel, and it is told.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::units::{Fields, Grouped};
use crate::bytes::packed::Codec;
use crate::bytes::store::Store;
use crate::image::behind::{aligned, past_padding};
use crate::image::content::Content;
use crate::image::{device_tree, foreign};
use std::io;
use std::ops::Range;

/// Bytes that are looked at: all of text's beginning, and the magic number of ext2.
pub(super) const HEAD: usize = 0x440;
/// More device trees than any kernel is given.
const TREES: usize = 64;

/// What begins with these bytes, as far as magic numbers say it.
pub(super) fn begins(head: &[u8]) -> Option<Format> {
    let by_magic = match head {
        [b'h', b's', b'q', b's', ..] | [b's', b'q', b's', b'h', ..] => Some(Format::Squashfs),
        [b'U', b'B', b'I', b'#', ..] => Some(Format::Ubi),
        [0x27, 0x05, 0x19, 0x56, ..] => Some(Format::Uimage),
        _ => foreign::of_head(head),
    };
    by_magic.or_else(|| Codec::recognise(head).map(Codec::format))
}

/// Tells in the title of the image what stands in its data behind `what`, which ends here.
///
/// # Errors
/// Those of reading the store.
pub(super) fn tell(store: &Store, data: &Range<u64>, what: &str, end: u64, content: &mut Content) -> io::Result<()> {
    let mut at = end.min(data.end);
    let mut trees = 0;
    loop {
        let begin = at;
        at = past_padding(store, at..data.end)?;
        if at == data.end {
            return Ok(());
        }
        let mut found = format(store, at..data.end)?;
        if found.is_none() {
            at = aligned(data.start, begin, at);
            found = format(store, at..data.end)?;
        }
        let mut head = [0; device_tree::HEADER];
        if found == Some(Format::DeviceTree) && trees < TREES && store.read_head(&(at..data.end), &mut head)? {
            let total = u64::from(Fields(&head).be32(4).unwrap_or_default());
            if (head.len() as u64..=data.end - at).contains(&total) {
                at += total;
                trees += 1;
                continue;
            }
        }
        if !found.is_some_and(is_file_system) {
            content.checked = false;
            content.title.push_str(&format!(
                "; behind the {what} in it {} bytes more: {}",
                Grouped(data.end - at),
                found.unwrap_or(Format::Raw).described()
            ));
        }
        return Ok(());
    }
}

fn format(store: &Store, left: Range<u64>) -> io::Result<Option<Format>> {
    if device_tree::begins(store, &left)? {
        return Ok(Some(Format::DeviceTree));
    }
    let mut head = [0; HEAD];
    let head = store.front(&left, &mut head)?;
    // With the type of a node behind the magic number, which is short.
    Ok(match head {
        [0x85, 0x19, _, 0x20 | 0xe0, ..] | [0x19, 0x85, 0x20 | 0xe0, ..] => Some(Format::Jffs2),
        head => begins(head),
    })
}

/// Some vendors put kernel and root under one checksum.
fn is_file_system(format: Format) -> bool {
    use Format::{Cramfs, Erofs, Ext, F2fs, Jffs2, Romfs, Squashfs, Ubi, Ubifs};
    matches!(
        format,
        Squashfs | Jffs2 | Ubi | Ubifs | Cramfs | Romfs | Ext | Erofs | F2fs
    )
}
