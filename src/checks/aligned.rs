//! Whether an erase of the partition could take a neighbour with it.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::units::Grouped;
use crate::board::{Board, Partition};
use crate::plan::Check;

pub(super) fn check(board: &Board, partition: &Partition) -> Check {
    let label = partition.label();
    match board.is_aligned(partition) {
        true => Check::pass(CheckId::Aligned, format!("{label} begins and ends with erase blocks")),
        false => Check::fail(
            CheckId::Aligned,
            format!(
                "{label} does not begin or end with an erase block of {} bytes: a neighbour would be erased with it",
                Grouped(partition.geometry.erase_size.into())
            ),
            "the partition table has to be mended first",
        ),
    }
}
