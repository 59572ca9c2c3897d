//! Files that the recovery pages name by their POSIX checksum and length.

#![forbid(unsafe_code)]

use crate::bytes::store::Store;
use std::io;

/// A file that a page names.
pub struct Known {
    /// POSIX checksum.
    pub cksum: u32,
    /// Bytes.
    pub size: u64,
    /// What it is.
    pub what: &'static str,
}

/// From "Recovery mode of the QNAP TS-109", <https://www.cyrius.com/debian/orion/qnap/ts-109/recovery/>.
pub const FILES: [Known; 2] = [
    Known {
        cksum: 1_122_474_640,
        size: 1_788_312,
        what: "uImage of QNAP's SystemRecovery package: a kernel that leaves mtd0 writable (first step)",
    },
    Known {
        cksum: 3_310_502_457,
        size: 459_100,
        what: "u-boot.bin of QNAP's SystemRecovery package: a boot loader with the recovery mode (second step)",
    },
];

/// What this file is, if it is one of them.
///
/// # Errors
/// Those of reading the store.
pub fn recognise(store: &Store) -> io::Result<Option<&'static str>> {
    // Only a file of the right length is worth the reading.
    let Some(known) = FILES.iter().find(|known| known.size == store.len()) else {
        return Ok(None);
    };
    Ok((store.cksum()? == known.cksum).then_some(known.what))
}
