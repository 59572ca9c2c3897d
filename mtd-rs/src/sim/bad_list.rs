//! Where a simulated NAND keeps its marks: two bytes of OOB, and a list of bad blocks in a file.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::geometry::Geometry;

/// The OOB byte that is 0 in the first page of a bad block.
pub(super) const BAD_MARK: u64 = 0;
/// The OOB byte that is 0 in a page without valid ECC.
pub(super) const TORN_MARK: u64 = 1;

/// Adds one block to the list. Appending leaves nothing half written that was there before.
pub(super) fn append_bad(path: &Path, block: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{block:#010x}\n").as_bytes())
}

/// Bytes of all OOB together.
pub(super) fn oob_bytes(geometry: &Geometry) -> u64 {
    // Byte 0 and 1 carry marks, so that a chip without OOB still gets room for them.
    let oob = u64::from(geometry.oob_size).max(TORN_MARK + 1);
    geometry.size / u64::from(geometry.write_size.max(1)) * oob
}
