//! Whether there is enough RAM.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::units::{Grouped, Size};
use crate::plan::{Check, Ram};
use std::fs;

/// What the update needs in RAM beside the image: this program in the RAM root, its buffers, page tables.
pub const OVERHEAD: u64 = 2 << 20;

/// The part of it that has to be there while services still run: the program in the RAM root, and room to work. All of it where
/// the length of the program is not known.
pub fn before_services_end() -> u64 {
    let program = fs::metadata("/proc/self/exe").map_or(OVERHEAD, |about| about.len());
    program.saturating_add(256 << 10).min(OVERHEAD)
}

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
    match ram.in_the_end() >= ram.needed {
        true => {
            let mut text = format!("{} needed, {} available", Size(ram.needed), Size(ram.available));
            if ram.services > 0 {
                text.push_str(&format!(", and {} more when services have ended", Size(ram.services)));
            }
            Check::pass(CheckId::Ram, text)
        }
        false => Check::fail(
            CheckId::Ram,
            format!(
                "the update needs {} bytes of RAM (image, what unpacking it takes, and {}), {} are available: {} too few",
                Grouped(ram.needed),
                Size(OVERHEAD),
                Grouped(ram.in_the_end()),
                Grouped(ram.needed - ram.in_the_end())
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
                ..Ram::default()
            })
        };
        assert_eq!(of(5).status, Status::Pass);
        assert_eq!((of(4).status, of(4).forceable), (Status::Fail, false));
        let with_services = Ram {
            needed: 5,
            available: 3,
            services: 2,
            ..Ram::default()
        };
        assert_eq!(check(with_services).status, Status::Pass);
        assert_eq!((of(u64::MAX).status, of(u64::MAX).forceable), (Status::Fail, true));
    }
}
