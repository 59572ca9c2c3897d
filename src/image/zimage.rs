//! The kernel for ARM that unpacks itself: it says where it ends (`arch/arm/boot/compressed/head.S`), and what stands there may be a
//! device tree (`CONFIG_ARM_APPENDED_DTB`), as Debian's flash-kernel puts it there.

#![forbid(unsafe_code)]

use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::device_tree::{self, MadeFor};
use std::io;
use std::ops::Range;

/// The magic number, and where it stands.
const MAGIC: u32 = 0x016f_2818;
const AT: usize = 0x24;

/// What the device tree is for that is this range, or stands behind the kernel in it; `None` where there is none.
///
/// # Errors
/// Those of reading.
pub(super) fn tree_of(store: &Store, range: &Range<u64>) -> io::Result<Option<MadeFor>> {
    let mut head = [0; 0x30];
    let found = match store.read_head(range, &mut head)? && Fields(&head).le32(AT) == Some(MAGIC) {
        true => {
            let field = |at| u64::from(Fields(&head).le32(at).unwrap_or_default());
            let length = field(AT + 8).saturating_sub(field(AT + 4));
            let at = range.start + length;
            match length > 0 && at < range.end {
                true => device_tree::made_for(store, &(at..range.end)),
                false => Ok(None),
            }
        }
        false => device_tree::made_for(store, range),
    };
    match found {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        other => other,
    }
}
