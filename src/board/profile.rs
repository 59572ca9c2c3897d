//! What is known of a kind of box: its partitions, what protects them, the signs it is recognised by.
//!
//! A profile is a JSON file; those in `profiles/` are compiled in, `--board FILE` names one of the user's.
//! The partition tables of the QNAP and Synology boxes are those of Linux's device trees and board files
//! (`kirkwood-ts219.dtsi`, `mach-orion5x/ts209-setup.c`, `armada-370-synology-ds213j.dts`).

#![forbid(unsafe_code)]

use super::purpose::Purpose;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::base::machine::{Cpu, Role};
use crate::base::sizes;
use mtd_rs::FlashKind;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The id of the profile that knows no particular box.
pub const GENERIC: &str = "generic";

/// A kind of box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The name on the command line.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// What its programs are compiled for; unknown for `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// How it is recognised.
    #[serde(default)]
    pub signs: Signs,
    /// The flash chip that a simulated box of this kind has.
    pub chip: Chip,
    /// Main memory in bytes of a simulated box of this kind.
    #[serde(deserialize_with = "sizes::size")]
    pub ram: u64,
    /// The partitions, in the order of their mtd numbers.
    pub partitions: Vec<PartitionProfile>,
    /// Which images find their partitions without `--part`.
    #[serde(default)]
    pub accepts: Vec<Accepts>,
    /// OpenWrt's names for it, as in `supported_devices`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub openwrt: Vec<String>,
    /// OpenWrt's `compat_version` of a simulated box of this kind, if not 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<String>,
    /// What `unique=` says in the `VERSION` of a Synology `.pat` for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synology: Vec<String>,
    /// The numbers of its hardware in TP-Link's headers: eight hexadecimal digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tplink: Vec<String>,
    /// The system on a chip of a simulated box of this kind, as device trees name it: `marvell,88f6282`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soc: Option<String>,
    /// The partition whose first good erase block keeps the record of the last update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Where kept files go (`--keep-to`): `FS:WHERE[,DIRECTORY]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_to: Option<String>,
    /// LEDs and buzzer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<IndicatorCodes>,
    /// Where U-Boot's environment lies: a line for each copy, as in `/etc/fw_env.config`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// The two places for the firmware of which one boots; none on most boxes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<Slot>,
}

/// One of two places for the firmware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Its partitions, in the order of their counterparts in the other slot.
    pub partitions: Vec<String>,
    /// The variables `NAME=VALUE` with which it boots; the first tells which slot it is.
    pub environment: Vec<String>,
}

impl Slot {
    /// The place of its partition of this name, in whichever case this box's kernel writes it.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.partitions
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether it has a partition of this name.
    pub fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }
}

/// How a box shows a person what it does. Codes are hexadecimal bytes with blanks between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndicatorCodes {
    /// The serial port of the microcontroller that has LEDs and buzzer, such as `/dev/ttyS1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Its speed in bits a second: 9600, 19200 or 115200, always 8N1.
    pub speed: u32,
    /// Codes to send when writing begins.
    pub writing: String,
    /// Codes to send when everything is written and verified.
    pub done: String,
    /// Codes to send when it failed.
    pub failed: String,
    /// LEDs below `/sys/class/leds`, or their whole paths; those that are not there are passed over. The names of the
    /// TL-WDR3600 are those of its device tree (`green:system`, `ar9344_tplink_tl-wdrxxxx.dtsi` of OpenWrt), of that
    /// tree before LED names lost their maker, and of older kernels (`tp-link:blue:system`, `mach-tl-wdr4300.c`). The
    /// device trees of the QNAP and Synology boxes have LEDs of the disks at most: the others are the microcontroller's.
    pub leds: Vec<String>,
}

/// Signs by which a box is recognised; one that matches is enough, if the partitions match too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signs {
    /// Whole strings of the device tree's root `compatible`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compatible: Vec<String>,
    /// Beginnings of the `Hardware` or `machine` line of `/proc/cpuinfo`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine: Vec<String>,
    /// Parts of the DMI product or board name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dmi: Vec<String>,
    /// What Synology's kernels say in `/proc/sys/kernel/syno_hw_version`, without the revision of the hardware.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub syno_hw_version: Vec<String>,
    /// Beginnings of the `Hardware` or `machine` line that many boxes with this processor show, such as those that run their
    /// vendor's kernel. Only together with partitions that are those of no other profile it is a sign.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub family: Vec<String>,
}

/// A flash chip; all numbers in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chip {
    /// `nor` or `nand`.
    pub kind: ChipKind,
    /// The whole chip.
    #[serde(deserialize_with = "sizes::size")]
    pub size: u64,
    /// One erase block.
    #[serde(deserialize_with = "sizes::small")]
    pub erase_size: u32,
    /// One page; 1 on NOR.
    #[serde(default = "one", deserialize_with = "sizes::small")]
    pub write_size: u32,
    /// Out-of-band bytes of a page; 0 on NOR.
    #[serde(default, deserialize_with = "sizes::small")]
    pub oob_size: u32,
}

/// The kinds of chip that a profile can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChipKind {
    /// NOR, parallel or SPI.
    Nor,
    /// SLC NAND.
    Nand,
}

fn one() -> u32 {
    1
}

impl Chip {
    /// The geometry that Linux would report of it.
    pub fn geometry(&self) -> mtd_rs::Geometry {
        // Flags: include/uapi/mtd/mtd-abi.h, MTD_CAP_NORFLASH and MTD_CAP_NANDFLASH.
        let (kind, flags) = match self.kind {
            ChipKind::Nor => (FlashKind::Nor, 0xc00),
            ChipKind::Nand => (FlashKind::Nand, 0x400),
        };
        mtd_rs::Geometry {
            kind,
            size: self.size,
            erase_size: self.erase_size,
            write_size: self.write_size,
            oob_size: self.oob_size,
            flags,
            regions: Vec::new(),
        }
    }
}

/// A partition as the profile knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionProfile {
    /// Its mtd number on a factory box; never relied on alone.
    pub mtd: u32,
    /// Its name in `/proc/mtd`.
    pub name: String,
    /// Where it begins on the chip, in bytes.
    #[serde(deserialize_with = "sizes::size")]
    pub offset: u64,
    /// Its size in bytes.
    #[serde(deserialize_with = "sizes::size")]
    pub size: u64,
    /// Whether the kernel lets nobody write it.
    #[serde(default)]
    pub read_only: bool,
    /// Why it is not to be written unless forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Protection>,
    /// Whether it is the way back when everything else fails, and so written last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
    /// Whether the boot loader reads it at fixed offsets, so that nothing may move on past a bad block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_offset: bool,
    /// Whether the boot loader hands all of it to the kernel as the initial ramdisk, whatever the ramdisk's own length: what
    /// stands behind one becomes zero then, as flash-kernel does it. Linux takes zeros there for padding and rejects anything
    /// else (`unpack_to_rootfs` in `init/initramfs.c`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_length: bool,
    /// Bytes of it that the boot loader loads, from its beginning, where these are fewer than all: no content may be longer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "sizes::some_size"
    )]
    pub loads: Option<u64>,
    /// What it holds; other content is refused. Empty where that is not known, or may be anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Purpose>,
    /// Whether offset and size differ from box to box (split at run time), so that they are no sign.
    #[serde(default)]
    pub moves: bool,
}

impl PartitionProfile {
    /// The bytes of the chip that it covers.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.size)
    }
}

/// Why a partition is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// It starts the box: no boot loader, no recovery.
    Bootloader,
    /// It belongs to this one box: MAC addresses, calibration, boot variables.
    Settings,
}

impl Protection {
    /// The check that stands before writing it, and its name for `--force`.
    pub fn check(self) -> CheckId {
        match self {
            Protection::Bootloader => CheckId::Bootloader,
            Protection::Settings => CheckId::Settings,
        }
    }

    /// What it holds, for people.
    pub fn explain(self) -> &'static str {
        match self {
            Protection::Bootloader => "the boot loader, without which the box cannot even be recovered",
            Protection::Settings => "settings of this one box, such as MAC addresses or boot variables",
        }
    }
}

/// A kind of image and where its parts go on this board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepts {
    /// The format, by the word of `inspect`.
    pub format: Format,
    /// Only images that are for this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Only images of this size, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "sizes::maybe")]
    pub size: Option<u64>,
    /// The partitions that it covers, in the order of its bytes. Of an archive `PARTITION=MEMBER`: which member goes where,
    /// by its name or a glob that fits exactly one.
    pub parts: Vec<String>,
}

impl Profile {
    /// The partition of that name, in whichever case this box's kernel writes it.
    pub fn partition(&self, name: &str) -> Option<&PartitionProfile> {
        self.partitions
            .iter()
            .find(|partition| partition.name.eq_ignore_ascii_case(name))
    }

    /// The partition that has the same place in the slot to be written; its own name where it belongs to none.
    pub fn in_slot<'a>(&'a self, name: &'a str, slot: Option<usize>) -> &'a str {
        let place = |slot: &Slot| slot.place(name);
        slot.and_then(|slot| self.slots.get(slot)?.partitions.get(self.slots.iter().find_map(place)?))
            .map_or(name, String::as_str)
    }

    /// Whether this is the profile that knows no particular box.
    pub fn is_generic(&self) -> bool {
        self.id == GENERIC
    }
}
