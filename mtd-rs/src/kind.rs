//! What sort of flash a device is, in the words of sysfs and in the numbers of `mtd-abi.h`.
#![forbid(unsafe_code)]

/// Major number of MTD character devices (`include/linux/mtd/mtd.h`). Minor 2N is mtdN, minor 2N+1 is mtdN read-only.
pub const MTD_CHAR_MAJOR: u32 = 90;
/// Major number of `mtdblockN`, whose minor is N. A file system mounted straight from an MTD has the same device number.
pub const MTD_BLOCK_MAJOR: u32 = 31;

/// The device may be written (`MTD_WRITEABLE`, `include/uapi/mtd/mtd-abi.h`).
pub const MTD_WRITEABLE: u32 = 0x400;
/// Single bits may be cleared without an erase (`MTD_BIT_WRITEABLE`): set on NOR and RAM, not on NAND.
pub const MTD_BIT_WRITEABLE: u32 = 0x800;
/// No erase is needed before writing (`MTD_NO_ERASE`): RAM.
pub const MTD_NO_ERASE: u32 = 0x1000;
/// Every block is locked after power-up (`MTD_POWERUP_LOCK`).
pub const MTD_POWERUP_LOCK: u32 = 0x2000;

/// The sort of flash behind an MTD device.
///
/// The words are those of `mtd_type_show` in `drivers/mtd/mtdcore.c`, the numbers those of `MTD_ABSENT` and
/// its neighbours in `include/uapi/mtd/mtd-abi.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashKind {
    /// A probed socket without a chip in it.
    Absent,
    /// RAM that is handled as flash.
    Ram,
    /// A chip that cannot be written.
    Rom,
    /// NOR flash, parallel or serial.
    Nor,
    /// NAND flash that holds one bit per cell.
    Nand,
    /// Atmel DataFlash; its page and erase sizes need not be powers of two.
    Dataflash,
    /// A UBI volume shown as an MTD device (`drivers/mtd/ubi/gluebi.c`).
    UbiVolume,
    /// NAND flash that holds several bits per cell. Its pages must never be programmed out of order.
    MlcNand,
    /// A kind that this crate does not know, or that could not be found out.
    Unknown,
}

impl FlashKind {
    /// The word that sysfs uses in `/sys/class/mtd/mtdN/type`.
    pub fn as_str(self) -> &'static str {
        match self {
            FlashKind::Absent => "absent",
            FlashKind::Ram => "ram",
            FlashKind::Rom => "rom",
            FlashKind::Nor => "nor",
            FlashKind::Nand => "nand",
            FlashKind::Dataflash => "dataflash",
            FlashKind::UbiVolume => "ubi",
            FlashKind::MlcNand => "mlc-nand",
            FlashKind::Unknown => "unknown",
        }
    }

    /// The inverse of [`as_str`](Self::as_str). Words that are not known give [`FlashKind::Unknown`].
    pub fn from_sysfs(word: &str) -> Self {
        match word.trim() {
            "absent" => FlashKind::Absent,
            "ram" => FlashKind::Ram,
            "rom" => FlashKind::Rom,
            "nor" => FlashKind::Nor,
            "nand" => FlashKind::Nand,
            "dataflash" => FlashKind::Dataflash,
            "ubi" => FlashKind::UbiVolume,
            "mlc-nand" => FlashKind::MlcNand,
            _ => FlashKind::Unknown,
        }
    }

    /// The kind behind the number in `mtd_info_user.type`. Numbers that are not known give
    /// [`FlashKind::Unknown`].
    pub fn from_abi(number: u8) -> Self {
        match number {
            0 => FlashKind::Absent,
            1 => FlashKind::Ram,
            2 => FlashKind::Rom,
            3 => FlashKind::Nor,
            4 => FlashKind::Nand,
            6 => FlashKind::Dataflash,
            7 => FlashKind::UbiVolume,
            8 => FlashKind::MlcNand,
            _ => FlashKind::Unknown,
        }
    }

    /// Whether this is NAND with either number of bits per cell: pages, bad blocks and ECC.
    pub fn is_nand(self) -> bool {
        matches!(self, FlashKind::Nand | FlashKind::MlcNand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FlashKind; 9] = [
        FlashKind::Absent,
        FlashKind::Ram,
        FlashKind::Rom,
        FlashKind::Nor,
        FlashKind::Nand,
        FlashKind::Dataflash,
        FlashKind::UbiVolume,
        FlashKind::MlcNand,
        FlashKind::Unknown,
    ];

    #[test]
    fn every_word_leads_back_to_its_kind() {
        for kind in ALL {
            assert_eq!(FlashKind::from_sysfs(kind.as_str()), kind);
        }
        assert_eq!(FlashKind::from_sysfs("mlc-nand\n"), FlashKind::MlcNand);
        assert_eq!(FlashKind::from_sysfs("holographic"), FlashKind::Unknown);
    }

    #[test]
    fn numbers_that_the_kernel_never_gave_out_are_unknown() {
        assert_eq!(FlashKind::from_abi(3), FlashKind::Nor);
        assert_eq!(FlashKind::from_abi(8), FlashKind::MlcNand);
        assert_eq!(FlashKind::from_abi(5), FlashKind::Unknown);
        assert_eq!(FlashKind::from_abi(255), FlashKind::Unknown);
    }

    #[test]
    fn only_the_two_nands_are_nand() {
        for kind in ALL {
            assert_eq!(kind.is_nand(), matches!(kind.as_str(), "nand" | "mlc-nand"));
        }
    }
}
