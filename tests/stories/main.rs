//! Numbered stories: what flasher promises, each told once on a box that is simulated, or, in `lab`, emulated.
//!
//! `cargo test` tells the simulated ones; `tests/run` builds what the lab needs and tells them all.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

#[path = "../bench/mod.rs"]
mod bench;
mod cable;
#[path = "../lab/mod.rs"]
mod lab;
mod simbox;

mod s01_apply;
mod s02_refusals;
mod s03_images;
mod s04_engine;
mod s05_faults;
mod s06_backup;
mod s07_contract;
mod s08_trust;
mod s09_sources;
mod s10_boards;
mod s11_containers;
mod s12_formats;
mod s13_hostile;
mod s14_campaign;
mod s20_recovery;
mod s21_recovery_tftp;
mod s22_recovery_dhcp;
mod s23_recovery_check;
mod s30_bootloader;
mod s31_pat;
mod s32_qpkg;
mod s33_updater;
mod s34_signals;
mod s35_every_bit;
mod s40_ubi;
mod s41_nand;
mod s42_geometry;
mod s43_ecc;
mod s44_recovery_last;
mod s45_time_and_memory;
mod s46_env;
mod s47_slots;
mod s48_keep;
mod s49_record;
mod s55_slot_faults;
mod s56_volumes;
mod s57_rest;
