//! Whether the image is whole.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    if let Some(undecided) = &facts.image.undecided {
        return vec![
            Check::fail(
                CheckId::Image,
                undecided,
                "--as-is writes the file byte for byte, --unpack what is inside",
            )
            .exit(Exit::ImageBad),
        ];
    }
    let problem = facts.image.problem.as_ref();
    let remedy = facts.image.remedy.as_deref();
    let remedy = remedy.unwrap_or("nothing overrides this check; if it is damaged, get it again from whoever made it");
    let say = |problem: &String| Check::fail(CheckId::Image, problem, remedy).exit(Exit::ImageBad);
    problem.map(say).into_iter().collect()
}
