//! What only a workstation does for a box: packages, and the network side of the recovery mode.

#![forbid(unsafe_code)]

pub mod archive;
pub(crate) mod emulated;
mod links;
pub mod manual;
pub(crate) mod pat;
pub(crate) mod push;
pub mod qpkg;
pub mod recovery;
mod zip;
