//! Whether the image is whole.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let problem = facts.image.problem.as_ref();
    let say = |problem: &String| {
        Check::fail(
            CheckId::Image,
            problem,
            "nothing overrides this check; if it is damaged, get it again from whoever made it",
        )
        .exit(Exit::ImageBad)
    };
    problem.map(say).into_iter().collect()
}
