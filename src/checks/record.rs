//! Whether the outcome will be known after the reboot.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::plan::{Check, Write};
use crate::record;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let board = facts.board;
    vec![match board.record_beside(facts.writes().map(Write::area)) {
        _ if board.is_sim() => Check::pass(CheckId::Record, "the outcome is kept in status.json"),
        Some(partition) if record::can_keep_on_flash(board) => {
            Check::pass(CheckId::Record, format!("the outcome is kept in {}", partition.label()))
        }
        _ if std::path::Path::new("/dev/pmsg0").exists() => {
            Check::pass(CheckId::Record, "the outcome is kept in memory that survives a reboot")
        }
        _ if record::can_keep_on_disk() => {
            Check::pass(CheckId::Record, "the outcome is kept on a disk, in flasher.record")
        }
        Some(partition) => Check::warn(
            CheckId::Record,
            format!(
                "nothing on this box keeps the outcome over a reboot: {} holds something that is not a record, which stays, or \
                 has erase blocks that are too small for one",
                partition.label()
            ),
        ),
        None => Check::warn(
            CheckId::Record,
            "nothing on this box keeps the outcome over a reboot: no partition named flasher, no ramoops, no file \
             flasher.record of root's on a disk of its own that can be written",
        ),
    }]
}
