//! Whether the outcome will be known after the reboot.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::board::{Board, Partition};
use crate::plan::{Check, Write};
use crate::record;
use mtd_rs::{Area, Overlap};

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let board = facts.board;
    let overwritten = |partition: &Partition| facts.writes().any(|write| overwrites(board, write, partition));
    vec![match board.record_partition() {
        _ if board.is_sim() => Check::pass(CheckId::Record, "the outcome is kept in status.json"),
        Some(partition) if !overwritten(partition) => {
            Check::pass(CheckId::Record, format!("the outcome is kept in {}", partition.label()))
        }
        _ if std::path::Path::new("/dev/pmsg0").exists() => {
            Check::pass(CheckId::Record, "the outcome is kept in memory that survives a reboot")
        }
        _ if !record::disks().is_empty() => {
            Check::pass(CheckId::Record, "the outcome is kept on a disk, in flasher.record")
        }
        _ => Check::warn(
            CheckId::Record,
            "nothing on this box keeps the outcome over a reboot: no partition named flasher, no ramoops, no disk \
             with a file flasher.record",
        ),
    }]
}

fn overwrites(board: &Board, write: &Write, partition: &Partition) -> bool {
    let area = Area {
        id: write.to.id,
        range: write.range.clone(),
    };
    board.map.overlap(&area, &board.map.whole(partition.id)) != Overlap::No
}
