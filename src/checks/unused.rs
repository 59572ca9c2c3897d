//! What of an archive is not written: said, so that nobody believes that it was installed.

#![forbid(unsafe_code)]

use crate::base::quoted::Quoted;
use crate::image::Image;
use crate::image::pat::CHECKSUMS;
use crate::plan::{Check, Write};

/// Names the members of a `.pat` that no write takes. Nothing where there is no write at all.
pub fn unused(image: &Image, writes: &[Write]) -> Option<Check> {
    if image.format != "synology-pat" || writes.is_empty() {
        return None;
    }
    let left = image
        .parts
        .iter()
        .filter(|part| !writes.iter().any(|write| part.range().contains(&write.source)))
        .map(|part| &part.name)
        .chain(&image.unused)
        // These two were used: for the check of the others, and for the kind of box.
        .filter(|name| ![CHECKSUMS, "VERSION"].contains(&name.as_str()));
    let names: Vec<_> = left.map(|name| Quoted(name).to_string()).collect();
    (!names.is_empty()).then(|| {
        Check::warn(
            "unused",
            format!("of the .pat nothing is done with {}", names.join(", ")),
        )
    })
}
