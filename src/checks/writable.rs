//! Whether the kernel lets the partition be written.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::units::Grouped;
use crate::board::Partition;
use crate::board::profile::Protection;
use crate::image::known;
use crate::plan::Check;
use mtd_rs::{FlashKind, MAX_BLOCKS};

/// Refuses a device of which nobody goes through the erase blocks: it is neither written nor compared.
pub fn too_many_blocks(partition: &Partition) -> Option<Check> {
    let refused = || {
        let (label, most) = (partition.label(), Grouped(MAX_BLOCKS));
        Check::fail(
            CheckId::Writable,
            format!("{label} has more than {most} erase blocks, as no flash has: it is neither written nor compared"),
            "give it larger erase blocks where the driver lets you: block2mtd=DEVICE,SIZE",
        )
    };
    partition.geometry.has_too_many_blocks().then(refused)
}

pub(super) fn check(partition: &Partition) -> Check {
    let label = partition.label();
    let [kernel, loader] = &known::FILES;
    // NAND has bad blocks and pages, and NOR has none. A kernel that shows no more than /proc/mtd tells neither.
    if partition.geometry.kind == FlashKind::Unknown {
        return Check::fail(
            CheckId::Writable,
            format!("what kind of flash {label} is, and whether it can be written, is not known"),
            "mount -t sysfs sysfs /sys, or make its node: mknod /dev/mtdN c 90 2N; flasher knows nor, nand, mlc-nand, \
             dataflash and ram",
        );
    }
    if let Some(refused) = too_many_blocks(partition) {
        return refused;
    }
    if !partition.geometry.is_consistent() {
        return Check::fail(
            CheckId::Writable,
            format!(
                "{label} has erase blocks of {} and pages of {} bytes, or erase regions, as no flash has",
                partition.geometry.erase_size, partition.geometry.write_size
            ),
            "only another kernel or device tree can mend it",
        );
    }
    match (partition.writable, partition.remark()) {
        (true, Some(remark)) => Check::warn(CheckId::Writable, format!("{label} {remark}")),
        (true, None) => Check::pass(CheckId::Writable, format!("{label} can be written")),
        (false, _) => Check::fail(
            CheckId::Writable,
            format!("{label} is read-only: the kernel lets nobody write it"),
            match partition.keep {
                // The two steps by which QNAP itself replaces a protected boot loader.
                Some(Protection::Bootloader) => format!(
                    "the running kernel protects the boot loader, so another kernel comes first: apply one that does \
                     not (QNAP's SystemRecovery package has it as uImage, cksum {} {}), reboot, then apply u-boot.bin \
                     (cksum {} {}) with --part; flasher inspect knows both files",
                    kernel.cksum, kernel.size, loader.cksum, loader.size
                ),
                _ => "only another kernel or device tree can open it".to_owned(),
            },
        ),
    }
}
