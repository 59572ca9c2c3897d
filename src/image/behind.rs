//! What stands behind something that says itself how long it is: images for one partition of kernel and root have the file system
//! behind the kernel, up to some multiple (`mtd_find_rootfs_from` in OpenWrt's `mtdsplit.c` looks for it at erase blocks); some
//! have a second uImage there, or a JFFS2 behind the squashfs.

#![forbid(unsafe_code)]

use crate::base::format::{Format, Nature};
use crate::base::machine::Role;
use crate::base::units::Grouped;
use crate::bytes::store::Store;
use crate::image::content::{self, Content};
use std::io;
use std::ops::Range;

/// More things behind each other than any image has.
const MOST: usize = 4;
/// Where OpenWrt's first boot makes a JFFS2 of what follows (`mount_root` of fstools).
pub(super) const MARK: [u8; 4] = [0xde, 0xad, 0xc0, 0xde];

/// Whether there may be something else behind such content, and where it begins is known.
pub(super) fn has_an_end(content: &Content) -> bool {
    let log = matches!(
        content.format,
        Format::Jffs2 | Format::Ubi | Format::Ubifs | Format::TplinkV1
    );
    let checked = matches!(content.format, Format::Seama) || content.format.nature() == Nature::Flash;
    content.length > 0 && !log && checked && content.problem.is_none()
}

/// Looks at it, and holds it to its own length; what is wrong with it is wrong with all of it.
///
/// # Errors
/// Those of reading the store.
pub(super) fn look(store: &Store, range: &Range<u64>, content: &mut Content) -> io::Result<()> {
    let mut titles = Vec::new();
    let mut all = Vec::new();
    let mut at = range.start + content.length;
    let mut ends = has_an_end(content);
    let mut kernel = content.role == Role::Kernel;
    while ends && all.len() < MOST {
        let begin = at.min(range.end);
        at = past_padding(store, begin..range.end)?;
        if at == range.end {
            break;
        }
        let known = |at| Ok::<_, io::Error>(content::first(store, &(at..range.end))?.filter(is_known));
        let mut found = known(at)?;
        if found.is_none() {
            at = aligned(range.start, begin, at);
            found = known(at)?;
        }
        let (offset, left) = (at - range.start, range.end - at);
        let Some(found) = found else {
            titles.push(format!(
                "; at 0x{offset:x} something that is not known, {} bytes",
                Grouped(left)
            ));
            content.checked = false;
            break;
        };
        titles.push(format!("; at 0x{offset:x} {}", found.format.described()));
        // A boot loader starts the first, or the second where it takes the first for damaged.
        if kernel && found.role == Role::Kernel {
            let bytes = Some(found.length)
                .filter(|length| (1..left).contains(length))
                .unwrap_or(left);
            titles.push(format!(", a second kernel of {} bytes", Grouped(bytes)));
            content.checked = false;
        }
        kernel |= found.role == Role::Kernel;
        let front = all.last().map_or(content.format, |last: &Content| last.format).as_str();
        let place = |what: &String| format!("behind the {front}, at 0x{offset:x}: {what}");
        content.problem = found.problem.as_ref().map(place);
        let nature = found.format.nature();
        let strange =
            !matches!(nature, Nature::Flash | Nature::Packed | Nature::BootLoader) && found.format != Format::Seama;
        let strange = strange.then(|| found.format.described().to_owned());
        content.doubt = content
            .doubt
            .take()
            .or(found.doubt.as_ref().or(strange.as_ref()).map(place));
        ends = has_an_end(&found);
        at = at.saturating_add(found.length);
        all.push(found);
    }
    content.title.push_str(&titles.concat());
    content.behind = all
        .into_iter()
        .rev()
        .fold(None, |behind, found| Some(Box::new(Content { behind, ..found })));
    Ok(())
}

/// What is only taken for something by what stands further behind is not known here.
fn is_known(found: &Content) -> bool {
    found.format != Format::Factory
}

/// Where something begins behind such padding that begins with zeros itself, as a kernel for ARM does.
pub(super) fn aligned(origin: u64, padding: u64, end: u64) -> u64 {
    (end - (end - origin) % 4).max(padding)
}

/// Where something begins that is no padding; the end where nothing does.
///
/// # Errors
/// Those of reading the store.
pub(super) fn past_padding(store: &Store, mut left: Range<u64>) -> io::Result<u64> {
    loop {
        left.start = store.past_any(left.clone(), &[0xff, 0])?;
        let mut buffer = [0; 4 << 10];
        let front = store.front(&left, &mut buffer)?;
        let marks = front.chunks(MARK.len()).take_while(|four| **four == MARK).count();
        if marks == 0 {
            return Ok(left.start);
        }
        left.start += (marks * MARK.len()) as u64;
    }
}
