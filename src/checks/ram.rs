//! Whether there is enough RAM.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::units::{Grouped, Size};
use crate::plan::{Check, Ram};

/// What the update needs in RAM beside the image: this program in the RAM root, its buffers, page tables.
pub const OVERHEAD: u64 = 2 << 20;

/// What to do where RAM is short.
pub const MORE_ROOM: &str = "copy the image to a disk that is mounted and name it there, stop services that use much memory, remove \
                             files from /tmp, or reboot and try again at once";
/// Whether there is enough.
pub fn check(ram: Ram) -> Check {
    match ram.available >= ram.needed {
        true => Check::pass(
            CheckId::Ram,
            match ram.available {
                u64::MAX => format!("{} needed", Size(ram.needed)),
                available => format!("{} needed, {} available", Size(ram.needed), Size(available)),
            },
        ),
        false => Check::fail(
            CheckId::Ram,
            format!(
                "the update needs {} bytes of RAM (image, what unpacking it takes, and {}), {} are available: {} too few",
                Grouped(ram.needed),
                Size(OVERHEAD),
                Grouped(ram.available),
                Grouped(ram.needed - ram.available)
            ),
            MORE_ROOM,
        ),
    }
}
