//! TRX, the image of Broadcom's routers: length and CRC-32 of all that follows the CRC (`trx.c` of OpenWrt's mtd).

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::fwtool::CRC;
use crate::image::piece;
use std::io;
use std::ops::Range;

/// Where the CRC begins to count.
const CHECKED: u64 = 12;

/// Which bytes of the fourth part a boot loader of the second version changes, to count how often it tried the image; the CRC
/// takes them for blank (`trx.c` of openwrt/firmware-utils).
const TRIES: Range<u64> = 22..30;

/// The CRC of all that follows it; `part` is where the fourth part is.
fn sum(store: &Store, whole: Range<u64>, part: Option<u64>) -> io::Result<u32> {
    let blank = part
        .map(|part| part + TRIES.start..part + TRIES.end)
        .unwrap_or_default();
    let mut digest = CRC.digest();
    let mut at = whole.start + CHECKED;
    for end in [blank.start, blank.end, whole.end] {
        let end = end.clamp(at, whole.end);
        match end == blank.end {
            true => digest.update(&[0xff; TRIES.end as usize][..(end - at) as usize]),
            false => store.scan(at..end, |chunk| digest.update(chunk))?,
        }
        at = end;
    }
    Ok(digest.finalize())
}

/// Recognises a TRX and checks its CRC.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut head = [0; 32];
    if !store.read_head(range, &mut head)? || &head[..4] != b"HDR0" {
        return Ok(None);
    }
    let field = |at| Fields(&head).le32(at).unwrap_or_default();
    let length = u64::from(field(4));
    let version = field(12) >> 16;
    let offsets = if version == 2 { 16..32 } else { 16..28 };
    let all: Vec<_> = offsets.step_by(4).map(field).collect();
    let parts: Vec<_> = all.iter().copied().filter(|offset| *offset != 0).collect();
    let mut content = Content {
        length,
        title: format!("version {version}, {} parts", parts.len()),
        ..Content::new(Format::Trx, Role::Kernel)
    };
    let header = if version == 2 { 32 } else { 28 };
    let ascending = parts.is_sorted_by(|one, other| one < other) && parts.first().is_some_and(|first| *first >= header);
    if !(1..=2).contains(&version)
        || length < head.len() as u64
        || !ascending
        || parts.iter().any(|offset| u64::from(*offset) >= length)
    {
        content.problem = Some("the trx header makes no sense".into());
    } else if length <= range.end - range.start {
        let whole = range.start..range.start + length;
        let flags = all
            .get(3)
            .filter(|part| **part != 0)
            .map(|part| range.start + u64::from(*part));
        if sum(store, whole, flags)? != field(8) {
            content.problem = Some("the trx fails its CRC".into());
        } else {
            let ends = parts.iter().skip(1).copied().map(u64::from).chain([length]);
            for (part, end) in parts.iter().zip(ends) {
                let part = range.start + u64::from(*part)..range.start + end;
                inside(store, part, range.start, &mut content)?;
            }
        }
    }
    Ok(Some(content))
}

/// What a part is, and what is wrong with it. That it is longer than the part is told.
fn inside(store: &Store, part: Range<u64>, start: u64, content: &mut Content) -> io::Result<()> {
    let offset = part.start - start;
    let place = |what: &str| format!("in the trx, at 0x{offset:x}: {what}");
    let piece = piece::look(store, &part)?;
    content.doubt = content.doubt.take().or(piece.wrong().as_deref().map(place));
    let Some(found) = piece.content else {
        return Ok(());
    };
    content.problem = content.problem.take().or(found.problem.as_deref().map(place));
    // How long a part is the TRX says; a boot loader that knows better is told from one that does not by nobody.
    if let Some(short) = found.too_long(part.end - part.start) {
        content.title.push_str(&format!("; {}", place(&short)));
        content.checked = false;
    }
    content.made_as(found);
    Ok(())
}
