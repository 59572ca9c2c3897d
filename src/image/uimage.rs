//! U-Boot's legacy image (`include/image.h`): 64 bytes of big-endian header, then the data, both under a CRC-32.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::format::Format;
use crate::base::machine::{Processor, Role};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::within::{self, Declared};
use crate::image::{device_tree, foreign, piece, processor, zimage};
use std::io;
use std::ops::Range;

/// What its header begins with, as U-Boot itself has it.
pub const MAGIC: u32 = 0x2705_1956;
/// Bytes of the header.
pub const HEADER: u64 = 64;
/// `IH_OS_LINUX`.
const LINUX: u8 = 5;

/// Recognises a uImage and checks both of its CRCs.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut header = [0; HEADER as usize];
    if !store.read_head(range, &mut header)? {
        return Ok(None);
    }
    let field = |at| Fields(&header).be32(at).unwrap_or_default();
    // The header's own CRC is made with its field zero.
    let mut blank = header;
    blank[4..8].fill(0);
    let is_whole = CRC32.checksum(&blank) == field(4);
    let magic = Some(field(0)).filter(|magic| *magic != MAGIC);
    // Boot loaders of some vendors, and OpenWrt's own, want another one (`openwrt,ih-magic` in OpenWrt's device trees).
    if magic.is_some() && !(is_whole && header[28] == LINUX && header[29] != 0) {
        return Ok(None);
    }
    let data = u64::from(field(12));
    let mut title: String = String::from_utf8_lossy(&header[32..])
        .trim_end_matches('\0')
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    if let Some(magic) = magic {
        title.push_str(&format!(", magic number 0x{magic:08x}"));
    }
    // include/image.h of U-Boot: types 2 kernel, 3 ramdisk, 4 multi (a kernel with its ramdisk), 14 a kernel that runs where
    // it lies.
    let role = match header[30] {
        2 | 4 | 14 => Role::Kernel,
        3 => Role::Ramdisk,
        _ => Role::Other,
    };
    let arch = processor::numbered(header[29]);
    // The header does not say for which byte order of MIPS its data is. A script or a file system need not name a processor.
    let mut content = Content {
        length: HEADER + data,
        arch: Some(arch).filter(|arch| role != Role::Other || *arch != Processor::Unnamed),
        title,
        magic,
        ..Content::new(Format::Uimage, role)
    };
    if !is_whole {
        if let Some(length) = longer(store, range, &blank, field(4))? {
            let mut content = foreign::content(Format::Factory);
            content.title = format!("of 0x{length:x} bytes: a uImage's that is longer than U-Boot's own");
            return Ok(Some(content));
        }
        content.problem = Some("the uImage header fails its CRC".into());
    } else if content.length <= range.end - range.start {
        let at = range.start + HEADER;
        let mut digest = CRC32.digest();
        store.scan(at..at + data, |chunk| digest.update(chunk))?;
        if digest.finalize() != field(24) {
            content.problem = Some("the uImage data fails its CRC".into());
        }
        match role {
            _ if content.problem.is_some() => (),
            Role::Kernel => inside(store, at..at + data, &header, &mut content)?,
            Role::Ramdisk => {
                let wrong = piece::root(store, &(at..at + data), "a ramdisk", &mut content)?;
                content.doubt = wrong.map(of_the_uimage);
            }
            _ => (),
        }
    }
    Ok(Some(content))
}

/// The length of a header that has more bytes under the same CRC, as the boot loaders of some boxes want it
/// (`uimage_padhdr.c` and `uimage_sgehdr.c` of openwrt/firmware-utils): all others take it for damaged.
fn longer(store: &Store, range: &Range<u64>, blank: &[u8], sum: u32) -> io::Result<Option<usize>> {
    for length in (96..=256).step_by(32) {
        let mut header = [0; 256];
        if !store.read_head(range, &mut header[..length])? {
            break;
        }
        header[..blank.len()].copy_from_slice(blank);
        if CRC32.checksum(&header[..length]) == sum {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// What the kernel is, and what comes with it.
fn inside(store: &Store, data: Range<u64>, header: &[u8], content: &mut Content) -> io::Result<()> {
    let Some(parts) = parts(store, data, header[30])? else {
        content.problem = Some("the list of the parts in the uImage makes no sense".into());
        return Ok(());
    };
    let Some(kernel) = parts.first() else {
        return Ok(());
    };
    // Only Linux is known well enough to say what it is not.
    if header[28] == LINUX {
        let declared = Declared::Number(header[31]);
        content.doubt = within::problem(store, kernel, declared, content)?.map(of_the_uimage);
        // Behind the kernel comes its ramdisk (`boot_get_ramdisk` in U-Boot's `boot/image-board.c`).
        if let (Some(ramdisk), None) = (parts.get(1), &content.doubt)
            && !device_tree::begins(store, ramdisk)?
        {
            content.doubt = piece::root(store, ramdisk, "a ramdisk", content)?.map(of_the_uimage);
        }
    } else {
        content
            .title
            .push_str(&format!(", not of Linux but of system number {}", header[28]));
    }
    let mut parts = parts.iter();
    while let Some(part) = parts
        .next()
        .filter(|_| content.doubt.is_none() && content.compatible.is_empty())
    {
        content.with_tree(zimage::tree_of(store, part))?;
    }
    Ok(())
}

fn of_the_uimage(what: String) -> String {
    format!("of the uImage: {what}")
}

/// The data of the image, or of each of several in it: their lengths stand in front of them, up to one of 0, and each ends at a
/// multiple of four (`image_multi_count` in U-Boot's `boot/image.c`); `None` where they are not all there.
fn parts(store: &Store, data: Range<u64>, kind: u8) -> io::Result<Option<Vec<Range<u64>>>> {
    const MULTI: u8 = 4;
    const PARTS: usize = 16;
    if kind != MULTI {
        return Ok(Some(vec![data]));
    }
    let mut lengths = Vec::new();
    let mut at = data.start;
    let mut word = [0; 4];
    loop {
        if lengths.len() > PARTS || !store.read_head(&(at..data.end), &mut word)? {
            return Ok(None);
        }
        at += 4;
        match u32::from_be_bytes(word) {
            0 => break,
            length => lengths.push(u64::from(length)),
        }
    }
    let mut parts = Vec::new();
    for length in lengths {
        let part = at..at.saturating_add(length);
        if part.end > data.end {
            return Ok(None);
        }
        at = at.saturating_add(length.next_multiple_of(4));
        parts.push(part);
    }
    Ok(Some(parts).filter(|parts| !parts.is_empty()))
}
