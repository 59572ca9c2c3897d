//! FIT, U-Boot's newer image: a device tree whose `/images` hold data and hashes of it
//! (`doc/usage/fit/source_file_format.rst` of U-Boot; the devicetree specification, chapter 5).
//!
//! CRC-32 and SHA-256 are checked; other hashes are left to the boot loader.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::checksum::CRC32;
use crate::base::format::Format;
use crate::base::machine::{Arch, Role};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use sha2::{Digest, Sha256};
use std::io;
use std::ops::Range;

const MAGIC: u32 = 0xd00d_feed;
const HEADER: usize = 40;
/// The names of all properties; bounds memory.
const STRINGS: u64 = 64 << 10;
/// Values that are looked at are shorter; data is not.
const VALUE: u32 = 256;
/// Depth of nodes, and number of images; bounds memory.
const DEPTH: usize = 16;
const IMAGES: usize = 64;

#[derive(Default)]
struct Hash {
    algorithm: String,
    value: Vec<u8>,
}

#[derive(Default)]
struct Entry {
    kind: String,
    arch: String,
    data: Option<Range<u64>>,
    /// Of data behind the tree.
    outside: Option<u64>,
    position: Option<u64>,
    size: u64,
    hashes: Vec<Hash>,
}

/// Recognises a FIT and checks the hashes of its images.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut header = [0; HEADER];
    if !store.read_head(range, &mut header)? || Fields(&header).be32(0) != Some(MAGIC) {
        return Ok(None);
    }
    let total = u64::from(Fields(&header).be32(4).unwrap_or_default());
    let mut content = Content {
        length: total,
        title: String::new(),
        ..Content::new(Format::Fit, Role::Kernel)
    };
    if total > range.end - range.start {
        return Ok(Some(content));
    }
    match images(store, range, &header, total).and_then(|images| verify(store, range, total, images, &mut content)) {
        Ok(()) => (),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => content.problem = Some(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(Some(content))
}

/// Walks the tree.
fn images(store: &Store, range: &Range<u64>, header: &[u8], total: u64) -> io::Result<Vec<Entry>> {
    let broken = || bad("the fit's tree makes no sense");
    let field = |at| u64::from(Fields(header).be32(at).unwrap_or_default());
    let (structure, strings) = (field(8), field(12));
    let (strings_size, structure_size) = (field(32), field(36));
    let inside = |at: u64, size: u64| at >= HEADER as u64 && at.checked_add(size).is_some_and(|end| end <= total);
    if !inside(structure, structure_size) || !inside(strings, strings_size) || strings_size > STRINGS {
        return Err(broken());
    }
    let mut names = vec![0; strings_size as usize];
    store.read_exact_at(range.start + strings, &mut names)?;
    let mut images: Vec<Entry> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let (mut at, end) = (range.start + structure, range.start + structure + structure_size);
    let mut quad = [0; 4];
    loop {
        if end - at < 4 {
            return Err(broken());
        }
        store.read_exact_at(at, &mut quad)?;
        at += 4;
        match u32::from_be_bytes(quad) {
            1 => {
                let name = name_at(store, &mut at, end)?;
                if path.len() == DEPTH {
                    return Err(broken());
                }
                path.push(name);
                match path.as_slice() {
                    [_, all, _] if all == "images" => {
                        if images.len() == IMAGES {
                            return Err(broken());
                        }
                        images.push(Entry::default());
                    }
                    [_, all, _, hash] if all == "images" && hash.starts_with("hash") => {
                        images.last_mut().ok_or_else(broken)?.hashes.push(Hash::default());
                    }
                    _ => (),
                }
            }
            2 => {
                path.pop().ok_or_else(broken)?;
            }
            3 => {
                let mut head = [0; 8];
                if end - at < 8 {
                    return Err(broken());
                }
                store.read_exact_at(at, &mut head)?;
                at += 8;
                let length = Fields(&head).be32(0).unwrap_or_default();
                let name = Fields(&head)
                    .be32(4)
                    .and_then(|at| string(&names, at))
                    .ok_or_else(broken)?;
                if u64::from(length) > end - at {
                    return Err(broken());
                }
                let value = at..at + u64::from(length);
                at = (at + u64::from(length).next_multiple_of(4)).min(end);
                let image = match path.get(1).map(String::as_str) {
                    Some("images") if path.len() >= 3 => images.last_mut().ok_or_else(broken)?,
                    _ => continue,
                };
                let node = match (path.len(), path.last()) {
                    (3, _) => Node::Image,
                    (4, Some(name)) if name.starts_with("hash") => Node::Hash,
                    _ => continue,
                };
                property(store, image, node, &name, value)?;
            }
            4 => (),
            9 => return Ok(images),
            _ => return Err(broken()),
        }
    }
}

/// A node whose properties are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    /// An image.
    Image,
    /// One of its hashes.
    Hash,
}

fn property(store: &Store, image: &mut Entry, node: Node, name: &str, value: Range<u64>) -> io::Result<()> {
    if node == Node::Image && name == "data" {
        image.data = Some(value);
        return Ok(());
    }
    if value.end - value.start > VALUE.into() {
        return Ok(());
    }
    let mut bytes = vec![0; (value.end - value.start) as usize];
    store.read_exact_at(value.start, &mut bytes)?;
    let text = || String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned();
    let number = || Fields(&bytes).be32(0).map(u64::from);
    match (node, name) {
        (Node::Image, "type") => image.kind = text(),
        (Node::Image, "arch") => image.arch = text(),
        (Node::Image, "data-offset") => image.outside = number(),
        (Node::Image, "data-position") => image.position = number(),
        (Node::Image, "data-size") => image.size = number().unwrap_or_default(),
        (Node::Hash, _) => {
            if let Some(hash) = image.hashes.last_mut() {
                match name {
                    "algo" => hash.algorithm = text(),
                    "value" => hash.value = bytes,
                    _ => (),
                }
            }
        }
        _ => (),
    }
    Ok(())
}

fn name_at(store: &Store, at: &mut u64, end: u64) -> io::Result<String> {
    let mut bytes = [0; 64];
    let take = bytes.len().min((end - *at) as usize);
    store.read_exact_at(*at, &mut bytes[..take])?;
    let length = bytes[..take]
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(|| bad("the fit has a node without a name"))?;
    *at = (*at + (length as u64 + 1).next_multiple_of(4)).min(end);
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn string(names: &[u8], at: u32) -> Option<String> {
    let rest = names.get(at as usize..)?;
    let length = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..length]).into_owned())
}

/// Checks the hashes and says what the whole is.
fn verify(store: &Store, range: &Range<u64>, total: u64, images: Vec<Entry>, content: &mut Content) -> io::Result<()> {
    if images.is_empty() {
        content.format = Format::DeviceTree;
        content.role = Role::Other;
        content.title = "without images of a FIT".to_owned();
        return Ok(());
    }
    let mut titles = Vec::new();
    for image in &images {
        // Data outside begins behind the tree, at a multiple of four.
        let start = image
            .position
            .or(image.outside.map(|offset| total.next_multiple_of(4) + offset));
        let data = match (&image.data, start) {
            (Some(data), _) => data.clone(),
            (None, Some(start)) => range.start + start..range.start + start + image.size,
            (None, None) => return Err(bad("the fit has an image without data")),
        };
        content.length = content.length.max(data.end - range.start);
        if data.end > range.end {
            return Ok(());
        }
        for hash in &image.hashes {
            let matches = match hash.algorithm.as_str() {
                "crc32" => {
                    let mut digest = CRC32.digest();
                    store.scan(data.clone(), |chunk| digest.update(chunk))?;
                    hash.value == digest.finalize().to_be_bytes()
                }
                "sha256" => {
                    let mut digest = Sha256::new();
                    store.scan(data.clone(), |chunk| digest.update(chunk))?;
                    hash.value == digest.finalize().as_slice()
                }
                _ => continue,
            };
            if !matches {
                return Err(bad(format_args!(
                    "the fit's {} fails its {}",
                    image.kind, hash.algorithm
                )));
            }
        }
        if image.kind == "kernel" {
            content.arch = match image.arch.as_str() {
                "arm" => Some(Arch::Arm),
                "arm64" => Some(Arch::Aarch64),
                "mips" => Some(Arch::Mips),
                "x86" | "x86_64" => Some(Arch::X86),
                _ => None,
            };
        }
        titles.push(image.kind.clone());
    }
    if !titles.iter().any(|title| title == "kernel") {
        content.role = Role::Other;
    }
    content.title = format!("with {}", titles.join(", "));
    Ok(())
}
