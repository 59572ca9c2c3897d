//! The pipeline of an update: the image is staged, the plan prepared, the box taken over if need be, the plan executed.

#![forbid(unsafe_code)]

mod busybox;
pub mod execute;
mod handoff;
pub mod pid_one;
mod rescue;
pub mod stage;
pub mod takeover;
