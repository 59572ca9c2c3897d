//! JFFS2: a log of nodes, each with magic, type, length and a CRC of those three
//! (`include/uapi/linux/jffs2.h`). There is no superblock, so the log is walked.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::{Order, Role};
use crate::bytes::store::Store;
use crate::image::content::Content;
use crc::{CRC_32_ISO_HDLC, Crc};
use std::io;
use std::ops::Range;

/// JFFS2 starts its CRC-32 at 0 and does not invert the result (`crc32(0, …)` of the kernel).
const JFFS2_CRC: crc::Algorithm<u32> = crc::Algorithm {
    init: 0,
    xorout: 0,
    check: 0x2dfd_2d88,
    ..CRC_32_ISO_HDLC
};
const CRC: Crc<u32> = Crc::<u32>::new(&JFFS2_CRC);
const HEADER: usize = 12;

struct Node {
    order: Order,
    length: u64,
}

/// Reads a node header; `None` where there is none, or where its CRC is wrong.
fn node(bytes: &[u8]) -> Option<Node> {
    let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
    let order = match bytes[..2] {
        [0x85, 0x19] => Order::Little,
        [0x19, 0x85] => Order::Big,
        _ => return None,
    };
    let word = |at: usize| -> u32 {
        let quad = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        match order {
            Order::Little => u32::from_le_bytes(quad),
            Order::Big => u32::from_be_bytes(quad),
        }
    };
    (CRC.checksum(&bytes[..8]) == word(8)).then(|| Node {
        order,
        length: u64::from(word(4)),
    })
}

/// Recognises a JFFS2 image and walks its log: a node that ends behind the image was cut off.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut window = [0; 4096];
    let room = range.end - range.start;
    let mut head = [0; HEADER];
    let Some(first) = store.read_head(range, &mut head)?.then(|| node(&head)).flatten() else {
        return Ok(None);
    };
    let mut length = 0;
    let mut at = 0u64;
    let mut window_at = u64::MAX;
    let mut problem = None;
    while at + (HEADER as u64) <= room {
        let inside = at.wrapping_sub(window_at);
        if window_at == u64::MAX || inside + HEADER as u64 > window.len() as u64 {
            window_at = at;
            let take = window.len().min((room - at) as usize);
            store.read_exact_at(range.start + at, &mut window[..take])?;
            window[take..].fill(0xff);
        }
        let here = (at - window_at) as usize;
        match node(&window[here..]) {
            Some(node) if node.length >= HEADER as u64 => {
                if node.order != first.order {
                    problem = Some(format!("the jffs2 changes its byte order at 0x{at:x}"));
                    break;
                }
                // Nodes begin at multiples of four.
                at += node.length.next_multiple_of(4);
                length = length.max(at - node.length.next_multiple_of(4) + node.length);
            }
            // Blank space up to the next erase block, or padding.
            _ => at += 4,
        }
    }
    Ok(Some(Content {
        length,
        order: Some(first.order),
        problem,
        ..Content::new(Format::Jffs2, Role::Filesystem)
    }))
}
