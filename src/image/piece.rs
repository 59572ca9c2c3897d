//! A piece of an image that has its place there, and of which the image knows no more than where it is: looked at as it would be as a
//! file of its own. What a ramdisk, a part or an entity is, its own bytes say.

#![forbid(unsafe_code)]

use crate::base::format::{Format, Nature};
use crate::base::machine::Role;
use crate::bytes::packed::{Codec, peek};
use crate::bytes::store::Store;
use crate::image::content::{Content, Recognise};
use crate::image::{behind, cramfs, fit, foreign, jffs2, ramdisk, squashfs, surplus, ubifs, uimage, within};
use std::io;
use std::ops::Range;

/// What has no pieces of its own.
const PLAIN: &[Recognise] = &[
    squashfs::recognise,
    cramfs::recognise,
    jffs2::recognise,
    ubifs::recognise,
    ramdisk::recognise,
    foreign::recognise,
];
/// And what has none but those: so nothing is looked into more than twice.
const IMAGES: &[Recognise] = &[uimage::recognise, fit::recognise];
/// More bytes alike are no file.
const BLANK: u64 = 64;

/// What was found.
pub(super) struct Piece {
    /// What it is; `None` for nothing that is known.
    pub content: Option<Content>,
    /// What is damaged in it.
    pub damaged: Option<String>,
    /// What it is that lies on no flash.
    pub strange: Option<&'static str>,
}

impl Piece {
    /// What is wrong with it, whatever it is for, but for its length.
    pub fn wrong(&self) -> Option<String> {
        self.damaged.clone().or(self.strange.map(str::to_owned))
    }
}

/// Looks at a piece of a container that may hold whole images, such as the part of a TRX.
///
/// # Errors
/// Those of reading the store.
pub(super) fn look(store: &Store, range: &Range<u64>) -> io::Result<Piece> {
    by(&[IMAGES, PLAIN], store, range)
}

/// What is wrong with a piece of a uImage or a FIT that is to be a file system, or a ramdisk, which may be one too. What is not
/// known is told in the title of the image.
///
/// # Errors
/// Those of reading the store.
pub(super) fn root(store: &Store, range: &Range<u64>, what: &str, image: &mut Content) -> io::Result<Option<String>> {
    let piece = by(&[PLAIN], store, range)?;
    let Some(content) = &piece.content else {
        image
            .title
            .push_str(&format!("; {what} in it is nothing that is known"));
        image.checked &= piece.damaged.is_some();
        return Ok(piece.damaged);
    };
    let short = content.too_long(range.end - range.start);
    let no_root = content.role == Role::Kernel || matches!(content.format, Format::DeviceTree | Format::Text);
    let strange = piece.strange.or(no_root.then(|| content.format.described()));
    let strange = match strange {
        None if content.format.nature() == Nature::Packed => packed(store, range)?.map(Format::described),
        strange => strange,
    };
    let strange = strange.map(|format| format!("it says that there is {what} in it, and that is {format}"));
    let wrong = piece.damaged.or(short).or(strange);
    if wrong.is_none() && behind::has_an_end(content) {
        let end = range.start + content.length;
        surplus::tell(store, range, content.format.as_str(), end, image)?;
    }
    Ok(wrong)
}

/// What begins in packed bytes, where that lies on no flash.
fn packed(store: &Store, range: &Range<u64>) -> io::Result<Option<Format>> {
    let Some(codec) = Codec::at(store, range)? else {
        return Ok(None);
    };
    let mut inside = [0; 1024];
    let length = peek(store, range, codec, &mut inside)?;
    Ok(foreign::of_head(&inside[..length]).filter(|format| strange(*format)))
}

fn by(recognisers: &[&[Recognise]], store: &Store, range: &Range<u64>) -> io::Result<Piece> {
    for recognise in recognisers.iter().copied().flatten() {
        if let Some(content) = recognise(store, range)? {
            let damaged = match content.format.nature() {
                Nature::Packed => within::part(store, range)?,
                _ => content.problem.clone().or(content.doubt.clone()),
            };
            return Ok(Piece {
                damaged,
                strange: strange(content.format).then(|| content.format.described()),
                content: Some(content),
            });
        }
    }
    let mut first = [0];
    let room = range.end - range.start;
    if room == 0 {
        return Ok(Piece {
            content: None,
            damaged: Some("nothing at all".to_owned()),
            strange: None,
        });
    }
    let blank =
        room > BLANK && store.read_head(range, &mut first)? && store.past(range.clone(), first[0])? == range.end;
    Ok(Piece {
        content: None,
        damaged: blank.then(|| format!("bytes of 0x{:02x}, and nothing else", first[0])),
        strange: None,
    })
}

/// Whether this lies on no flash. What has only printable bytes may be anything, and some loaders read headers of vendors.
pub(super) fn strange(format: Format) -> bool {
    let lies_there = matches!(
        format.nature(),
        Nature::Flash | Nature::Packed | Nature::Factory | Nature::BootLoader
    );
    !(lies_there || matches!(format, Format::Text | Format::Cpio))
}
