//! The lab: whole boxes under QEMU, with a real kernel, real MTD and the real init of busybox.
//!
//! A [`Machine`] is switched on with a [`Firmware`] in its flash, is typed at like a box with a serial cable, reached by
//! `ssh` like one without, and loses power when a test says so. What its parts are made from is built by `tests/lab/build`.
//! All of it is emulated in software; times say nothing about real boxes.
//!
//! `FLASHER_LAB_PATIENCE=3` waits three times as long for everything, `FLASHER_LAB_ECHO=1` shows the consoles as they go
//! (with `--nocapture`), `FLASHER_LAB_SEED=N` repeats the random moments of a run that printed N.
//! When a story fails, the box's console is saved and its place printed.

mod boot_loader;
mod console;
mod firmware;
mod flash_file;
mod kind;
mod machine;
mod modules;
mod monitor;
pub mod nand;
mod nested_nor;
mod nfs;
mod slots;
mod ssh;
mod stories;
pub mod tools;

pub use console::Console;
use firmware::{Firmware, Rescue, jffs2};
pub use firmware::{Parts, made};
use flash_file::Expected;
pub use kind::Kind;
pub use machine::Machine;
