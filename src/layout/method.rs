//! How a write is done, which depends on what it brings and on the partition.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::board::Partition;
use crate::image::content::Content;
use crate::plan::{Method, Rest, Write};

/// The write with its method, and with its order where a boot loader checks what it brings: what its first bytes are, if that is known,
/// and whether it is an initial ramdisk.
pub(super) fn decided(mut write: Write, partition: &Partition, content: Option<&Content>, ramdisk: bool) -> Write {
    if partition.volume.as_ref().is_some_and(|info| info.only_as_a_whole()) {
        return write.by(Method::VolumeUpdate, &partition.geometry);
    }
    // Whoever put nothing behind it must not find the end of a longer one there.
    let zero = ramdisk && partition.fixed_length;
    let rest = if zero { Rest::Zero } else { Rest::Keep };
    let Some(content) = content else {
        let method = Method::Blocks {
            leave_blank: false,
            rest,
        };
        return write.by(method, &partition.geometry);
    };
    // The boot loader checks these two before it starts them. What only a kernel unpacks it does not look at.
    write.order.boot = matches!(content.role, Role::Kernel | Role::Ramdisk)
        && !matches!(content.format, Format::Ramdisk | Format::Cpio);
    // One behind a kernel goes up to the end of the partition as well.
    let has = |formats: &[Format]| content.all().any(|part| formats.contains(&part.format));
    let method = match content.ubi.filter(|_| is_whole_ubi(&write, partition, content)) {
        Some(layout) => Method::Ubi(layout),
        None => Method::Blocks {
            leave_blank: has(&[Format::Jffs2, Format::Ubi]),
            rest: match has(&[Format::Jffs2, Format::Ubifs, Format::Ubi]) {
                true => Rest::Blank,
                false => rest,
            },
        },
    };
    write.by(method, &partition.geometry)
}

/// Whether the bytes can be written as an UBI. What is forced although it cannot be right is written as it is.
fn is_whole_ubi(write: &Write, partition: &Partition, content: &Content) -> bool {
    let geometry = &partition.geometry;
    content.problem.is_none()
        && content.erase_size == Some(geometry.erase_size.into())
        && content.length == write.length()
        && geometry.regions.is_empty()
}

/// Erase blocks that the write must have.
pub fn needed(write: &Write, partition: &Partition) -> u64 {
    match write.method {
        Method::Ubi(layout) => layout.needed,
        _ => {
            let holding = write.blocks(&partition.geometry).filter(|step| !step.image.is_empty());
            holding.count() as u64
        }
    }
}

/// The write with the number of good blocks beyond those it needs, on NAND.
pub fn spared(mut write: Write, partition: &Partition) -> Write {
    if partition.geometry.kind.is_nand() {
        let good = partition.good_blocks().count() as u64;
        write.spare = good.checked_sub(needed(&write, partition));
    }
    write
}
