//! TRX, the image of Broadcom's routers: length and CRC-32 of all that follows the CRC (`trx.c` of OpenWrt's mtd).

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::fwtool::CRC;
use std::io;
use std::ops::Range;

/// Where the CRC begins to count.
const CHECKED: u64 = 12;

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
    let parts: Vec<_> = offsets.step_by(4).map(field).filter(|offset| *offset != 0).collect();
    let mut content = Content {
        length,
        title: format!("version {version}, {} parts", parts.len()),
        ..Content::new(Format::Trx, Role::Kernel)
    };
    if !(1..=2).contains(&version)
        || length < head.len() as u64
        || parts.is_empty()
        || parts.iter().any(|offset| u64::from(*offset) >= length)
    {
        content.problem = Some("the trx header makes no sense".into());
    } else if length <= range.end - range.start {
        let mut digest = CRC.digest();
        store.scan(range.start + CHECKED..range.start + length, |chunk| {
            digest.update(chunk)
        })?;
        if digest.finalize() != field(8) {
            content.problem = Some("the trx fails its CRC".into());
        }
    }
    Ok(Some(content))
}
