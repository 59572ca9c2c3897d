//! What programs are compiled for, and what the pieces of a firmware are for: the words that boxes and images have in
//! common.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// What programs are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// The instruction set.
    pub arch: Arch,
    /// The byte order.
    pub order: Order,
}

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 32-bit ARM.
    Arm,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit MIPS.
    Mips,
    /// x86, 32 or 64 bit.
    X86,
}

/// The processor that a program or a kernel says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Processor {
    /// One that boxes here have.
    Known(Arch),
    /// Another, by the name that U-Boot has for it, or its number.
    Other(String),
    /// It has to say one and says none.
    Unnamed,
}

impl Processor {
    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Processor::Known(arch) => arch.as_str(),
            Processor::Other(name) => name,
            Processor::Unnamed => "unnamed",
        }
    }
}

impl Serialize for Processor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Arch {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Arch::Arm => "arm",
            Arch::Aarch64 => "aarch64",
            Arch::Mips => "mips",
            Arch::X86 => "x86",
        }
    }
}

impl Order {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Order::Little => "little-endian",
            Order::Big => "big-endian",
        }
    }
}

impl Cpu {
    /// What this program was compiled for, which is what the box runs.
    pub fn ours() -> Option<Cpu> {
        let arch = match std::env::consts::ARCH {
            "arm" => Arch::Arm,
            "aarch64" => Arch::Aarch64,
            "mips" => Arch::Mips,
            "x86" | "x86_64" => Arch::X86,
            _ => return None,
        };
        let order = match cfg!(target_endian = "big") {
            true => Order::Big,
            false => Order::Little,
        };
        Some(Cpu { arch, order })
    }
}

/// What bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A kernel, which the boot loader checks before it starts it.
    Kernel,
    /// An initial ramdisk, likewise checked.
    Ramdisk,
    /// A file system.
    Filesystem,
    /// Something else with a header.
    Other,
}

impl Role {
    /// The one with this word; `None` where there is none.
    pub fn from_word(word: &str) -> Option<Role> {
        let all = [Role::Kernel, Role::Ramdisk, Role::Filesystem, Role::Other];
        all.into_iter().find(|role| role.as_str() == word)
    }

    /// The name of a part whose format gives it none.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Kernel => "kernel",
            Role::Ramdisk => "ramdisk",
            Role::Filesystem => "filesystem",
            Role::Other => "other",
        }
    }
}
