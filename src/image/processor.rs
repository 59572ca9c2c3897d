//! The processors that U-Boot's images name: by number in a legacy image (`IH_ARCH_*` in `include/image.h`), by name in a FIT
//! (`uimage_arch` in `boot/image.c`).

#![forbid(unsafe_code)]

use crate::base::machine::{Arch, Processor};
use crate::base::quoted::Quoted;

/// In the order of their numbers.
const NAMES: [&str; 27] = [
    "invalid",
    "alpha",
    "arm",
    "x86",
    "ia64",
    "mips",
    "mips64",
    "powerpc",
    "s390",
    "sh",
    "sparc",
    "sparc64",
    "m68k",
    "nios",
    "microblaze",
    "nios2",
    "blackfin",
    "avr32",
    "st200",
    "sandbox",
    "nds32",
    "or1k",
    "arm64",
    "arc",
    "x86_64",
    "xtensa",
    "riscv",
];

/// The processor with this number.
pub(super) fn numbered(number: u8) -> Processor {
    match NAMES.get(usize::from(number)) {
        Some(name) => named(Some(name)),
        None => Processor::Other(format!("number {number}")),
    }
}

/// The processor with this name.
pub(super) fn named(name: Option<&str>) -> Processor {
    match name {
        None | Some("" | "invalid") => Processor::Unnamed,
        Some("arm") => Processor::Known(Arch::Arm),
        Some("arm64") => Processor::Known(Arch::Aarch64),
        Some("mips") => Processor::Known(Arch::Mips),
        Some("x86" | "x86_64") => Processor::Known(Arch::X86),
        Some("ppc") => Processor::Other("powerpc".to_owned()),
        Some(other) if NAMES.contains(&other) => Processor::Other(other.to_owned()),
        Some(other) => Processor::Other(Quoted(other).to_string()),
    }
}
