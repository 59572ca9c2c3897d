//! Flash that fails while it is only read is no place for an update without a backup.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::board::Partition;
use crate::plan::{Check, Step};

const ADVICE: &str = "the chip may be failing, so make a backup first";

/// What the driver has counted about the partition since the box was booted.
pub fn since_boot(partition: &Partition) -> Option<Check> {
    let failed = partition.health.failed.filter(|failed| *failed > 0)?;
    Some(Check::warn(
        CheckId::Ecc,
        format!(
            "{}: ECC could not correct {failed} reads since the last boot, and corrected {} bits: {ADVICE}",
            partition.label(),
            partition.health.corrected.unwrap_or_default()
        ),
    ))
}

/// What was counted while it was compared with the image: these counters are rising.
pub fn just_now(step: &Step) -> Option<Check> {
    let failed = step.survey.as_ref()?.uncorrectable;
    (failed > 0).then(|| {
        Check::warn(
            CheckId::Ecc,
            format!(
                "{}: ECC could not correct {failed} reads just now: {ADVICE}",
                step.write.to.label()
            ),
        )
    })
}
