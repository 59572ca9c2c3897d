//! Whether there is enough RAM.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::units::{Grouped, Size};
use crate::plan::{Check, Ram};

pub use crate::bytes::budget::OVERHEAD;

/// What to do where RAM is short.
pub const MORE_ROOM: &str = "copy the image to a disk that is mounted and name it there, stop services that use much memory, remove \
                             files from /tmp, or reboot and try again at once";
/// Whether there is enough. Where it is not known how much there is, `available` has all bits set.
pub fn check(ram: Ram) -> Check {
    if ram.available == u64::MAX {
        let text = format!(
            "the update needs {} of RAM, and the kernel does not say how much can be had",
            Size(ram.needed)
        );
        let remedy = "mount /proc: mount -t proc proc /proc; --force=ram if there is enough";
        return Check::fail(CheckId::Ram, text, remedy).forceable();
    }
    match ram.available >= ram.needed {
        true => Check::pass(
            CheckId::Ram,
            format!("{} needed, {} available", Size(ram.needed), Size(ram.available)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Status;

    #[test]
    fn ram_of_which_nothing_is_known_is_not_enough() {
        let of = |available| {
            check(Ram {
                needed: 5,
                available,
                rollback: 0,
            })
        };
        assert_eq!(of(5).status, Status::Pass);
        assert_eq!((of(4).status, of(4).forceable), (Status::Fail, false));
        assert_eq!((of(u64::MAX).status, of(u64::MAX).forceable), (Status::Fail, true));
    }
}
