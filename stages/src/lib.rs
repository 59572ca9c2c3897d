//! Takes a running Linux box over, so that the flash it runs from can be rewritten.
//!
//! The way is that of the shell scripts that do this (a root in RAM, `pivot_root`, an init that is told to start anew), with every
//! hope in it replaced by a proof:
//!
//! 1. *Stage one* ([`RamRoot`] → [`Populated`] → [`Pivoted`] → [`Armed`], driven by [`take_over`]): a root in RAM
//!    is made the root of the system, and busybox init is told by its inittab to start us as PID 1.
//! 2. *Stage two* ([`wake`]): as PID 1 we re-execute ourselves on the new root's console, so that no file of the
//!    old root stays open.
//! 3. *Stage three* ([`PidOne::detach`] → [`Detached`]): the old root is unmounted and proved gone.
//!
//! This crate knows mounts, processes, init, watchdog and power, and which partitions share flash it is told by the map of
//! [`mtd_rs`]. It knows nothing of images or of what is
//! written: the caller's plan crosses the exec as an opaque JSON value in the [`HandOff`], and the caller gets an
//! [`Unheld`] as the proof that nothing uses the partitions it is about to erase.
//!
//! No function here panics on data from outside, and as PID 1 no path ends in an exit ([`guard`]).

mod arm;
mod attach;
mod boot_on;
mod bounded;
mod carry;
mod child;
mod cpu;
mod detach;
mod device;
mod digits;
mod disk;
mod dumps;
mod error;
mod event;
mod exports;
mod feeding;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod guard;
mod handoff;
mod holder;
mod holders;
pub mod init;
pub mod inittab;
pub mod json;
mod kill;
mod marker;
pub mod memory;
mod mounts;
mod paths;
mod pidone;
mod pivot;
mod populate;
pub mod power;
mod prepare;
mod process;
mod program;
mod program_text;
mod proof;
mod ramroot;
pub mod rescue;
mod route;
mod say;
mod scan;
mod served;
mod session;
mod shown;
pub mod signals;
mod stack;
mod sys;
mod takeover;
mod thaw;
mod tracee;
mod ubi;
mod ubus;
mod used;
mod volumes;
mod wake;
mod wanted;
pub mod watchdog;
mod ways;

pub use arm::{Armed, init_marker};
pub use attach::{Attached, mounted_at};
pub use boot_on::boot_on;
pub use bounded::within;
pub use child::Child;
pub use detach::{DetachError, Detached};
pub use device::numbers;
pub use digits::decimal;
pub use disk::{disk_of, is_on_disks, moved, own_disks};
pub use dumps::dumped_to;
pub use error::{Error, ErrorKind, Result};
pub use event::StageEvent;
pub use guard::set_flash_touched;
pub use handoff::HandOff;
pub use holder::Holder;
pub use holders::{holders, holders_of_each};
pub use mounts::is_in_ram;
pub use pidone::PidOne;
pub use pivot::Pivoted;
pub use populate::{DeviceNode, Populate, Populated};
pub use prepare::{PreparedRoot, prepare};
pub use proof::{Unheld, prove_unheld_in_place};
pub use ramroot::RamRoot;
pub use route::{Refusal, takeover_route};
pub use shown::is_plain;
pub use sys::{attributes, stand_back, terminal_columns};
pub use takeover::{Limits, take_over, take_over_with};
pub use volumes::{create_volume, remove_volume, resize_volume};
pub use wake::{Wakeup, wake};
pub use ways::{Way, way};
