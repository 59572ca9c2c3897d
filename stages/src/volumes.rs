//! Volumes of a UBI that are made, taken away, or given another size.
#![forbid(unsafe_code)]

use crate::device::{Numbers, of_sysfs};
use crate::proof::Unheld;
use crate::ubi::{open, patiently};
use mtd_rs::PartitionId;
use mtd_rs::ubi::ioctl::{ubi_iocmkvol, ubi_iocrmvol, ubi_iocrsvol};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Takes a volume away with all that is in it.
///
/// # Errors
/// A proof that does not cover it, and those of the system.
pub fn remove_volume(proof: &Unheld, ubi: u32, id: u32) -> io::Result<()> {
    covered(proof, ubi, id)?;
    patiently(|| ubi_iocrmvol(device(ubi)?.as_fd(), id))
}

/// Gives a volume another size, in bytes. What was behind a smaller one is gone.
///
/// # Errors
/// A proof that does not cover it, and those of the system.
pub fn resize_volume(proof: &Unheld, ubi: u32, id: u32, bytes: u64) -> io::Result<()> {
    covered(proof, ubi, id)?;
    patiently(|| ubi_iocrsvol(device(ubi)?.as_fd(), id, bytes))
}

/// Makes a dynamic volume with this number, and its character device where `/dev` does not have it.
///
/// # Errors
/// Those of the system.
pub fn create_volume(ubi: u32, id: u32, name: &str, bytes: u64) -> io::Result<()> {
    ubi_iocmkvol(device(ubi)?.as_fd(), id, name, bytes)?;
    let volume = format!("ubi{ubi}_{id}");
    // Whoever makes the nodes of this system may need a moment, and where nobody does we do.
    open(&volume, numbers(&volume), false).map(drop)
}

fn device(ubi: u32) -> io::Result<File> {
    let name = format!("ubi{ubi}");
    open(&name, numbers(&name), true)
}

fn numbers(name: &str) -> Option<Numbers> {
    of_sysfs(&Path::new("/sys/class/ubi").join(name)).ok()
}

fn covered(proof: &Unheld, ubi: u32, id: u32) -> io::Result<()> {
    match proof.covers(PartitionId::Volume { ubi, id }) {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "ubi{ubi}_{id} would be changed without proof"
        ))),
    }
}
