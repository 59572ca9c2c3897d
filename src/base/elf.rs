//! The head of a program: what it runs on, and whether it needs a dynamic loader (elf(5), `elf.h`).

#![forbid(unsafe_code)]

use crate::base::machine::{Arch, Cpu, Order, Processor};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file that hold its program headers in everything that a linker makes.
const HEAD: u64 = 4096;

/// `PT_INTERP`: the program header that names the dynamic loader.
const INTERPRETER: u64 = 3;

/// The width of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

/// A program, by its first bytes.
#[derive(Clone, Copy)]
pub struct Elf<'a> {
    head: &'a [u8],
    /// The width of addresses.
    pub class: Class,
    /// The byte order.
    pub order: Order,
}

impl<'a> Elf<'a> {
    /// `None` for what is not an ELF file.
    pub fn of(head: &'a [u8]) -> Option<Elf<'a>> {
        let (class, order) = match head {
            [0x7f, b'E', b'L', b'F', class, order, ..] => (*class, *order),
            _ => return None,
        };
        Some(Elf {
            head,
            class: match class {
                1 => Class::Narrow,
                2 => Class::Wide,
                _ => return None,
            },
            order: match order {
                1 => Order::Little,
                2 => Order::Big,
                _ => return None,
            },
        })
    }

    /// The processor, by its `e_machine` (`include/uapi/linux/elf-em.h`).
    pub fn processor(&self) -> Option<Processor> {
        // EM_386, EM_MIPS, EM_ARM, EM_X86_64, EM_AARCH64.
        Some(match self.number(18, 2)? {
            3 | 62 => Processor::Known(Arch::X86),
            8 => Processor::Known(Arch::Mips),
            40 => Processor::Known(Arch::Arm),
            183 => Processor::Known(Arch::Aarch64),
            other => Processor::Other(format!("number {other}")),
        })
    }

    /// The same with its byte order, if it is one that has a name here.
    pub fn cpu(&self) -> Option<Cpu> {
        match self.processor()? {
            Processor::Known(arch) => Some(Cpu {
                arch,
                order: self.order,
            }),
            _ => None,
        }
    }

    /// Whether it is for the processor that this program is for, with the same width and byte order.
    pub fn is_of_our_kind(&self) -> bool {
        let class = match cfg!(target_pointer_width = "64") {
            true => Class::Wide,
            false => Class::Narrow,
        };
        let order = match cfg!(target_endian = "big") {
            true => Order::Big,
            false => Order::Little,
        };
        (self.class, self.order) == (class, order) && self.cpu() == Cpu::ours()
    }

    /// Whether it names a dynamic loader; `None` if its program headers are not all in these bytes.
    pub fn has_interpreter(&self) -> Option<bool> {
        // e_phoff, e_phentsize, e_phnum.
        let (at, size, count) = match self.class {
            Class::Narrow => (self.number(28, 4)?, self.number(42, 2)?, self.number(44, 2)?),
            Class::Wide => (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?),
        };
        let mut found = false;
        for index in 0..count {
            let entry = at.checked_add(size.checked_mul(index)?)?;
            // p_type.
            found |= self.number(usize::try_from(entry).ok()?, 4)? == INTERPRETER;
        }
        Some(found)
    }

    fn number(&self, at: usize, bytes: usize) -> Option<u64> {
        let field = self.head.get(at..at.checked_add(bytes)?)?;
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self.order {
            Order::Big => field.iter().fold(0, push),
            Order::Little => field.iter().rev().fold(0, push),
        })
    }
}

/// Whether a file is a program of this machine without a dynamic loader. Program headers that are not in its head could name one.
///
/// # Errors
/// Those of reading it.
pub fn is_static(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(Elf::of(&head).is_some_and(|elf| elf.is_of_our_kind() && elf.has_interpreter() == Some(false)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The head of flasher's own binary for armel (`readelf -l` calls it statically linked).
    const STATIC_ARM: &str = "\
        7f454c460101010000000000000000000200280001000000f029040034000000d0050c000002000534002000090028000e00\
        0d00060000003400000034000100340001002001000020010000040000000400000001000000000000000000010000000100\
        f0290200f0290200040000000000010001000000f0290200f0290400f02904005cd909005cd9090005000000000001000100\
        000050030c0050030f0050030f007c000000b00c0000060000000000010001000000d0030c00d0031000d003100048010000\
        a409000006000000000001000700000050030c0050030f0050030f002400000050000000040000000800000052e574645003\
        0c0050030f0050030f007c000000b00c0000040000000100000051e574640000000000000000000000000000000000000001\
        06000000000000000100007054010000540101005401010008020000080200000400000004000000";
    /// That of `/bin/busybox` in Debian's busybox-static 1.35.0 for amd64.
    const STATIC_X86: &str = "\
        7f454c4602010103000000000000000002003e0001000000f0eb400000000000400000000000000070381e00000000000000\
        0000400038000a0040001b001a000100000004000000000000000000000000004000000000000000400000000000e0060000\
        00000000e0060000000000000010000000000000010000000500000000100000000000000010400000000000001040000000\
        0000893918000000000089391800000000000010000000000000010000000400000000501800000000000050580000000000\
        0050580000000000175005000000000017500500000000000010000000000000010000000600000008a71d000000000008b7\
        5d000000000008b75d0000000000089000000000000050040100000000000010000000000000040000000400000070020000\
        0000000070024000000000007002400000000000200000000000000020000000000000000800000000000000040000000400\
        0000900200000000000090024000000000009002400000000000440000000000000044000000000000000400000000000000\
        070000000400000008a71d000000000008b75d000000000008b75d000000000028000000000000008a000000000000000800\
        00000000000053e5746404000000700200000000000070024000000000007002400000000000200000000000000020000000\
        00000000080000000000000051e5746406000000000000000000000000000000000000000000000000000000000000000000\
        00000000000000000000100000000000000052e574640400000008a71d000000000008b75d000000000008b75d0000000000\
        f868000000000000f8680000000000000100000000000000";
    /// That of `libc.so.6` in Debian's libc6-mips-cross 2.36, which can be started and names a loader.
    const DYNAMIC_MIPS: &str = "\
        7f454c46010201000000000000000000000300080000000100020c2400000034001dfae47000100700340020000d0028003e\
        003d00000006000000340000003400000034000001a0000001a0000000040000000400000003001af4a4001af4a4001af4a4\
        0000001000000010000000040000000470000003000001d8000001d8000001d8000000180000001800000004000000087000\
        0000000001f0000001f0000001f00000001800000018000000040000000400000001000000000000000000000000001bbf44\
        001bbf44000000050001000000000001001bd076001cd076001cd076000057d60000f3da0000000600010000000000020000\
        024c0000024c0000024c00000108000001080000000400000004000000040000020800000208000002080000004400000044\
        000000040000000400000007001bd648001cd648001cd648000000080000005400000004000000046474e550001af4b4001a\
        f4b4001af4b4000022ec000022ec00000004000000046474e551000000000000000000000000000000000000000000000007\
        000000106474e552001bd076001cd076001cd07600002f8a00002f8a00000004000000010000000000000000000000000000\
        000000000000000000000000000000000004";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn programs_of_other_machines_are_read_in_their_own_order_and_width() {
        for (hex, class, arch, order, interpreter) in [
            (STATIC_ARM, Class::Narrow, Arch::Arm, Order::Little, false),
            (STATIC_X86, Class::Wide, Arch::X86, Order::Little, false),
            (DYNAMIC_MIPS, Class::Narrow, Arch::Mips, Order::Big, true),
        ] {
            let head = bytes(hex);
            let elf = Elf::of(&head).unwrap();
            assert_eq!((elf.class, elf.order), (class, order));
            assert_eq!(elf.cpu(), Some(Cpu { arch, order }));
            assert_eq!(elf.has_interpreter(), Some(interpreter));
        }
    }

    #[test]
    fn what_a_cut_head_does_not_show_is_unknown() {
        let head = bytes(STATIC_ARM);
        for length in 0..head.len() {
            let elf = Elf::of(&head[..length]);
            // The kind of its last program header ends there.
            let known = elf.and_then(|elf| elf.has_interpreter()).is_some();
            assert_eq!(known, length >= 312, "{length}");
            assert_eq!(elf.is_some(), length >= 6, "{length}");
            assert_eq!(elf.and_then(|elf| elf.cpu()).is_some(), length >= 20, "{length}");
        }
        assert!(Elf::of(b"#!/bin/sh\necho I am busybox\n").is_none());
        assert!(Elf::of(&[0x7f, b'E', b'L', b'F', 3, 1]).is_none());
    }

    #[test]
    fn this_program_needs_a_loader_and_is_of_our_kind() {
        let head = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::of(&head).unwrap();
        assert!(elf.is_of_our_kind());
        assert_eq!(elf.cpu(), Cpu::ours());
        assert_eq!(elf.has_interpreter(), Some(true));
    }

    #[test]
    fn a_program_that_needs_a_loader_is_told_from_one_that_does_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let is = |head: &[u8]| {
            std::fs::write(file.path(), head).unwrap();
            is_static(file.path()).unwrap()
        };
        // These tests themselves need one.
        let mut head = std::fs::read("/proc/self/exe").unwrap();
        head.truncate(HEAD as usize);
        assert!(!is(&head));
        // `PT_INTERP` becomes `PT_LOAD`.
        let interpreter = 3u32.to_ne_bytes();
        let at = (0..head.len() - 4).find(|at| at % 8 == 0 && *at >= 64 && head[*at..*at + 4] == interpreter);
        head[at.unwrap()..][..4].copy_from_slice(&1u32.to_ne_bytes());
        assert!(is(&head));
        for length in [0, 5, 40, 70] {
            assert!(!is(&head[..length]), "{length}");
        }
        assert!(!is(b"#!/bin/sh\necho I am busybox\n"));
    }
}
