//! Whether the image is the one that was meant: its length, its checksum, its signature.

#![forbid(unsafe_code)]

use super::{Delivered, Facts};
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::units::Grouped;
use crate::image::signature::Key;
use crate::plan::Check;
use std::path::Path;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let several = facts.delivered.len() > 1;
    let mut checks = Vec::new();
    for file in &facts.delivered {
        let what = match several {
            true => file.name,
            false => "the image",
        };
        checks.extend(checksum(file, what));
        checks.extend(facts.key.map(|path| signature(file, path)));
        checks.extend(length(file, what));
    }
    checks
}

fn checksum(file: &Delivered<'_>, what: &str) -> Option<Check> {
    let wanted = file.wanted?;
    Some(match wanted == file.sha256 {
        true => Check::pass(CheckId::Sha256, format!("{what} has the checksum that was asked for")),
        false => Check::fail(
            CheckId::Sha256,
            format!("{what} has the checksum {}, not {wanted}", file.sha256),
            "copy the image again",
        )
        .exit(Exit::ImageBad),
    })
}

fn signature(file: &Delivered<'_>, path: &Path) -> Check {
    let verdict = Key::read(path).and_then(|key| key.verify(file.name, file.signature, file.store));
    match verdict {
        Ok(signature) => Check::pass(CheckId::Signature, format!("{signature} is right")),
        Err(failure) => {
            let told = failure.told();
            Check::fail(CheckId::Signature, told.what, told.hint.unwrap_or_default()).exit(told.exit)
        }
    }
}

/// A stream that was cut off looks like a shorter one.
fn length(file: &Delivered<'_>, what: &str) -> Option<Check> {
    file.endless.then(|| {
        Check::fail(
            CheckId::Size,
            format!(
                "{} bytes came, and nobody says whether that is all of them: {what} was sent without its length, and its \
                 own bytes do not say it",
                Grouped(file.store.len())
            ),
            "say its length with --size N, or its checksum with --sha256; or copy it to the box and name the file",
        )
    })
}
