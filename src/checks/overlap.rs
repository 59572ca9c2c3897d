//! No byte of the flash may be planned twice.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::board::Board;
use crate::plan::{Check, Write};
use mtd_rs::{Area, Overlap};

/// The first two writes that share bytes, or of which it cannot be told that they do not.
pub fn check(board: &Board, writes: &[&Write]) -> Option<Check> {
    let area = |write: &Write| Area {
        id: write.to.id,
        range: write.range.clone(),
    };
    writes.iter().enumerate().find_map(|(index, one)| {
        writes[..index].iter().find_map(|other| {
            let text = match board.map.overlap(&area(one), &area(other)) {
                Overlap::No => return None,
                Overlap::Yes => format!("{} and {} share bytes of the chip", other.to.label(), one.to.label()),
                Overlap::Maybe => format!(
                    "{} and {} may share bytes of the chip: the kernel does not say where they lie",
                    other.to.label(),
                    one.to.label()
                ),
            };
            Some(Check::fail(CheckId::Overlap, text, "name only one of them"))
        })
    })
}
