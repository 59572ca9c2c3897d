//! The kernel for ARM that unpacks itself: it says where it ends (`arch/arm/boot/compressed/head.S`), and what stands there may be a
//! device tree (`CONFIG_ARM_APPENDED_DTB`), as Debian's flash-kernel puts it there.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::device_tree::{self, MadeFor};
use std::io;
use std::ops::Range;

/// The magic number, and where it stands.
const MAGIC: u32 = 0x016f_2818;
const AT: usize = 0x24;

/// How long one says that it is, by its first bytes; `None` for anything else. One that does not end behind its beginning is
/// longer than any.
pub(super) fn length(head: &Fields<'_>) -> Option<u64> {
    head.le32(AT).filter(|magic| *magic == MAGIC)?;
    let (start, end) = (head.le32(AT + 4)?, head.le32(AT + 8)?);
    let length = end.checked_sub(start).filter(|length| *length > 0);
    Some(length.unwrap_or(u32::MAX).into())
}

/// What the device tree is for that is this range, or stands behind the kernel in it; `None` where there is none.
///
/// # Errors
/// `InvalidData` for a tree that makes no sense or is cut off, else those of reading.
pub(super) fn tree_of(store: &Store, range: &Range<u64>) -> io::Result<Option<MadeFor>> {
    let mut head = [0; 0x30];
    let read = store.read_head(range, &mut head)?;
    let length = Some(Fields(&head)).filter(|_| read).and_then(|head| length(&head));
    let at = range.start.saturating_add(length.unwrap_or_default());
    if at >= range.end {
        return Ok(None);
    }
    let there = device_tree::begins(store, &(at..range.end))?;
    match device_tree::made_for(store, &(at..range.end))? {
        None if there => Err(bad("the device tree behind the kernel is cut off")),
        found => Ok(found),
    }
}
