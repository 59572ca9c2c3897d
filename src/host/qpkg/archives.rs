//! The archives of a QPKG, as [`crate::image::qpkg`] recognises it.
//!
//! That of the old kind is one gzip tar. QDK's begin with a tar with the control files, behind which comes the tar with
//! the data, packed with whatever its maker chose, and QDK's own area.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Result};
use crate::base::quoted::Quoted;
use crate::base::units::Fields;
use crate::bytes::packed::Codec;
use crate::bytes::store::Store;
use crate::bytes::tar;
use crate::bytes::tar_entries::BLOCK;
use crate::host::archive::{bad, must_be_packed};
use crate::image::qpkg::{Outline, TAIL};
use serde::Serialize;
use std::io;
use std::ops::Range;

/// The longest QDK area: 20 KiB of code signature are QDK's own limit, and an older signature stands beside it.
const AREA: u64 = 64 << 10;
/// The kind of block that ends a QDK area.
const AREA_END: u8 = 255;
/// A record of tar's, in bytes: what `tar` fills up with zeros at its end, and two blocks more.
const RECORD: u64 = 11 << 10;
const AREA_TAG: &[u8] = b"QDK";

/// A packed tar within the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The directory below which it is unpacked.
    pub below: &'static str,
    /// Where it is.
    pub range: Range<u64>,
    /// With what it is packed.
    pub codec: Codec,
}

/// Where everything is.
#[derive(Debug)]
pub struct Qpkg {
    /// Archives in the order of the file.
    pub archives: Vec<Archive>,
    /// What the tail says.
    pub about: Option<About>,
}

/// The tail, as far as it is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The model it is for.
    pub model: String,
}

impl About {
    fn of(tail: &[u8; TAIL]) -> About {
        let field = |range: Range<usize>| {
            String::from_utf8_lossy(&tail[range])
                .chars()
                .filter(|c| !c.is_control())
                .collect::<String>()
                .trim()
                .to_owned()
        };
        About {
            name: field(60..80),
            version: field(80..90),
            model: field(0..10),
        }
    }
}

impl Qpkg {
    /// Finds the archives.
    ///
    /// # Errors
    /// [`Exit::ImageBad`](crate::base::error::Exit::ImageBad) for what is not a QPKG,
    /// [`Exit::Unsupported`](crate::base::error::Exit::Unsupported) for archives that are packed with something else.
    pub fn open(store: &Store) -> Result<Qpkg> {
        let outline = Outline::of(store).context("QPKG")?;
        let outline = outline.ok_or_else(|| bad("this is not a QPKG: it does not begin with a script"))?;
        let archives = match outline.said {
            Some(0) => return Err(bad("its script says a length of its own that makes no sense")),
            Some(_) if outline.tail.is_none() => return Err(bad("the package is cut off: it has no tail")),
            Some(at) if at < outline.end => qdk(store, at, outline.end)?,
            Some(at) => {
                return Err(bad(format_args!(
                    "its script says it has {at} bytes, more than there are"
                )));
            }
            None => {
                let at = outline.gzip;
                let at = at.ok_or_else(|| bad("this is not a QPKG: there is no archive behind the script"))?;
                vec![Archive {
                    below: "",
                    range: at..outline.end,
                    codec: Codec::Gzip,
                }]
            }
        };
        let about = outline.tail.as_ref().map(About::of);
        Ok(Qpkg { archives, about })
    }
}

fn qdk(store: &Store, at: u64, end: u64) -> Result<Vec<Archive>> {
    let members = tar::walk(store, at..end).map_err(bad)?;
    // QTS unpacks all that is in the first archive, one behind the other.
    let [control] = members.as_slice() else {
        let names = members
            .iter()
            .map(|member| Quoted(&member.name).to_string())
            .collect::<Vec<_>>();
        return Err(bad(format_args!(
            "its first archive has to have control.tar.gz alone in it, not {}: {}",
            names.len(),
            names.join(", ")
        )));
    };
    if !control.name.starts_with("control.tar") {
        return Err(bad("its first archive has no control.tar in it"));
    }
    let archive = |below, range: Range<u64>, what| {
        let codec = must_be_packed(store, &range, what)?;
        Ok(Archive { below, range, codec })
    };
    let mut archives = vec![archive("control", control.data.clone(), "control files")?];
    // tar fills its last record with zeros, and no archive begins with one.
    let last = members.iter().map(|member| member.data.end).max().unwrap_or(at);
    let mut byte = [0];
    let mut data = at + (last - at).next_multiple_of(BLOCK);
    while data < end {
        store.read_exact_at(data, &mut byte).context("QPKG")?;
        if byte != [0] {
            break;
        }
        data += 1;
    }
    let end = before_area(store, data..end).context("QPKG")?;
    // A hole where the data belong is longer than what tar fills its last record with.
    if data == end && data - last > RECORD {
        return Err(bad("nothing but zeros stands where its data belong"));
    }
    // A package may be nothing but its control files.
    if data < end {
        archives.push(archive("data", data..end, "data")?);
    }
    Ok(archives)
}

/// Where the QDK area begins, or the end if there is none: `QDK`, then blocks of kind, length and bytes, the last of
/// which is the end itself (`get_qdk_area_data_pos` of QDK's `code_signing` scripts).
fn before_area(store: &Store, range: Range<u64>) -> io::Result<u64> {
    let from = range.start.max(range.end.saturating_sub(AREA));
    let mut last = vec![0; (range.end - from) as usize];
    store.read_exact_at(from, &mut last)?;
    let area = last
        .windows(AREA_TAG.len())
        .enumerate()
        .find(|(at, tag)| *tag == AREA_TAG && is_area(&last[at + AREA_TAG.len()..]));
    Ok(area.map_or(range.end, |(at, _)| from + at as u64))
}

fn is_area(blocks: &[u8]) -> bool {
    let mut at = 0;
    loop {
        match blocks.get(at) {
            Some(&AREA_END) => return at + 1 == blocks.len(),
            Some(_) => {
                let Some(length) = Fields(blocks).be32(at + 1) else {
                    return false;
                };
                at = at.saturating_add(5).saturating_add(length as usize);
            }
            None => return false,
        }
    }
}
