//! Flash that fails while it is only read is no place for an update without a backup.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use crate::board::Partition;
use crate::plan::{Check, Write};

const ADVICE: &str = "the chip may be failing, so make a backup first";

/// What the driver has counted about the partition since the box was booted.
pub fn since_boot(partition: &Partition) -> Option<Check> {
    let failed = partition.health.failed.filter(|failed| *failed > 0)?;
    Some(Check::warn(
        "ecc",
        format!(
            "{}: ECC could not correct {failed} reads since the last boot, and corrected {} bits: {ADVICE}",
            partition.label(),
            partition.health.corrected.unwrap_or_default()
        ),
    ))
}

/// What was counted while it was compared with the image: these counters are rising.
pub fn just_now(write: &Write) -> Option<Check> {
    (write.uncorrectable > 0).then(|| {
        Check::warn(
            "ecc",
            format!(
                "mtd{} {}: ECC could not correct {} reads just now: {ADVICE}",
                write.mtd,
                Quoted(&write.partition),
                write.uncorrectable
            ),
        )
    })
}
