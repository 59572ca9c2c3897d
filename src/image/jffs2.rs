//! JFFS2: a log of nodes, each with magic, type, length and a CRC of those three, and CRCs over the rest of it
//! (`include/uapi/linux/jffs2.h`). There is no superblock, so the log is walked.
//!
//! On flash that was in use there are also nodes that are obsolete, and remains of others; in an image that was just made
//! there are none.

#![forbid(unsafe_code)]

use crate::base::checksum::Crc32Le;
use crate::base::format::Format;
use crate::base::machine::{Order, Role};
use crate::bytes::store::Store;
use crate::image::behind::MARK;
use crate::image::content::Content;
use std::io;
use std::ops::Range;

/// JFFS2 starts its CRC-32 at 0 (`crc32(0, …)` of the kernel).
pub(crate) const CRC: Crc32Le = Crc32Le(0);
const HEADER: usize = 12;
/// Bytes of the longest fixed part of a node, that of an inode (`struct jffs2_raw_inode`).
const FIXED: usize = 68;
/// `JFFS2_NODE_ACCURATE`: cleared in a node that is obsolete, and set in what its CRC is over.
const ACCURATE: u16 = 0x2000;
/// Types: `JFFS2_NODETYPE_DIRENT`, `INODE`, `CLEANMARKER`, `SUMMARY`.
const DIRENT: u16 = 0xe001;
const INODE: u16 = 0xe002;
const CLEANMARKER: u16 = 0x2003;
const SUMMARY: u16 = 0x2006;

#[derive(Clone, Copy)]
struct Node {
    order: Order,
    kind: u16,
    length: u64,
    obsolete: bool,
}

fn word(bytes: &[u8], at: usize, order: Order) -> Option<u32> {
    let quad = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(match order {
        Order::Little => u32::from_le_bytes(quad),
        Order::Big => u32::from_be_bytes(quad),
    })
}

/// Whether these are the magic number and a type, whatever their CRC says.
fn is_spoiled(head: &[u8; HEADER]) -> bool {
    const KINDS: [u16; 7] = [DIRENT, INODE, CLEANMARKER, 0x2004, SUMMARY, 0xe008, 0xe009];
    let kind = match head[..2] {
        [0x85, 0x19] => u16::from_le_bytes([head[2], head[3]]),
        [0x19, 0x85] => u16::from_be_bytes([head[2], head[3]]),
        _ => return false,
    };
    KINDS.contains(&kind) && node(head).is_none()
}

/// Reads a node header; `None` where there is none, or where its CRC is wrong.
fn node(bytes: &[u8]) -> Option<Node> {
    let mut bytes: [u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
    let order = match bytes[..2] {
        [0x85, 0x19] => Order::Little,
        [0x19, 0x85] => Order::Big,
        _ => return None,
    };
    let pair = [bytes[2], bytes[3]];
    let written = match order {
        Order::Little => u16::from_le_bytes(pair),
        Order::Big => u16::from_be_bytes(pair),
    };
    let kind = written | ACCURATE;
    let pair = match order {
        Order::Little => kind.to_le_bytes(),
        Order::Big => kind.to_be_bytes(),
    };
    bytes[2..4].copy_from_slice(&pair);
    (Some(CRC.checksum(&bytes[..8])) == word(&bytes, 8, order)).then(|| Node {
        order,
        kind,
        length: u64::from(word(&bytes, 4, order).unwrap_or_default()),
        obsolete: written != kind,
    })
}

/// Recognises a JFFS2 image and walks its log.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; HEADER];
    if !store.read_head(range, &mut head)? {
        return Ok(None);
    }
    if is_spoiled(&head) {
        let mut content = Content::new(Format::Jffs2, Role::Filesystem);
        content.problem = Some("the first node of the jffs2 fails its CRC".into());
        return Ok(Some(content));
    }
    let Some(first) = node(&head) else {
        return Ok(None);
    };
    let mut walk = Walk {
        store,
        range: range.clone(),
        order: first.order,
        at: 0,
        content: Content {
            order: Some(first.order),
            ..Content::new(Format::Jffs2, Role::Filesystem)
        },
        markers: Markers::default(),
    };
    walk.all()?;
    let mut content = walk.content;
    content.erase_size = walk.markers.spacing(content.length);
    if let Some(size) = content.erase_size {
        content.title = format!("for erase blocks of {size} bytes");
    }
    Ok(Some(content))
}

struct Walk<'s> {
    store: &'s Store<'s>,
    range: Range<u64>,
    order: Order,
    /// Where it is, from the beginning of the image.
    at: u64,
    content: Content,
    markers: Markers,
}

impl Walk<'_> {
    fn all(&mut self) -> io::Result<()> {
        let room = self.range.end - self.range.start;
        let mut fixed = [0; FIXED];
        while self.at + HEADER as u64 <= room {
            let here = self.range.start + self.at;
            let take = FIXED.min((room - self.at) as usize);
            self.store.read_exact_at(here, &mut fixed[..take])?;
            match node(&fixed[..take]) {
                None if fixed.starts_with(&MARK) => self.at += MARK.len() as u64,
                Some(node) if node.length >= HEADER as u64 => {
                    if node.order != self.order {
                        self.content.problem = Some(format!("the jffs2 changes its byte order at 0x{:x}", self.at));
                        return Ok(());
                    }
                    let end = self.at + node.length;
                    self.content.length = end;
                    if end > room {
                        return Ok(());
                    }
                    self.within(&node)?;
                    if !node.obsolete {
                        self.sums(&node, &fixed[..take])?;
                    }
                    // Nodes begin at multiples of four.
                    self.at = end.next_multiple_of(4);
                }
                _ => self.gap(fixed[0])?,
            }
        }
        let mut rest = self.range.start + self.at.min(room)..self.range.end;
        let mut mark = [0; MARK.len()];
        if self.store.read_head(&rest, &mut mark)? && mark == MARK {
            rest.start += MARK.len() as u64;
        }
        let blank = |byte| Ok::<_, io::Error>(self.store.past(rest.clone(), byte)? == rest.end);
        if !blank(0xff)? && !blank(0)? {
            self.doubt("the jffs2 is cut off in a node".to_owned());
        }
        Ok(())
    }

    /// No node lies across two erase blocks: the smallest block that holds all of it says what they must be at least.
    fn within(&mut self, node: &Node) -> io::Result<()> {
        let differing = self.at ^ (self.at + node.length - 1);
        let least = 1u64 << (64 - differing.leading_zeros());
        self.content.least_erase_size = self.content.least_erase_size.max(Some(least));
        if node.kind == CLEANMARKER {
            self.markers.add(self.at);
        }
        Ok(())
    }

    /// Holds the rest of a node against its CRCs.
    fn sums(&mut self, node: &Node, fixed: &[u8]) -> io::Result<()> {
        let word = |at| word(fixed, at, self.order);
        // The fixed part, where its CRC stands, where that of the rest stands, and how long the rest is.
        let (size, own, rest) = match node.kind {
            INODE => (68, 64, word(48).zip(word(60))),
            DIRENT => (40, 32, fixed.get(28).map(|length| u32::from(*length)).zip(word(36))),
            SUMMARY => (32, 28, Some((node.length as u32).saturating_sub(32)).zip(word(24))),
            _ => return Ok(()),
        };
        // The CRC of an inode or a name is over all in front of the two CRCs.
        let covered = if node.kind == SUMMARY { 24 } else { size - 8 };
        let own = fixed.get(..covered).map(|bytes| CRC.checksum(bytes)) == word(own);
        let rest = match rest {
            Some((length, crc)) if size as u64 + u64::from(length) <= node.length => {
                let start = self.range.start + self.at + size as u64;
                let mut digest = CRC.digest();
                self.store
                    .scan(start..start + u64::from(length), |chunk| digest.update(chunk))?;
                digest.finalize() == crc
            }
            _ => false,
        };
        if !(own && rest) {
            self.doubt(format!("a node of the jffs2 fails its CRC at 0x{:x}", self.at));
        }
        Ok(())
    }

    /// Goes on behind what is not a node: blank space up to the next erase block, or something that should not be there.
    fn gap(&mut self, first: u8) -> io::Result<()> {
        let here = self.range.start + self.at..self.range.end;
        if first == 0xff || first == 0 {
            let end = self.store.past(here.clone(), first)? - self.range.start;
            // A node begins at a multiple of four.
            let end = if end == here.end - self.range.start {
                end
            } else {
                end / 4 * 4
            };
            if end > self.at {
                self.at = end;
                return Ok(());
            }
        }
        self.doubt(format!(
            "there is something in the jffs2 at 0x{:x} that is not a node of it",
            self.at
        ));
        self.at = self.next_node(here)? - self.range.start;
        Ok(())
    }

    /// Where something that may be a node begins next.
    fn next_node(&self, here: Range<u64>) -> io::Result<u64> {
        let magic: [u8; 2] = match self.order {
            Order::Little => [0x85, 0x19],
            Order::Big => [0x19, 0x85],
        };
        let mut window = [0; 4096];
        let mut at = here.start + 4;
        while at < here.end {
            let take = window.len().min((here.end - at) as usize);
            self.store.read_exact_at(at, &mut window[..take])?;
            let found = window[..take].chunks(4).position(|quad| quad.starts_with(&magic));
            match found {
                Some(index) => return Ok(at + index as u64 * 4),
                None => at += take as u64,
            }
        }
        Ok(here.end)
    }

    fn doubt(&mut self, what: String) {
        self.content.doubt.get_or_insert(what);
    }
}

/// Where the nodes are with which erase blocks begin.
#[derive(Default)]
struct Markers {
    count: u64,
    second: Option<u64>,
    regular: bool,
}

impl Markers {
    fn add(&mut self, at: u64) {
        match (self.count, self.second) {
            (0, _) => self.regular = at == 0,
            (1, _) => self.second = Some(at),
            (count, Some(second)) => self.regular &= at == count * second,
            _ => (),
        }
        self.count += 1;
    }

    /// The size of the erase blocks, if each of them begins with a marker.
    fn spacing(&self, length: u64) -> Option<u64> {
        let size = self.second.filter(|size| self.regular && size.is_power_of_two())?;
        (self.count == length.div_ceil(size)).then_some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of 4 GiB or more is one of a size that no flash has, and not one of a size that nobody knows.
    #[test]
    fn blocks_larger_than_any_flash_has_keep_their_size() {
        let store = Store::Memory(Vec::new());
        let node = Node {
            order: Order::Little,
            kind: INODE,
            length: 100,
            obsolete: false,
        };
        let mut walk = Walk {
            store: &store,
            range: 0..0,
            order: Order::Little,
            at: (1 << 31) - 8,
            content: Content::new(Format::Jffs2, Role::Filesystem),
            markers: Markers::default(),
        };
        assert!(walk.within(&node).is_ok());
        assert_eq!(walk.content.least_erase_size, Some(1 << 32));
        let mut markers = Markers::default();
        markers.add(0);
        markers.add(1 << 33);
        assert_eq!(markers.spacing(1 << 34), Some(1 << 33));
    }
}
