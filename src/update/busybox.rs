//! The busybox that a rescue shell is made of: one that needs nothing beside itself.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use std::fs::File;
use std::io::Read;

/// Bytes of an ELF file that hold its program headers in everything that a linker makes.
const HEAD: u64 = 4096;
/// The program header that names the dynamic loader (`PT_INTERP` of elf(5)).
const INTERPRETER: [u8; 4] = 3u32.to_ne_bytes();

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

/// Whether it is a program of this machine without a dynamic loader.
fn is_static(head: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| {
        let field = head.get(at..at + bytes)?;
        let mut wide = [0; 8];
        match cfg!(target_endian = "big") {
            true => wide[8 - bytes..].copy_from_slice(field),
            false => wide[..bytes].copy_from_slice(field),
        }
        usize::try_from(u64::from_ne_bytes(wide)).ok()
    };
    // Class and byte order of this program.
    let class = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
    let order = if cfg!(target_endian = "big") { 2 } else { 1 };
    let header = (|| match class {
        1 => Some((number(28, 4)?, number(42, 2)?, number(44, 2)?)),
        _ => Some((number(32, 8)?, number(54, 2)?, number(56, 2)?)),
    })();
    match header {
        Some((at, size, count)) if head.starts_with(&[0x7f, b'E', b'L', b'F', class, order]) => {
            (0..count).all(|index| {
                let entry = size.checked_mul(index).and_then(|skip| at.checked_add(skip));
                entry
                    .and_then(|entry| head.get(entry..entry.checked_add(4)?))
                    .is_some_and(|kind| kind != INTERPRETER)
            })
        }
        _ => false,
    }
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
        let at = (0..head.len() - 4).find(|at| at % 8 == 0 && *at >= 64 && head[*at..*at + 4] == INTERPRETER);
        head[at.unwrap()..][..4].copy_from_slice(&1u32.to_ne_bytes());
        assert!(is_static(&head));
        for length in [0, 5, 40, 70] {
            assert!(!is_static(&head[..length]), "{length}");
        }
        assert!(!is_static(b"#!/bin/sh\necho I am busybox\n"));
    }
}
