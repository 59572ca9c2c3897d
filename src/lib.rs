//! Replaces the firmware of a small Linux box from inside the running system.
//!
//! The parts: [`board`] says what the box is, [`image`] what the file is, [`plan`] which bytes go where,
//! [`preflight`] whether that may be, [`flash`] does it. [`mod@env`] is the environment of U-Boot, [`slots`] what it boots. [`recovery`] knows what the boot loader itself can write.
//! [`cmd`] has a file for each verb.

pub mod board;
pub mod cli;
pub mod cmd;
pub mod env;
pub mod error;
pub mod flash;
pub mod image;
pub mod json;
pub mod keep;
pub mod lock;
pub mod plan;
pub mod preflight;
pub mod quoted;
pub mod record;
pub mod recovery;
pub mod report;
pub mod slots;
pub mod units;
