//! How long the operations of a chip take, so that tests can compare methods without waiting.
#![forbid(unsafe_code)]

use crate::geometry::Geometry;
use crate::kind::FlashKind;

/// The times of a chip. The presets are the *typical* values of the data sheets they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Bytes per second that the bus delivers.
    pub read_bytes_per_second: u32,
    /// Nanoseconds before the first byte of a read (on NAND: of each page) comes.
    pub read_setup_ns: u32,
    /// Bytes that are programmed at once: a page, or the write buffer of NOR.
    pub program_bytes: u32,
    /// Nanoseconds to program that many bytes or less.
    pub program_ns: u32,
    /// Microseconds to erase [`erase_bytes`](Self::erase_bytes).
    pub erase_us: u32,
    /// Bytes that one erase of the data sheet clears. Smaller erase blocks take the same time, larger ones,
    /// which the driver makes of several, in proportion longer.
    pub erase_bytes: u32,
}

impl Timing {
    /// Everything takes no time.
    pub const NONE: Timing = Timing {
        read_bytes_per_second: u32::MAX,
        read_setup_ns: 0,
        program_bytes: u32::MAX,
        program_ns: 0,
        erase_us: 0,
        erase_bytes: u32::MAX,
    };

    /// Spansion S29GL064N on a 16-bit bus: 90 ns a word, write buffer of 16 words in 240 µs, sector of 64 KiB
    /// erased in 0.5 s.
    pub const S29GL: Timing = Timing {
        read_bytes_per_second: 22_000_000,
        read_setup_ns: 0,
        program_bytes: 32,
        program_ns: 240_000,
        erase_us: 500_000,
        erase_bytes: 0x1_0000,
    };

    /// Macronix MX25L6405D, serial NOR at 50 MHz on one wire (ST M25P64 is alike): page of 256 bytes in
    /// 1.4 ms, block of 64 KiB erased in 0.7 s.
    pub const MX25L: Timing = Timing {
        read_bytes_per_second: 6_250_000,
        read_setup_ns: 800,
        program_bytes: 256,
        program_ns: 1_400_000,
        erase_us: 700_000,
        erase_bytes: 0x1_0000,
    };

    /// Samsung K9F1G08U0B: 25 µs to fetch a page, 25 ns a byte, page of 2 KiB programmed in 200 µs, block of
    /// 128 KiB erased in 1.5 ms.
    pub const K9F1G08: Timing = Timing {
        read_bytes_per_second: 40_000_000,
        read_setup_ns: 25_000,
        program_bytes: 2048,
        program_ns: 200_000,
        erase_us: 1_500,
        erase_bytes: 0x2_0000,
    };

    /// Atmel AT45DB642D at 50 MHz: page of 1056 bytes programmed with its built-in erase in 17 ms, erased
    /// alone in 15 ms.
    pub const AT45DB: Timing = Timing {
        read_bytes_per_second: 6_250_000,
        read_setup_ns: 1_300,
        program_bytes: 1056,
        program_ns: 17_000_000,
        erase_us: 15_000,
        erase_bytes: 1056,
    };

    /// The preset that suits the kind of chip: serial NOR, NAND or DataFlash. RAM takes no time.
    pub fn of(geometry: &Geometry) -> Timing {
        match geometry.kind {
            FlashKind::Nand | FlashKind::MlcNand => Timing {
                program_bytes: geometry.write_size,
                ..Timing::K9F1G08
            },
            FlashKind::Dataflash => Timing::AT45DB,
            FlashKind::Ram | FlashKind::Rom | FlashKind::Absent => Timing::NONE,
            FlashKind::Nor | FlashKind::UbiVolume | FlashKind::Unknown => Timing::MX25L,
        }
    }

    /// Nanoseconds to read `bytes` bytes that lie in `pages` pages.
    pub(super) fn read(&self, bytes: u64, pages: u64) -> u64 {
        let rate = u64::from(self.read_bytes_per_second.max(1));
        pages * u64::from(self.read_setup_ns) + bytes * 1_000_000_000 / rate
    }

    /// Nanoseconds to program `bytes` bytes from `offset` on; a unit that is begun takes its whole time.
    pub(super) fn program(&self, offset: u64, bytes: u64) -> u64 {
        if bytes == 0 {
            return 0;
        }
        let unit = u64::from(self.program_bytes.max(1));
        let units = (offset + bytes).div_ceil(unit) - offset / unit;
        units * u64::from(self.program_ns)
    }

    /// Nanoseconds to erase a block of `bytes` bytes.
    pub(super) fn erase(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.erase_bytes.max(1))) * u64::from(self.erase_us) * 1000
    }
}
