//! SquashFS: the superblock says how long the file system is and where its tables are (`fs/squashfs/squashfs_fs.h`). There is
//! no checksum over the content; that all tables and the data of every file lie inside shows an image that was cut or put
//! together wrongly.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::{Order, Role};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::squashfs_tables::{Superblock, check};
use std::io;
use std::ops::Range;

/// Bytes of the superblock of version 4.
const HEADER: usize = 96;

/// Recognises SquashFS 4, which is little-endian everywhere, and 1 to 3, which have the byte order of
/// the box and are what the kernels of older boxes mount.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; HEADER];
    if !store.read_head(range, &mut head)? {
        return Ok(None);
    }
    let big = match &head[..4] {
        b"hsqs" => false,
        b"sqsh" => true,
        _ => return Ok(None),
    };
    let u16_at = |at: usize| {
        let pair = [head[at], head[at + 1]];
        match big {
            true => u16::from_be_bytes(pair),
            false => u16::from_le_bytes(pair),
        }
    };
    let u64_at = |at: usize| {
        let little = Fields(&head).le64(at).unwrap_or_default();
        match big {
            true => little.swap_bytes(),
            false => little,
        }
    };
    let (major, minor) = (u16_at(28), u16_at(30));
    let length = match major {
        4 => u64_at(40),
        // Packed superblock of version 3: bytes_used is at 63; before that 32 bit at 8.
        3 => u64_at(63),
        _ => match big {
            true => Fields(&head).be32(8),
            false => Fields(&head).le32(8),
        }
        .unwrap_or_default()
        .into(),
    };
    let room = range.end - range.start;
    let problem = match (major, big) {
        // Linux mounts no other of version 4.
        (4, false) if minor == 0 && length >= HEADER as u64 => match length <= room {
            true => check(store, range.start, &Superblock::of(&head))?,
            false => None,
        },
        // The tables of inodes and directories, of those before version 4.
        (3, _) if length >= HEADER as u64 => {
            let inside = u64_at(87) < length;
            (!inside).then(|| "the squashfs has its tables outside of itself".to_owned())
        }
        (1..=2, _) if length >= HEADER as u64 => None,
        _ => Some(format!(
            "the squashfs superblock makes no sense (version {major}.{minor})"
        )),
    };
    Ok(Some(Content {
        length,
        order: (major < 4).then_some(match big {
            true => Order::Big,
            false => Order::Little,
        }),
        title: match major {
            1 | 2 => format!("version {major}.{minor}, of which only the length is looked at"),
            _ => format!("version {major}.{minor}"),
        },
        checked: major > 2,
        problem,
        ..Content::new(Format::Squashfs, Role::Filesystem)
    }))
}
