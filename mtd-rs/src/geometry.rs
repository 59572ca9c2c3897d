//! Where the erase blocks of a device lie. Pure arithmetic: nothing here touches a device.
//!
//! Everything divides, nothing masks: the erase size of DataFlash (1056 bytes and the like) is no power of
//! two, and chips with boot blocks have regions of different erase sizes.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::kind::{FlashKind, MTD_BIT_WRITEABLE, MTD_NO_ERASE, MTD_WRITEABLE};

/// A run of erase blocks of one size (`struct mtd_erase_region_info`, `include/linux/mtd/mtd.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseRegion {
    /// Where the region begins, in bytes from the start of the device.
    pub offset: u64,
    /// Bytes of one erase block of the region.
    pub erase_size: u32,
    /// How many erase blocks the region has.
    pub blocks: u32,
}

impl EraseRegion {
    /// The bytes that the region covers, from the start of the device.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.erase_size) * u64::from(self.blocks)
    }
}

/// The most erase blocks that a device is divided into: as many as 16 GiB of 4 KiB each, which no NOR or NAND chip reaches. Code that
/// visits every block would take hours for those of a disk (`drivers/mtd/devices/block2mtd.c`).
pub const MAX_BLOCKS: u64 = 1 << 22;

/// The shape of a flash device.
///
/// A device whose erase blocks cannot be told, or are more than [`MAX_BLOCKS`], is one block as a whole: one without an erase size, and
/// one whose regions do not lie one behind the other from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// What sort of flash it is.
    pub kind: FlashKind,
    /// Bytes of the whole device.
    pub size: u64,
    /// Bytes of one erase block; the largest one where there are regions.
    pub erase_size: u32,
    /// Smallest number of bytes that can be programmed: the page on NAND, 1 on most NOR.
    pub write_size: u32,
    /// Bytes of OOB per page, 0 where there is none.
    pub oob_size: u32,
    /// `MTD_WRITEABLE` and its neighbours, as in `include/uapi/mtd/mtd-abi.h`.
    pub flags: u32,
    /// Erase regions in ascending order without gaps. Empty where every erase block has the same size.
    pub regions: Vec<EraseRegion>,
}

impl Geometry {
    /// NOR flash of `size` bytes with erase blocks of `erase_size` bytes that is programmed byte by byte.
    pub fn nor(size: u64, erase_size: u32) -> Self {
        Geometry {
            kind: FlashKind::Nor,
            size,
            erase_size,
            write_size: 1,
            oob_size: 0,
            flags: MTD_WRITEABLE | MTD_BIT_WRITEABLE,
            regions: Vec::new(),
        }
    }

    /// SLC NAND flash of `size` bytes; `page` and `oob` are the bytes of one page and of its OOB.
    pub fn nand(size: u64, erase_size: u32, page: u32, oob: u32) -> Self {
        Geometry {
            kind: FlashKind::Nand,
            size,
            erase_size,
            write_size: page,
            oob_size: oob,
            flags: MTD_WRITEABLE,
            regions: Vec::new(),
        }
    }

    /// DataFlash of `pages` pages of `page` bytes; one page is one erase block, as
    /// `drivers/mtd/devices/mtd_dataflash.c` has it.
    pub fn dataflash(pages: u32, page: u32) -> Self {
        Geometry {
            kind: FlashKind::Dataflash,
            size: u64::from(pages) * u64::from(page),
            erase_size: page,
            write_size: page,
            oob_size: 0,
            flags: MTD_WRITEABLE,
            regions: Vec::new(),
        }
    }

    /// The erase block that holds the byte at `offset`, or `None` behind the end of the device.
    ///
    /// The last block is cut at the end of the device where the size is not a multiple of the erase size.
    pub fn block_at(&self, offset: u64) -> Option<Range<u64>> {
        let (run, size, _) = self.run_at(offset)?;
        let start = run.start + (offset - run.start) / size * size;
        Some(start..(start + size).min(run.end))
    }

    /// The run of blocks of one size that holds the byte at `offset`: its bytes, those of a block, and how many blocks lie before it.
    fn run_at(&self, offset: u64) -> Option<(Range<u64>, u64, u64)> {
        let all = 0..self.size;
        if !all.contains(&offset) {
            return None;
        }
        if !self.is_divided() {
            return Some((all, self.size, 0));
        }
        let mut before = 0;
        for region in &self.regions {
            if region.range().contains(&offset) {
                return Some((region.range(), region.erase_size.into(), before));
            }
            before += u64::from(region.blocks);
        }
        Some((all, self.erase_size.into(), 0))
    }

    /// All erase blocks, ascending.
    pub fn blocks(&self) -> Blocks<'_> {
        self.blocks_in(0..self.size)
    }

    /// Every erase block that shares at least one byte with `range`, ascending. What lies behind the end of
    /// the device has no blocks.
    pub fn blocks_in(&self, range: Range<u64>) -> Blocks<'_> {
        Blocks {
            geometry: self,
            next: range.start,
            end: range.end,
        }
    }

    /// The number of the erase block that holds the byte at `offset`, counted from 0 at the start of the
    /// device; `None` behind its end.
    pub fn block_index(&self, offset: u64) -> Option<usize> {
        let (run, size, before) = self.run_at(offset)?;
        usize::try_from(before + (offset - run.start) / size).ok()
    }

    /// How many erase blocks [`blocks`](Self::blocks) goes through, at most [`MAX_BLOCKS`].
    pub fn block_count(&self) -> usize {
        let last = self.size.checked_sub(1).and_then(|last| self.block_index(last));
        last.map_or(0, |index| index + 1)
    }

    /// Whether it has more erase blocks than [`MAX_BLOCKS`], by its erase size or regions.
    pub fn has_too_many_blocks(&self) -> bool {
        match self.regions.as_slice() {
            [] => self.erase_size > 0 && self.size > MAX_BLOCKS * u64::from(self.erase_size),
            regions => regions.iter().map(|region| u64::from(region.blocks)).sum::<u64>() > MAX_BLOCKS,
        }
    }

    /// Whether it is known where its erase blocks lie, and they are few enough to be gone through.
    fn is_divided(&self) -> bool {
        let mut end = 0;
        let follows = |region: &EraseRegion| {
            let start = std::mem::replace(&mut end, region.range().end);
            region.offset == start && region.erase_size > 0
        };
        let covered = self.regions.iter().all(follows) && (self.regions.is_empty() || end == self.size);
        covered && self.erase_size > 0 && !self.has_too_many_blocks()
    }

    /// Whether both ends of `range` lie on edges of erase blocks of this device, and in order.
    pub fn is_aligned(&self, range: &Range<u64>) -> bool {
        range.start <= range.end && self.is_edge(range.start) && self.is_edge(range.end)
    }

    fn is_edge(&self, offset: u64) -> bool {
        offset == self.size || self.block_at(offset).is_some_and(|block| block.start == offset)
    }

    /// Whether bits can be cleared without an erase (`MTD_BIT_WRITEABLE`).
    pub fn can_clear_bits(&self) -> bool {
        self.flags & MTD_BIT_WRITEABLE != 0
    }

    /// Whether old content must be erased before new content is programmed (no `MTD_NO_ERASE`).
    pub fn needs_erase(&self) -> bool {
        self.flags & MTD_NO_ERASE == 0
    }

    /// Whether the kernel lets the device be written at all (`MTD_WRITEABLE`), and its shape is
    /// [one of flash](Self::is_consistent).
    pub fn is_writable(&self) -> bool {
        self.flags & MTD_WRITEABLE != 0 && self.is_consistent()
    }

    /// Whether this can be flash: it is divided into erase blocks, [`MAX_BLOCKS`] at most, which are whole pages of one byte or more, and
    /// regions cover it without gaps. Sound kernels show nothing else, except for devices that need no erase (`add_mtd_device` in
    /// drivers/mtd/mtdcore.c).
    pub fn is_consistent(&self) -> bool {
        let whole = |erase_size: u32| erase_size.is_multiple_of(self.write_size);
        let mut sizes = self.regions.iter().map(|region| region.erase_size);
        self.is_divided() && whole(self.erase_size) && sizes.all(whole)
    }
}

/// Erase blocks of a [`Geometry`] in ascending order, each as its range of bytes.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    geometry: &'a Geometry,
    next: u64,
    end: u64,
}

impl Iterator for Blocks<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        if self.next >= self.end {
            return None;
        }
        let block = self.geometry.block_at(self.next)?;
        self.next = block.end;
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 8 boot blocks of 8 KiB, then 127 blocks of 64 KiB: a bottom-boot S29GL064.
    fn boot_block_chip() -> Geometry {
        let mut geometry = Geometry::nor(8 << 20, 0x1_0000);
        geometry.regions = vec![
            EraseRegion {
                offset: 0,
                erase_size: 0x2000,
                blocks: 8,
            },
            EraseRegion {
                offset: 0x1_0000,
                erase_size: 0x1_0000,
                blocks: 127,
            },
        ];
        geometry
    }

    #[test]
    fn a_block_of_a_uniform_chip_holds_its_first_and_last_byte_only() {
        let geometry = Geometry::nor(0x10_0000, 0x2_0000);
        assert_eq!(geometry.block_at(0x2_0000), Some(0x2_0000..0x4_0000));
        assert_eq!(geometry.block_at(0x3_ffff), Some(0x2_0000..0x4_0000));
        assert_eq!(geometry.block_at(0x4_0000), Some(0x4_0000..0x6_0000));
        assert_eq!(geometry.block_at(0x10_0000), None);
        assert_eq!(geometry.block_count(), 8);
    }

    #[test]
    fn blocks_of_dataflash_are_found_without_masks() {
        let geometry = Geometry::dataflash(8192, 1056);
        assert_eq!(geometry.block_at(1055), Some(0..1056));
        assert_eq!(geometry.block_at(1056), Some(1056..2112));
        assert_eq!(geometry.block_at(1056 * 8191 + 7), Some(1056 * 8191..1056 * 8192));
        assert_eq!(geometry.blocks().count(), 8192);
        assert!(geometry.is_aligned(&(1056..2112)));
        assert!(!geometry.is_aligned(&(1024..2048)));
    }

    #[test]
    fn each_region_has_its_own_block_size() {
        let geometry = boot_block_chip();
        assert_eq!(geometry.block_at(0x3fff), Some(0x2000..0x4000));
        assert_eq!(geometry.block_at(0xffff), Some(0xe000..0x1_0000));
        assert_eq!(geometry.block_at(0x1_0000), Some(0x1_0000..0x2_0000));
        assert_eq!(geometry.block_count(), 135);
        assert_eq!(geometry.block_index(0x2_0001), Some(9));
        assert_eq!(geometry.blocks().count(), 135);
        assert_eq!(
            geometry.blocks().map(|block| block.end - block.start).sum::<u64>(),
            geometry.size
        );
    }

    #[test]
    fn a_range_meets_every_block_it_shares_a_byte_with() {
        let geometry = boot_block_chip();
        let found: Vec<_> = geometry.blocks_in(0xdfff..0x1_0001).collect();
        assert_eq!(found, [0xc000..0xe000, 0xe000..0x1_0000, 0x1_0000..0x2_0000]);
        assert_eq!(geometry.blocks_in(0x5000..0x5000).count(), 0);
        assert_eq!(geometry.blocks_in(0x7f_ffff..u64::MAX).count(), 1);
    }

    #[test]
    fn only_ranges_between_block_edges_are_aligned() {
        let geometry = boot_block_chip();
        assert!(geometry.is_aligned(&(0x2000..0x2_0000)));
        assert!(geometry.is_aligned(&(0..geometry.size)));
        assert!(geometry.is_aligned(&(0x2000..0x2000)));
        assert!(
            !geometry.is_aligned(&(0x1_2000..0x2_0000)),
            "8 KiB edges end with their region"
        );
        assert!(!geometry.is_aligned(&(0..geometry.size + 1)));
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 0x2_0000..0x2000;
        assert!(!geometry.is_aligned(&reversed));
    }

    #[test]
    fn offsets_beyond_four_gigabytes_keep_all_their_bits() {
        let geometry = Geometry::nand(8 << 30, 0x10_0000, 8192, 640);
        let offset = (5u64 << 30) + 3;
        assert_eq!(geometry.block_at(offset), Some(5 << 30..(5 << 30) + 0x10_0000));
        assert_eq!(geometry.block_count(), 8192);
    }

    #[test]
    fn a_device_without_an_erase_size_is_one_block() {
        let geometry = Geometry {
            erase_size: 0,
            ..Geometry::nor(4096, 1)
        };
        assert!(geometry.blocks().eq(std::iter::once(0..4096)));
        assert_eq!(geometry.block_count(), 1);
        assert_eq!(Geometry::nor(0, 0x1000).block_count(), 0);
    }

    #[test]
    fn a_shape_that_no_flash_has_is_not_written() {
        let nand = Geometry::nand(0x800_0000, 0x2_0000, 2048, 64);
        assert!(nand.is_writable() && Geometry::dataflash(8192, 1056).is_writable());
        for (write_size, erase_size) in [(0, 0x2_0000), (2048, 0), (0, 0), (0x4_0000, 0x2_0000), (2048, 0x2_0001)] {
            let odd = Geometry {
                write_size,
                erase_size,
                ..nand.clone()
            };
            assert!(!odd.is_consistent() && !odd.is_writable(), "{odd:?}");
        }
        assert!(boot_block_chip().is_writable());
        let changes: [fn(&mut Vec<EraseRegion>); 5] = [
            |regions| regions[1].blocks -= 1,
            |regions| regions[1].blocks += 1,
            |regions| regions[1].offset += 0x1_0000,
            |regions| regions[0].erase_size = 0,
            |regions| regions.swap(0, 1),
        ];
        for change in changes {
            let mut odd = boot_block_chip();
            change(&mut odd.regions);
            assert!(!odd.is_consistent() && !odd.is_writable(), "{odd:?}");
            assert!(odd.blocks().eq(std::iter::once(0..odd.size)), "{odd:?}");
            assert_eq!((odd.block_count(), odd.block_index(odd.size - 1)), (1, Some(0)));
        }
    }

    #[test]
    fn more_blocks_than_flash_has_are_one() {
        let most = Geometry::nor(4096 << 22, 4096);
        assert!(most.is_writable() && most.block_count() == 1 << 22);
        let mut more = [
            boot_block_chip(),
            Geometry::nor(most.size + 1, 4096),
            Geometry::nor(u64::MAX, 1),
        ];
        more[0].regions[1].blocks = 1 << 22;
        more[0].size = more[0].regions[1].range().end;
        for more in more {
            assert!(more.has_too_many_blocks() && !more.is_writable(), "{more:?}");
            assert!(more.blocks().eq(std::iter::once(0..more.size)), "{more:?}");
            assert_eq!(more.block_count(), 1);
        }
    }

    #[test]
    fn a_last_block_that_is_not_whole_ends_with_the_device() {
        let geometry = Geometry::nor(0x1_8000, 0x1_0000);
        assert_eq!(geometry.block_at(0x1_7fff), Some(0x1_0000..0x1_8000));
    }

    #[test]
    fn flags_tell_nor_from_nand_from_ram() {
        assert!(Geometry::nor(1, 1).can_clear_bits());
        assert!(!Geometry::nand(1, 1, 1, 0).can_clear_bits());
        assert!(Geometry::nor(1, 1).needs_erase());
        let ram = Geometry {
            flags: MTD_WRITEABLE | MTD_BIT_WRITEABLE | MTD_NO_ERASE,
            ..Geometry::nor(1, 1)
        };
        assert!(!ram.needs_erase());
    }
}
