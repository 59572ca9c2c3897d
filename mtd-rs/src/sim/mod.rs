//! A simulated flash chip: a model that keeps the rules of real flash, not a recorder of calls.
//!
//! What it enforces:
//! * Erasing takes a whole erase block, and sets all its bits.
//! * NOR can only clear bits when it is programmed. Real NOR quietly leaves the AND of old and new content;
//!   here the attempt is [`ErrorKind::SetsBit`](crate::ErrorKind::SetsBit) and changes nothing, because code
//!   that does so has a bug.
//! * NAND is programmed in whole pages, ascending within an erase block, each page once between erases. Bad
//!   blocks refuse to be erased and programmed, and can be read. Its ECC corrects one bit per page; more is
//!   read as it is, without an error, and counted, as Linux does it.
//! * RAM and DataFlash can be overwritten (`dataflash_write` uses the erase that is built into the chip).
//! * Chips with `MTD_POWERUP_LOCK` come up locked.
//!
//! [`Fault`] lists what can go wrong, [`Timing`] how long everything takes by the data sheets. Offsets in
//! faults and in the methods of [`SimChip`] count from the start of the chip, those of a [`SimFlash`] from
//! the start of the partition.
//!
//! A chip is either in memory or in a file that holds its bytes in physical order. With a file, every
//! operation goes through to it at once, so that killing the process is as good as cutting the power. NAND
//! has two more files: `<path>.oob` with the OOB of all pages, and `<path>.bad` with the offset of one bad
//! block a line, in hexadecimal. OOB byte 0 of the first page of a bad block is 0, as factories mark them;
//! byte 1 is 0 for a page that an interrupted operation left without valid ECC. Whether a page is programmed
//! is not stored: on opening, every page that is not all 0xFF counts as programmed.
#![forbid(unsafe_code)]

mod bad_list;
mod bitmap;
mod builder;
mod chip;
mod fault;
mod files;
mod operations;
mod partition;
mod store;
mod timing;

pub use builder::SimBuilder;
pub use chip::Counters;
pub use fault::Fault;
pub use partition::SimFlash;
pub use timing::Timing;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::geometry::Geometry;
use chip::Chip;

/// The chip behind all its handles, which may be in several threads.
#[derive(Clone)]
struct Shared(Arc<Mutex<Chip>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Chip> {
        // Whoever panicked meanwhile was told that bytes do not fit or that a file is not writable; the chip is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One simulated chip. Clones are handles of the same chip, and may be used in several threads; each operation is
/// done as a whole before the next one begins.
#[derive(Clone)]
pub struct SimChip {
    chip: Shared,
}

impl fmt::Debug for SimChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chip = self.chip.lock();
        f.debug_struct("SimChip")
            .field("geometry", &chip.geometry)
            .field("counters", &chip.counters)
            .field("power", &chip.power)
            .finish_non_exhaustive()
    }
}

impl SimChip {
    /// Starts to describe a NOR chip of `size` bytes with erase blocks of `erase_size` bytes.
    pub fn nor(size: u64, erase_size: u32) -> SimBuilder {
        SimBuilder::new(Geometry::nor(size, erase_size))
    }

    /// Starts to describe an SLC NAND chip; `page` and `oob` are the bytes of one page and of its OOB.
    pub fn nand(size: u64, erase_size: u32, page: u32, oob: u32) -> SimBuilder {
        SimBuilder::new(Geometry::nand(size, erase_size, page, oob))
    }

    /// Starts to describe a DataFlash chip of `pages` pages of `page` bytes.
    pub fn dataflash(pages: u32, page: u32) -> SimBuilder {
        SimBuilder::new(Geometry::dataflash(pages, page))
    }

    /// A blank chip in memory.
    pub fn in_memory(geometry: &Geometry) -> SimChip {
        Self::from_chip(Chip::in_memory(geometry))
    }

    /// A blank chip (0xFF) in a new file at `path`; what was there is replaced.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn create_file(path: &Path, geometry: &Geometry) -> Result<SimChip> {
        files::create(path, geometry).map(Self::from_chip)
    }

    /// The chip that the file at `path` holds. Missing `.oob` and `.bad` files stand for a chip without bad
    /// blocks.
    ///
    /// # Errors
    /// [`WrongSize`](crate::ErrorKind::WrongSize) when a file does not fit the geometry,
    /// [`Malformed`](crate::ErrorKind::Malformed) when the list of bad blocks cannot be understood.
    pub fn open_file(path: &Path, geometry: &Geometry) -> Result<SimChip> {
        files::open(path, geometry).map(Self::from_chip)
    }

    fn from_chip(chip: Chip) -> SimChip {
        SimChip {
            chip: Shared(Arc::new(Mutex::new(chip))),
        }
    }

    /// The partition over `range` (bytes of the chip), cut at the end of the chip.
    ///
    /// As in the kernel (`allocate_partition` in drivers/mtd/mtdpart.c), a partition whose edges are not
    /// edges of erase blocks becomes read-only whatever `writable` says. Other than in the kernel, which shows
    /// the largest erase size only, a partition over several erase regions has these regions.
    pub fn partition(&self, label: &str, range: Range<u64>, writable: bool) -> SimFlash {
        SimFlash::new(self.chip.clone(), label, range, writable)
    }

    /// The whole chip as one writable device.
    pub fn whole(&self, label: &str) -> SimFlash {
        let size = self.chip.lock().geometry.size;
        self.partition(label, 0..size, true)
    }

    /// The shape of the chip.
    pub fn geometry(&self) -> Geometry {
        self.chip.lock().geometry.clone()
    }

    /// What has been done to the chip since it was made or since [`reset_counters`](Self::reset_counters).
    pub fn counters(&self) -> Counters {
        self.chip.lock().counters
    }

    /// Sets counters and simulated clock to 0. Wear stays.
    pub fn reset_counters(&self) {
        let mut chip = self.chip.lock();
        chip.counters = Counters::default();
        chip.elapsed_ns = 0;
    }

    /// How often the erase block at `block` has been erased since the chip was made or opened; 0 behind the
    /// end of the chip. Failed erases wear too.
    pub fn erases_of(&self, block: u64) -> u32 {
        self.chip.lock().erases_of(block)
    }

    /// The time that everything so far would have taken.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.chip.lock().elapsed_ns)
    }

    /// Replaces the timing. Chips are made with the one of [`Timing::of`] for their kind.
    pub fn set_timing(&self, timing: Timing) {
        self.chip.lock().timing = timing;
    }

    /// Adds a fault to those already there.
    pub fn inject(&self, fault: Fault) {
        self.chip.lock().inject(fault);
    }

    /// Marks the erase block that holds the byte at `block` as bad from the factory, whether there is power
    /// or not. Only NAND has bad blocks; elsewhere nothing happens.
    ///
    /// # Panics
    /// When the files of the chip cannot be written.
    pub fn make_bad(&self, block: u64) {
        self.chip
            .lock()
            .set_bad(block)
            .expect("the files of the chip are writable");
    }

    /// Whether the chip has power.
    pub fn power(&self) -> bool {
        self.chip.lock().power
    }

    /// Gives the chip power again, after which it can be used and, if it is of that sort, is locked.
    pub fn restore_power(&self) {
        self.chip.lock().restore_power();
    }

    /// The bytes as they are stored, past all rules, faults and counters. Cut at the end of the chip.
    ///
    /// # Panics
    /// When the file of the chip cannot be read.
    pub fn contents(&self, range: Range<u64>) -> Vec<u8> {
        self.chip
            .lock()
            .contents(range)
            .expect("the file of the chip is readable")
    }

    /// Stores bytes past all rules, faults and counters, as a programmer would before the chip is soldered.
    /// On NAND the pages count as programmed or blank by what they then hold.
    ///
    /// # Panics
    /// When the bytes do not fit on the chip, or the file of the chip cannot be written.
    pub fn load(&self, offset: u64, data: &[u8]) {
        self.chip
            .lock()
            .load(offset, data)
            .expect("the bytes fit and the file is writable");
    }
}
