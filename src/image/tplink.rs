//! TP-Link's header of the first version, which the boot loaders of its older routers read, and OpenWrt's images for them have
//! (`mktplinkfw.c` and `mktplinkfw-lib.c` of openwrt/firmware-utils). All numbers are big-endian.
//!
//! An MD5 covers the whole file, with a salt in its own place. Headers of later versions are only recognised.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Fields;
use crate::bytes::packed::Codec;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::digest::Digest;
use crate::image::foreign;
use std::io;
use std::ops::Range;

/// Bytes of the header.
const HEADER: usize = 0x200;
/// Where the MD5 stands.
const MD5: Range<usize> = 0x4c..0x5c;
/// What stands there while it is computed: in an image without a boot loader, and in one with it.
const SALT: [u8; 16] = [
    0xdc, 0xd7, 0x3a, 0xa5, 0xc3, 0x95, 0x98, 0xfb, 0xdd, 0xf9, 0xe7, 0xf4, 0x0e, 0xae, 0x47, 0x38,
];
const BOOT_SALT: [u8; 16] = [
    0x8c, 0xef, 0x33, 0x5b, 0xd5, 0xc5, 0xce, 0xfa, 0xa7, 0x9c, 0x28, 0xda, 0xb2, 0xe9, 0x0f, 0x42,
];
/// Bytes that the boot loader takes in an image with one.
const BOOT_LOADER: u64 = 0x20000;

/// A text that is filled up with zeros, or behind one of them with 0xff; `None` for anything else.
fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = bytes.split_at(end);
    let printable = text.iter().all(|byte| (0x20..0x7f).contains(byte));
    let filled = |with: u8| rest[1..].iter().all(|byte| *byte == with);
    let whole = end > 0 && printable && (filled(0) || filled(0xff));
    whole.then(|| std::str::from_utf8(text).ok()).flatten()
}

/// Recognises an image and checks its MD5 and its lengths.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; HEADER];
    if !store.read_head(range, &mut head)? {
        return Ok(None);
    }
    let field = |at| Fields(&head).be32(at).unwrap_or_default();
    let version = match field(0) {
        0x0100_0000 => text(&head[4..28]),
        // The second kind of header has one text and two marks (`mktplinkfw2.c`).
        0x0200_0000 | 0x0300_0000 if text(&head[4..0x34]).is_some() && head[0x8c..0x8e] == [0x55, 0xaa] => {
            return Ok(Some(foreign::content(Format::TplinkV2)));
        }
        0x0200_0000 if text(&head[4..28]).is_some() => return Ok(Some(foreign::content(Format::TplinkV2))),
        _ => None,
    };
    let Some(vendor) = version else {
        return Ok(None);
    };
    let has_boot_loader = field(0x94) != 0;
    if has_boot_loader && let Some(content) = with_boot_loader(store, range, field(0x80))? {
        return Ok(Some(content));
    }
    let room = range.end - range.start;
    let mut content = Content {
        title: format!("of {vendor}, {}", text(&head[28..64]).unwrap_or("without a version")),
        hardware: Some(format!("{:08x}", field(0x40))),
        ..Content::new(Format::TplinkV1, Role::Kernel)
    };
    let ends = |at: usize| u64::from(field(at)) + u64::from(field(at + 4));
    content.length = ends(0x80).max(ends(0x88)).max(ends(0x90));
    if field(0x80) < HEADER as u32 || field(0x84) == 0 {
        content.problem = Some("the tp-link header names no kernel".into());
    } else if content.length > room {
        return Ok(Some(content));
    } else if head[MD5] == [0; 16] {
        // Those of a kernel that is only to be started once.
        content.problem = Some("the tp-link image has no MD5: it is not made for flash".into());
    } else if u64::from(field(0x7c)) < room {
        content.doubt = Some(format!(
            "the tp-link image says that it has at most {} bytes, and {room} are there",
            field(0x7c)
        ));
    } else if !is_whole(store, range, &head, has_boot_loader)? {
        content.doubt = Some("the tp-link image fails its MD5".into());
    }
    Ok(Some(content))
}

/// Of TP-Link's own images those with `boot` in their names have the boot loader behind a header of their own, and then what lies on
/// the flash, which begins with a header again. `None` where the packed kernel is where the header says.
fn with_boot_loader(store: &Store, range: &Range<u64>, kernel: u32) -> io::Result<Option<Content>> {
    let from = |offset: u64| range.end.min(range.start + offset)..range.end;
    let behind = HEADER as u64 + BOOT_LOADER;
    let mut version = [0; 4];
    let title = if store.read_head(&from(behind), &mut version)? && version == [1, 0, 0, 0] {
        format!(
            "of 0x{behind:x} bytes: TP-Link's, with a boot loader; what lies on the flash begins behind it (dd bs=512 skip={})",
            behind / 512
        )
    } else if Codec::at(store, &from(kernel.into()))?.is_none() {
        "of TP-Link's, with a boot loader behind it".to_owned()
    } else {
        return Ok(None);
    };
    Ok(Some(Content {
        title,
        ..foreign::content(Format::Factory)
    }))
}

fn is_whole(store: &Store, range: &Range<u64>, head: &[u8; HEADER], has_boot_loader: bool) -> io::Result<bool> {
    let mut salted = *head;
    salted[MD5].copy_from_slice(if has_boot_loader { &BOOT_SALT } else { &SALT });
    let mut digest = Digest::md5();
    digest.update(&salted);
    store.scan(range.start + HEADER as u64..range.end, |chunk| digest.update(chunk))?;
    Ok(digest.finish() == head[MD5])
}
