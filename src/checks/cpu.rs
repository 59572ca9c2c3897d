//! Whether what the partitions get is for the processor of this box.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::image::content::Content;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(&|placed, partition| {
        let cpu = facts.board.cpu();
        let mut all = placed.content.iter().flat_map(Content::all);
        let foreign = all.find_map(|content| content.foreign_to(cpu?));
        let say = |foreign| {
            Check::fail(
                CheckId::Cpu,
                format!("{}: {foreign}", partition.label()),
                "get the image for this box; --force=cpu if you know better",
            )
            .forceable()
        };
        foreign.map(say).into_iter().collect()
    })
}
