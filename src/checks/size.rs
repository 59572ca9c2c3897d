//! Whether what a partition gets fits it, by what it says of itself.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::units::Grouped;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(&|placed, partition| {
        let room = partition.capacity();
        let content = placed.content.as_ref();
        let too_long = content.filter(|content| content.length > room && content.problem.is_none());
        let say = |content: &crate::image::content::Content| {
            Check::fail(
                CheckId::Size,
                format!(
                    "the {} for {} has {} bytes and the partition {}: {} bytes too many",
                    content.format,
                    partition.label(),
                    Grouped(content.length),
                    Grouped(room),
                    Grouped(content.length - room)
                ),
                "use a smaller one",
            )
        };
        too_long.map(say).into_iter().collect()
    })
}
