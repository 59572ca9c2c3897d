//! The ECC counters of what is written.

#![forbid(unsafe_code)]

use crate::base::outcome::Tally;
use crate::flash::Target;
use mtd_rs::{EccStats, Flash};

/// The ECC counters of a flash; zeros where there are none, or where they cannot be asked for, which fails elsewhere.
pub(super) fn ecc(flash: &mut dyn Flash) -> EccStats {
    flash.ecc_stats().ok().flatten().unwrap_or_default()
}

/// The ECC counters of all targets at one time: bits corrected, reads that could not be.
pub(super) struct Ecc(u32, u32);

impl Ecc {
    pub fn now(targets: &mut [Target]) -> Ecc {
        let mut sum = Ecc(0, 0);
        for target in targets {
            let stats = ecc(&mut *target.flash);
            sum.0 = sum.0.wrapping_add(stats.corrected);
            sum.1 = sum.1.wrapping_add(stats.failed);
        }
        sum
    }

    /// Adds what was counted since to the tally.
    pub fn until_now(self, targets: &mut [Target], tally: &mut Tally) {
        let now = Ecc::now(targets);
        tally.corrected = tally.corrected.saturating_add(now.0.wrapping_sub(self.0));
        tally.uncorrectable = tally.uncorrectable.saturating_add(now.1.wrapping_sub(self.1));
    }
}
