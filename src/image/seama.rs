//! SEAMA, the image of routers that Alpha Networks made for D-Link and others (`seama.h` of openwrt/firmware-utils): entities
//! one behind the other, each with a header, texts about it, and the MD5 of its data. A seal – a header without data – stands
//! in front of what a vendor's web page takes; on flash is what is inside. All numbers are big-endian.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::digest::{self, Digest};
use crate::image::piece;
use std::io;
use std::ops::Range;

const MAGIC: u32 = 0x5ea3_a417;
/// Bytes of a header without and with its MD5.
const SEAL: u64 = 12;
const ENTITY: u64 = 28;
/// Texts that are looked at, in bytes.
const META: u64 = 1 << 10;

/// Recognises one and checks the MD5 of every entity.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut content = Content::new(Format::Seama, Role::Kernel);
    let mut at = range.start;
    let mut entities = 0;
    let mut head = [0; ENTITY as usize];
    while store.read_head(&(at..range.end), &mut head)? && Fields(&head).be32(0) == Some(MAGIC) {
        let meta = u64::from(Fields(&head).be32(4).unwrap_or_default() & 0xffff);
        let size = u64::from(Fields(&head).be32(8).unwrap_or_default());
        let header = if size == 0 { SEAL } else { ENTITY };
        if content.title.is_empty() {
            content.title = about(store, at + header..(at + header + meta.min(META)).min(range.end))?;
        }
        let data = at + header + meta..at + header + meta + size;
        content.length = data.end - range.start;
        if data.end > range.end {
            return Ok(Some(content));
        }
        if size == 0 {
            content.doubt =
                Some("the seama image is sealed, as a vendor's web page takes it: on flash is what is in it".into());
        } else {
            entities += 1;
            if digest::all(store, data.clone(), vec![Digest::md5()])? != [&head[12..28]] {
                content.problem = Some("the seama image fails its MD5".into());
                return Ok(Some(content));
            }
            if content.doubt.is_none() {
                content.doubt = inside(store, &data, &mut content)?
                    .map(|what| format!("in the seama image, at 0x{:x}: {what}", data.start - range.start));
            }
        }
        at = data.end;
    }
    if at == range.start {
        return Ok(None);
    }
    if entities == 0 {
        content.problem = Some("there is nothing in the seama image".into());
    }
    Ok(Some(content))
}

/// What is wrong with the data of an entity, which is a kernel, or one and its root file system.
fn inside(store: &Store, data: &Range<u64>, content: &mut Content) -> io::Result<Option<String>> {
    let piece = piece::look(store, data)?;
    let wrong = piece.wrong();
    let Some(found) = piece.content else {
        return Ok(wrong);
    };
    let short = found.too_long(data.end - data.start);
    content.made_as(found);
    Ok(wrong.or(short))
}

/// The texts, such as `dev=/dev/mtdblock/1` and `type=firmware`.
fn about(store: &Store, range: Range<u64>) -> io::Result<String> {
    let bytes = store.bytes(&range)?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words
        .map(|word| {
            String::from_utf8_lossy(word)
                .chars()
                .filter(|c| !c.is_control())
                .collect::<String>()
        })
        .collect();
    Ok(words.join(" "))
}
