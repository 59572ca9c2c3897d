//! Whether bytes say themselves where they end. Of a stream whose sender does not say how long it is nobody else does.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::bytes::store::Store;
use crate::image::{AsIs, Image, content};
use std::io;

/// More things behind each other than any image has.
const MANY: usize = 8;

/// Whether an image would be known to be cut off if it were.
///
/// # Errors
/// Those of reading.
pub fn says_its_end(image: &Image, store: &Store) -> io::Result<bool> {
    // These end with a checksum, a list or a mark, or have one size only.
    const WHOLE: [Format; 5] = [
        Format::SynologyPat,
        Format::SysupgradeTar,
        Format::Tar,
        Format::QnapRecovery,
        Format::OpenwrtSysupgrade,
    ];
    // Of what was not unpacked the end is not known.
    let mut contents = image.parts.iter().filter_map(|part| part.content.as_ref());
    if image.format == Format::Ramdisk && contents.all(|content| content.checked) {
        return Ok(true);
    }
    // What is wrong is told; and a copy has the length of its partition.
    if image.problem.is_some()
        || image.undecided.is_some()
        || image.as_is == Some(AsIs::Copy)
        || WHOLE.contains(&image.format)
    {
        return Ok(true);
    }
    if image.metadata.is_some() {
        return Ok(true);
    }
    let mut at = 0;
    for _ in 0..MANY {
        let range = at..image.payload;
        let first = image.parts.first().filter(|part| part.range() == range);
        let content = match first.and_then(|part| part.content.clone()) {
            Some(content) => Some(content),
            None => content::look(store, range)?,
        };
        let Some(content) = content else {
            return Ok(false);
        };
        // These two go on as long as there are erase blocks.
        if [Format::Jffs2, Format::Ubi].contains(&content.format) || content.length == 0 {
            return Ok(false);
        }
        let end = at.saturating_add(content.length).min(image.payload);
        at = store.past_any(end..image.payload, &[0, 0xff])?;
        if at == image.payload {
            return Ok(true);
        }
    }
    Ok(false)
}
