//! QNAP's recovery images: partitions put one behind the other ("Recovery mode of the QNAP TS-109", "Recovery
//! mode of QNAP TS-21x/TS-22x").

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::{Arch, Processor, Role};
use crate::bytes::store::Store;
use crate::image::{Layout, content, uimage};
use std::io;
use std::ops::Range;

const MIB: u64 = 1 << 20;

/// Where the kernel is in each kind tells them apart.
pub(super) fn recognise(store: &Store) -> io::Result<Option<Layout>> {
    let (kernel, parts) = match store.len() {
        // TS-109/209/409: mtd1, mtd2, mtd3. The official image has 8 MiB, of which the last is ignored.
        size if size == 7 * MIB || size == 8 * MIB => (
            0..2 * MIB,
            vec![
                ("Kernel", 0..2 * MIB),
                ("RootFS1", 2 * MIB..6 * MIB),
                ("RootFS2", 6 * MIB..7 * MIB),
            ],
        ),
        // TS-119/219/21x/22x: the whole chip in physical order, mtd0 4 5 1 2 3.
        size if size == 16 * MIB => (
            2 * MIB..4 * MIB,
            vec![
                ("U-Boot", 0..0x8_0000),
                ("U-Boot Config", 0x8_0000..0xc_0000),
                ("NAS Config", 0xc_0000..2 * MIB),
                ("Kernel", 2 * MIB..4 * MIB),
                ("RootFS1", 4 * MIB..13 * MIB),
                ("RootFS2", 13 * MIB..16 * MIB),
            ],
        ),
        _ => return Ok(None),
    };
    Ok(is_arm_kernel(store, kernel)?.then_some(Layout {
        format: Format::QnapRecovery,
        parts,
    }))
}

fn is_arm_kernel(store: &Store, range: Range<u64>) -> io::Result<bool> {
    // Its header is enough: all of it is read once for its checksum, and that comes later.
    let content = match uimage::recognise(store, &(range.start..range.start + uimage::HEADER))? {
        Some(content) => Some(content),
        None => content::look(store, range)?,
    };
    Ok(
        content
            .is_some_and(|content| content.role == Role::Kernel && content.arch == Some(Processor::Known(Arch::Arm))),
    )
}
