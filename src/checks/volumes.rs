//! What an update does to the volumes of a UBI beside writing them.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::plan::{Check, DATA, VolumeChanges};

/// What was changed in the old system is lost with the volume that holds it: said beforehand.
pub fn check(volumes: &VolumeChanges) -> Vec<Check> {
    let say = |_| {
        Check::warn(
            CheckId::Content,
            format!(
                "ubi{}:{DATA}, which holds all settings, is made anew and empty, as OpenWrt's sysupgrade does it",
                volumes.ubi
            ),
        )
    };
    volumes.removed.map(say).into_iter().collect()
}
