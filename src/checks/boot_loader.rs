//! What a new boot loader needs beside being forced.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::format::Format;
use crate::board::Protected;
use crate::board::profile::Protection;
use crate::plan::{Check, Write};
use mtd_rs::Area;

/// A new boot loader that is not what it should be cannot be mended without a programmer, so that it is wanted must be
/// said three times: by its check, by its checksum, and by a copy of the old one.
pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let board = facts.board;
    let protected = |write: &Write| {
        let area = Area {
            id: write.to.id,
            range: write.range.clone(),
        };
        let mut found = board.protected(&area).into_iter();
        found.find(|protected| protected.keep == Protection::Bootloader)
    };
    let Some(Protected { label, .. }) = facts.writes().find_map(protected) else {
        return Vec::new();
    };
    // A backup brings a checksum of each of its copies.
    let summed = facts.delivered.iter().all(|file| file.wanted.is_some())
        || facts.image.format == Format::Backup && !facts.image.by_hand;
    let demand = |name, met, text: &str, remedy: &str| match met {
        true => Check::pass(name, text),
        false => Check::fail(
            name,
            format!("{label} holds the boot loader: {text} must be given"),
            remedy,
        ),
    };
    vec![
        demand(
            CheckId::BootloaderChecksum,
            summed,
            "its checksum",
            "compare cksum or sha256sum with what its maker says, then add --sha256 HEX",
        ),
        demand(
            CheckId::BootloaderBackup,
            facts.backup,
            "a place for a copy of the old one",
            "add --backup DIR, and copy DIR to another machine",
        ),
    ]
}
