//! Safe access to Linux MTD flash, and a simulated flash that keeps the rules of the real one.
//!
//! * [`list`] finds the partitions of a box, on kernels from 2.6.32 on, with or without sysfs.
//! * [`Map`] tells where they lie on their chips, and which of them share bytes.
//! * [`MtdDevice`] reads, erases and programs one of them through its character device.
//! * [`SimChip`] is a NOR, NAND or DataFlash chip in memory or in a file. It refuses what real flash cannot
//!   do, injects the faults that real flash has, loses power when told to, and keeps time.
//! * [`Flash`] is what both have in common, so that code can be tested without hardware.
//!
//! Offsets and sizes are bytes. An *erase block* is what one erase clears, a *page* is what one program
//! operation on NAND must fill. Nothing here skips bad blocks, retries or verifies: that is policy, and it
//! belongs to the caller.
//!
//! UBI devices and their volumes are found by [`ubi::list`]; [`ubi::UbiVolume`] is a dynamic volume as a [`Flash`]
//! whose erase blocks are changed atomically.
//!
//! The simulated chips are the feature `sim`, which is on by default and brings no dependency.
//!
//! # Example
//!
#![cfg_attr(feature = "sim", doc = "```")]
#![cfg_attr(not(feature = "sim"), doc = "```ignore")]
//! use mtd_rs::{Flash, SimChip};
//!
//! # fn main() -> mtd_rs::Result<()> {
//! // A chip of 1 MiB with erase blocks of 64 KiB, and a partition on its last half.
//! let chip = SimChip::nor(1 << 20, 64 << 10).build()?;
//! let mut kernel = chip.partition("mtd1 \"Kernel\"", 0x8_0000..0x10_0000, true);
//!
//! let block = kernel.geometry().block_at(0x1_2345).expect("inside the partition");
//! kernel.erase(block.start)?;
//! kernel.program(block.start, b"hello")?;
//!
//! let mut back = [0; 5];
//! kernel.read(block.start, &mut back)?;
//! assert_eq!(&back, b"hello");
//! // The bytes lie where the partition lies in the chip.
//! assert_eq!(chip.contents(0x9_0000..0x9_0005), b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! On a box, `list(&SystemPaths::default())` and [`MtdDevice::open`] take the place of the chip:
//!
//! ```no_run
//! use mtd_rs::{Access, Flash, MtdDevice, SystemPaths, list};
//!
//! # fn main() -> mtd_rs::Result<()> {
//! let paths = SystemPaths::default();
//! for info in list(&paths)? {
//!     println!("mtd{} {:?} {} bytes", info.index, info.name, info.geometry.size);
//!     let mut device = MtdDevice::open(&paths, &info, Access::ReadOnly)?;
//!     let mut head = [0; 16];
//!     device.read(0, &mut head)?;
//! }
//! # Ok(())
//! # }
//! ```

mod device;
mod discover;
mod error;
mod flash;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod geometry;
mod id;
pub mod ioctl;
mod kind;
pub mod map;
mod node;
mod paths;
#[cfg(feature = "sim")]
pub mod sim;
mod transfer;
pub mod ubi;

pub use device::MtdDevice;
pub use discover::{MtdInfo, list, present};
pub use error::{Error, ErrorKind, Operation, Result};
pub use flash::{EccStats, Flash};
pub use geometry::{Blocks, EraseRegion, Geometry, MAX_BLOCKS};
pub use id::{ParseIdError, PartitionId};
pub use kind::{
    FlashKind, MTD_BIT_WRITEABLE, MTD_BLOCK_MAJOR, MTD_CHAR_MAJOR, MTD_NO_ERASE, MTD_POWERUP_LOCK, MTD_WRITEABLE,
};
pub use map::{Area, ChipId, Extent, Map, Overlap, Place};
pub use node::Access;
pub use paths::SystemPaths;
#[cfg(feature = "sim")]
pub use sim::{Counters, Fault, SimBuilder, SimChip, SimFlash, Timing};

/// The example of README.md, run as a test.
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../README.md")]
struct Readme;
