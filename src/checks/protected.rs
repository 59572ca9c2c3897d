//! Whether a write reaches the boot loader or the settings of this one box, by whatever partition.

#![forbid(unsafe_code)]

use crate::board::profile::Protection;
use crate::board::{Board, Protected};
use crate::plan::{Check, Write};
use mtd_rs::Area;

pub(super) fn check(board: &Board, write: &Write) -> Vec<Check> {
    let area = Area {
        id: write.to.id,
        range: write.range.clone(),
    };
    let found = board.protected(&area);
    [Protection::Bootloader, Protection::Settings]
        .into_iter()
        .filter_map(|keep| of_kind(keep, &found, &write.to.label()))
        .collect()
}

fn of_kind(keep: Protection, found: &[Protected], label: &str) -> Option<Check> {
    let mut of_kind = found.iter().filter(|protected| protected.keep == keep);
    let protected = of_kind
        .clone()
        .find(|protected| protected.label == label)
        .or_else(|| of_kind.next())?;
    let text = match (protected.label == label, protected.certain) {
        (true, _) if protected.by_name => format!("{label} is called like one that holds {}", keep.explain()),
        (true, _) => format!("{label} holds {}", keep.explain()),
        (false, true) => format!("{label} contains {}, which holds {}", protected.label, keep.explain()),
        (false, false) => format!(
            "{label} may contain {}, which holds {}: where they lie is not known",
            protected.label,
            keep.explain()
        ),
    };
    let check = keep.check();
    let remedy = match protected.certain {
        true => format!("leave it out, or after a backup --force={check}"),
        false => format!(
            "leave it out, or say where the partitions lie in a profile of this box (flasher devices --profile begins one), or \
             after a backup --force={check}"
        ),
    };
    Some(Check::fail(check, text, remedy).forceable())
}
