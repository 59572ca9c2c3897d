//! Flattened device trees (devicetree specification, chapter 5): a walk over their nodes and properties, which FIT images
//! and the trees behind kernels have in common; and what such a tree says of the box that it is for.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use std::io;
use std::ops::Range;

/// The first four bytes of a tree, big-endian.
pub const MAGIC: u32 = 0xd00d_feed;
/// Bytes of the header.
pub const HEADER: usize = 40;
/// The version in which the header has the length of the structure.
const VERSION: u64 = 17;
/// The names of all properties; bounds memory.
const STRINGS: u64 = 64 << 10;
/// Depth of nodes; bounds memory.
const DEPTH: usize = 32;
/// The longest name of a node, in bytes. The specification allows 31, mkimage any.
const NAME: usize = 1024;
/// Values that are looked at are shorter.
const VALUE: u64 = 1024;

/// A tree in a store.
pub struct Tree<'s> {
    store: &'s Store<'s>,
    structure: Range<u64>,
    names: Vec<u8>,
    /// Bytes of the whole tree.
    pub total: u64,
}

/// What a walk meets.
pub enum Event<'n> {
    /// A node begins; the path ends with it.
    Node,
    /// A property of the node at the end of the path, with the place of its value in the store.
    Property(&'n str, Range<u64>),
}

fn broken() -> io::Error {
    bad("the device tree makes no sense")
}

impl<'s> Tree<'s> {
    /// The tree at the beginning of the range; `None` where there is none, or not all of it.
    ///
    /// # Errors
    /// `InvalidData` for a header that makes no sense, else those of reading.
    pub fn open(store: &'s Store, range: &Range<u64>) -> io::Result<Option<Tree<'s>>> {
        let mut header = [0; HEADER];
        if !store.read_head(range, &mut header)? || Fields(&header).be32(0) != Some(MAGIC) {
            return Ok(None);
        }
        let field = |at| u64::from(Fields(&header).be32(at).unwrap_or_default());
        let (total, structure, strings) = (field(4), field(8), field(12));
        let (reserved, version, read_since) = (field(16), field(20), field(24));
        let (strings_size, structure_size) = (field(32), field(36));
        if total > range.end - range.start {
            return Ok(None);
        }
        let inside = |at: u64, size: u64| at >= HEADER as u64 && at.checked_add(size).is_some_and(|end| end <= total);
        // Boot loader and kernel take no other (`fdt_check_header` of libfdt): it has to be one that readers of version 17 know, and
        // the list of reserved memory, which has an entry that ends it, has to be there.
        let read = version >= VERSION && read_since <= VERSION && inside(reserved, 16);
        if !read || !inside(structure, structure_size) || !inside(strings, strings_size) || strings_size > STRINGS {
            return Err(broken());
        }
        let (structure, strings) = (range.start + structure, range.start + strings);
        Ok(Some(Tree {
            store,
            structure: structure..structure + structure_size,
            names: store.bytes(&(strings..strings + strings_size))?,
            total,
        }))
    }

    /// Walks over it. The path has the name of the root, which is empty, first.
    ///
    /// # Errors
    /// `InvalidData` for a tree that makes no sense, those of reading and of `each`.
    pub fn walk(&self, mut each: impl FnMut(&[String], Event<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut path: Vec<String> = Vec::new();
        let (mut at, end) = (self.structure.start, self.structure.end);
        let mut quad = [0; 4];
        loop {
            if end - at < 4 {
                return Err(broken());
            }
            self.store.read_exact_at(at, &mut quad)?;
            at += 4;
            match u32::from_be_bytes(quad) {
                1 => {
                    let name = self.name_at(&mut at)?;
                    if path.len() == DEPTH {
                        return Err(broken());
                    }
                    path.push(name);
                    each(&path, Event::Node)?;
                }
                2 => {
                    path.pop().ok_or_else(broken)?;
                }
                3 => {
                    let mut head = [0; 8];
                    if end - at < 8 {
                        return Err(broken());
                    }
                    self.store.read_exact_at(at, &mut head)?;
                    at += 8;
                    let length = u64::from(Fields(&head).be32(0).unwrap_or_default());
                    let name = Fields(&head)
                        .be32(4)
                        .and_then(|at| self.string(at))
                        .ok_or_else(broken)?;
                    if length > end - at || path.is_empty() {
                        return Err(broken());
                    }
                    let value = at..at + length;
                    at = (at + length.next_multiple_of(4)).min(end);
                    each(&path, Event::Property(&name, value))?;
                }
                4 => (),
                9 => return Ok(()),
                _ => return Err(broken()),
            }
        }
    }

    /// A value that decides something.
    ///
    /// # Errors
    /// `InvalidData` for one that is longer than any such, else those of reading.
    pub fn value(&self, value: &Range<u64>) -> io::Result<Vec<u8>> {
        if value.end - value.start > VALUE {
            return Err(bad(
                "a value in the device tree is longer than any that decides something",
            ));
        }
        self.store.bytes(value)
    }

    fn name_at(&self, at: &mut u64) -> io::Result<String> {
        let mut bytes = [0; NAME];
        let bytes = self.store.front(&(*at..self.structure.end), &mut bytes)?;
        let length = bytes.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
        *at = (*at + (length as u64 + 1).next_multiple_of(4)).min(self.structure.end);
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    fn string(&self, at: u32) -> Option<String> {
        let rest = self.names.get(at as usize..)?;
        let length = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..length]).into_owned())
    }
}

/// Whether a tree begins here, by its magic number.
///
/// # Errors
/// Those of reading.
pub(super) fn begins(store: &Store, range: &Range<u64>) -> io::Result<bool> {
    let mut magic = [0; 4];
    Ok(store.read_head(range, &mut magic)? && u32::from_be_bytes(magic) == MAGIC)
}

/// The strings of a list.
pub fn strings(bytes: &[u8]) -> Vec<String> {
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// What a device tree is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeFor {
    /// The root's `compatible`: boards first, then their kinds.
    pub compatible: Vec<String>,
    /// The system on a chip by its pin controller: two that share all else differ in their pins, such as Marvell's 88F6281
    /// and 88F6282 (`kirkwood-6281.dtsi`, `kirkwood-6282.dtsi`).
    pub soc: Option<String>,
}

/// The system on a chip of a pin controller with this `compatible`.
pub fn soc_of(compatible: &[String]) -> Option<String> {
    let controller = compatible.iter().find_map(|word| word.strip_suffix("-pinctrl"))?;
    Some(controller.to_owned())
}

/// What the device tree at the beginning of the range is for; `None` where there is none.
///
/// # Errors
/// `InvalidData` for one that makes no sense, else those of reading.
pub fn made_for(store: &Store, range: &Range<u64>) -> io::Result<Option<MadeFor>> {
    let Some(tree) = Tree::open(store, range)? else {
        return Ok(None);
    };
    let mut made_for = MadeFor::default();
    tree.walk(|path, event| {
        if let Event::Property("compatible", value) = event {
            let words = strings(&tree.value(&value)?);
            if path.len() == 1 {
                made_for.compatible = words;
            } else if made_for.soc.is_none() {
                made_for.soc = soc_of(&words);
            }
        }
        Ok(())
    })?;
    Ok(Some(made_for))
}
