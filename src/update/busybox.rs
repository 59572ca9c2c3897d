//! The busybox that a rescue shell is made of: one that needs nothing beside itself.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::elf::{Elf, HEAD};
use crate::base::error::{Exit, Failure, Result};
use std::fs::File;
use std::io::Read;

/// Where it is.
///
/// # Errors
/// [`Exit::Refused`] where there is none, or where each needs libraries that the RAM root has not.
pub(crate) fn find() -> Result<String> {
    let mut what = "there is no busybox to keep for a rescue shell";
    for path in ["/bin/busybox", "/sbin/busybox", "/usr/bin/busybox"] {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
        match read.is_ok().then(|| is_static(&head)) {
            Some(true) => return Ok(path.to_owned()),
            Some(false) => what = "the busybox of this box is no static one, and could not start in the rescue",
            None => (),
        }
    }
    Err(Failure::new(Exit::Refused, Code::RescueShell, what)
        .hint("put a static busybox in /usr/bin/busybox, or leave --rescue-shell out"))
}

/// Whether it is a program of this machine without a dynamic loader. Program headers that are not in the head could name
/// one.
fn is_static(head: &[u8]) -> bool {
    Elf::of(head).is_some_and(|elf| elf.is_of_our_kind() && elf.has_interpreter() == Some(false))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_told_from_one_that_does_not() {
        // These tests themselves need one.
        let mut head = std::fs::read("/proc/self/exe").unwrap();
        head.truncate(HEAD as usize);
        assert!(!is_static(&head));
        // `PT_INTERP` becomes `PT_LOAD`.
        let interpreter = 3u32.to_ne_bytes();
        let at = (0..head.len() - 4).find(|at| at % 8 == 0 && *at >= 64 && head[*at..*at + 4] == interpreter);
        head[at.unwrap()..][..4].copy_from_slice(&1u32.to_ne_bytes());
        assert!(is_static(&head));
        for length in [0, 5, 40, 70] {
            assert!(!is_static(&head[..length]), "{length}");
        }
        assert!(!is_static(b"#!/bin/sh\necho I am busybox\n"));
    }
}
