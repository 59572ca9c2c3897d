//! Whether the image is the one that was meant: its length, its checksum, its signature.

#![forbid(unsafe_code)]

use super::{Delivered, Facts, Signature};
use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use crate::base::units::Grouped;
use crate::image::signature::{KEYS, OPENWRT};
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    let several = facts.delivered.len() > 1;
    let mut checks = Vec::new();
    for file in &facts.delivered {
        let what = match several {
            true => file.name,
            false => "the image",
        };
        checks.extend(checksum(file, what));
        checks.extend(signature(file, what));
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

fn signature(file: &Delivered<'_>, what: &str) -> Vec<Check> {
    let integrity = || {
        Check::warn(
            CheckId::Signature,
            format!("there is no key in {KEYS}: that {what} is whole is checked, not who made it"),
        )
    };
    match file.signature {
        Signature::Right(signed) => vec![Check::pass(CheckId::Signature, &signed.what)],
        Signature::Wrong(why) => vec![
            Check::fail(
                CheckId::Signature,
                why,
                "get image and signature again from whoever made them; nothing overrides this check",
            )
            .exit(Exit::ImageBad),
        ],
        Signature::NotDemanded(None) => vec![integrity()],
        Signature::NotDemanded(Some(Ok(signed))) => vec![
            integrity(),
            Check::pass(CheckId::Signature, format!("{} ({OPENWRT})", signed.what)),
        ],
        Signature::NotDemanded(Some(Err(why))) => vec![
            integrity(),
            Check::warn(
                CheckId::Signature,
                format!("the signature in its trailer proves nothing here: {why} ({OPENWRT})"),
            ),
        ],
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
