//! Whether the image is the one that was meant: its checksum, its signature.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::image::signature::Key;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(wanted) = &facts.trust.sha256 {
        checks.push(match *wanted == facts.image.sha256 {
            true => Check::pass(CheckId::Sha256, "the image has the checksum that was asked for"),
            false => Check::fail(
                CheckId::Sha256,
                format!("the image has the checksum {}, not {wanted}", facts.image.sha256),
                "copy the image again",
            )
            .exit(Exit::ImageBad),
        });
    }
    if let Some(path) = &facts.trust.key {
        let verdict = Key::read(path).and_then(|key| key.verify(facts.name, facts.signature, facts.store.delivered()));
        checks.push(match verdict {
            Ok(signature) => Check::pass(CheckId::Signature, format!("{signature} is right")),
            Err(failure) => {
                let told = failure.told();
                Check::fail(CheckId::Signature, told.what, told.hint.unwrap_or_default()).exit(told.exit)
            }
        });
    }
    checks
}
