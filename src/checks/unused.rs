//! What of an archive, a backup or the copy of a chip is not written: said, so that nobody believes that it was installed.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::base::quoted::Quoted;
use crate::image::pat::{CHECKSUMS, VERSION};
use crate::layout::LeftOut;
use crate::plan::Check;

/// Names what no write takes.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let mut checks = left_out(facts);
    if facts.image.by_hand {
        checks.push(Check::warn(
            CheckId::Image,
            "the copies were made by hand: there is no SHA256SUMS that shows them to be whole, only their lengths are right",
        ));
    }
    checks.extend(of_pat(facts));
    checks.extend(of_backup(facts));
    checks
}

/// Names the files of a backup's directory that are no copies, or none that counts.
fn of_backup(facts: &Facts<'_>) -> Vec<Check> {
    let files = facts
        .image
        .unused
        .iter()
        .filter(|_| facts.image.format == Format::Backup);
    files
        .map(|file| Check::warn(CheckId::Unused, format!("of the backup's directory, {file}")))
        .collect()
}

/// The parts that were left out, each with the reason.
fn left_out(facts: &Facts<'_>) -> Vec<Check> {
    let what = match facts.image.format {
        Format::Backup => "backup",
        _ => "image",
    };
    let left_out = facts.laid_out.iter().flat_map(|laid_out| &laid_out.left_out);
    let say = |left: &LeftOut| {
        let name = Quoted(&left.name);
        Check::warn(
            CheckId::Unused,
            format!("of the {what}, {name} is not written: {}", left.why),
        )
    };
    left_out.map(say).collect()
}

/// Names the members of a `.pat` that no write takes. Nothing where there is no write at all.
fn of_pat(facts: &Facts<'_>) -> Vec<Check> {
    if facts.image.format != Format::SynologyPat || facts.placed().is_empty() {
        return Vec::new();
    }
    let left = facts
        .image
        .parts
        .iter()
        .filter(|part| !facts.writes().any(|write| part.range().contains(&write.source.start)))
        .map(|part| &part.name)
        .chain(&facts.image.unused)
        // These two were used: for the check of the others, and for the kind of box.
        .filter(|name| ![CHECKSUMS, VERSION].contains(&name.as_str()));
    let names: Vec<_> = left.map(|name| Quoted(name).to_string()).collect();
    let say = || {
        Check::warn(
            CheckId::Unused,
            format!("of the .pat nothing is done with {}", names.join(", ")),
        )
    };
    (!names.is_empty()).then(say).into_iter().collect()
}
