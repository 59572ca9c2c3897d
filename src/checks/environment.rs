//! Whether a write reaches the boot loader's environment where no partition is known for it: its lines may place it anywhere.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::board::profile::Protection;
use crate::plan::Check;
use mtd_rs::{Area, Overlap};

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let (board, place) = match facts.environment {
        // A backup has that of this box.
        Ok(_) if facts.image.format == Format::Backup => return Vec::new(),
        Ok(Some(place)) => (facts.board, place),
        Ok(None) => return Vec::new(),
        Err(failure) => {
            let text = format!("where the boot loader's environment lies is not known, so nothing keeps it: {failure}");
            return vec![Check::warn(CheckId::Environment, text)];
        }
    };
    let keep = Protection::Settings;
    let areas = place.spots.iter().filter_map(|spot| spot.area());
    // A partition that is protected is one whole, whatever of it the environment uses.
    let open = areas.filter(|area| board.get(area.id).is_none_or(|partition| partition.keep.is_none()));
    let reached = open.filter_map(|area| {
        facts.writes().find_map(|write| {
            let written = Area {
                id: write.to.id,
                range: write.range.clone(),
            };
            match board.map.overlap(&written, &area) {
                Overlap::No => None,
                Overlap::Yes => Some(format!("{} has the boot loader's environment in it", write.to.label())),
                Overlap::Maybe => Some(format!(
                    "{} may have the boot loader's environment in it",
                    write.to.label()
                )),
            }
        })
    });
    let remedy = format!("leave it out, or after a backup --force={}", keep.check());
    let mut checks: Vec<Check> = reached
        .map(|text| Check::fail(keep.check(), text, &remedy).forceable())
        .collect();
    checks.dedup();
    checks
}
