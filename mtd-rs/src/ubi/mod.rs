//! UBI: what is attached, its volumes, and a volume as a [`Flash`](crate::Flash).
//!
//! UBI (`drivers/mtd/ubi`) lays volumes over an MTD device. It moves erase blocks about to level their wear and
//! replaces those that go bad, so a volume has *logical* erase blocks (LEB) and no bad ones. Writing the MTD below
//! an attached UBI destroys it; writing a volume goes through UBI.
//!
//! * [`list`] reads `/sys/class/ubi` and touches nothing.
//! * [`UbiVolume`] reads and changes a volume: a dynamic one block by block, a static one as a whole.
//! * [`ioctl`] has the calls under their kernel names.

pub mod ioctl;
mod node;
mod sysfs;
mod volume;

pub use sysfs::{UbiBlock, UbiInfo, VolumeInfo, VolumeKind, blocks, list};
pub use volume::UbiVolume;
