//! What is read of the kernel's tables, for who feeds it with other bytes.

use crate::{discover, map};

/// `/proc/mtd`.
pub fn proc_mtd(bytes: &[u8]) {
    discover::fuzz(&String::from_utf8_lossy(bytes));
}

/// The kernel's command line with `mtdparts=`.
pub fn cmdline(bytes: &[u8]) {
    map::fuzz(&String::from_utf8_lossy(bytes));
}
