//! Whether there is a place for the image.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    match facts.laid_out {
        Err(check) => vec![check.clone()],
        Ok(laid_out) if laid_out.placed.is_empty() && facts.image.problem.is_none() => vec![Check::fail(
            CheckId::Partition,
            "none of the image's parts may be written",
            "name them with --part",
        )],
        Ok(_) => Vec::new(),
    }
}
