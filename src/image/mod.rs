//! What an image is, found by its content and never by its name.
//!
//! [`open`] looks at the bytes and says what they are; which of them go where is for `plan` to decide.

#![forbid(unsafe_code)]

mod archive;
pub(crate) mod backup;
mod behind;
mod block_ends;
pub mod content;
mod cpio;
mod cramfs;
pub(crate) mod device_tree;
pub(crate) mod digest;
pub(crate) mod ends;
pub(crate) mod files;
mod fit;
pub(crate) mod foreign;
pub(crate) mod fwtool;
mod hidden;
pub(crate) mod jffs2;
pub(crate) mod known;
pub mod pat;
mod piece;
pub(crate) mod pieces;
mod processor;
mod qnap_recovery;
pub(crate) mod qpkg;
mod ramdisk;
mod seama;
pub mod signature;
mod signs;
pub(crate) mod squashfs;
mod squashfs_tables;
mod sums;
mod surplus;
mod tplink;
mod trx;
pub(crate) mod ubi;
mod ubi_volumes;
mod ubifs;
pub(crate) mod uimage;
pub(crate) mod unpacked_pat;
mod within;
mod zimage;

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::base::units::Grouped;
use crate::bytes::packed::{Codec, Packed, Packing};
use crate::bytes::store::Store;
use content::Content;
use fwtool::Metadata;
use serde::Serialize;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// An image that is at hand, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its kind.
    pub format: Format,
    /// Bytes, as it was delivered.
    pub size: u64,
    /// Lower-case hexadecimal SHA-256 of all of it; empty while that is left for later (`Source::unhashed`).
    pub sha256: String,
    /// With what it is packed; offsets and sizes of its parts are those of what is inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// Bytes that are meant for the flash: what is inside, without the metadata behind it.
    pub payload: u64,
    /// Its parts in the order of their bytes; a single one unless the format has several.
    pub parts: Vec<Part>,
    /// What came with it and is for no partition, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
    /// What OpenWrt says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The kind of box that a Synology `.pat` or a `sysupgrade` archive says it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_for: Option<String>,
    /// What is wrong with it as a whole, so that nothing of it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What to do about that, where it is not to get it again.
    #[serde(skip)]
    pub remedy: Option<String>,
    /// Why it goes onto the flash byte for byte as it was delivered, whatever it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_is: Option<AsIs>,
    /// That it is packed and what is inside is nothing known, so that nobody can tell which of the two is meant.
    #[serde(skip)]
    pub undecided: Option<String>,
    /// Whether it is a backup that was made by hand, so that no checksum vouches for it.
    #[serde(skip)]
    pub by_hand: bool,
}

/// Why an image is not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AsIs {
    /// `--as-is` says so.
    Asked,
    /// It is exactly as long as the partition that it goes to, and so a copy of it.
    Copy,
}

/// What becomes of packed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpacking {
    /// They are unpacked where what is inside is known and no ramdisk.
    #[default]
    Known,
    /// They stay as they are: `--as-is`.
    Never,
    /// They are unpacked whatever is inside: `--unpack`.
    Always,
}

/// How an image is to be read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// More bytes than an image for this box can have; what comes out longer is refused.
    pub room: u64,
    /// What becomes of packed bytes.
    pub unpacking: Unpacking,
    /// Lengths in bytes that a copy of the partition has that it goes to; empty where that is not known.
    pub copy: Vec<u64>,
}

/// A piece of an image that belongs into one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The partition it is meant for where the format says so, else what it is.
    pub name: String,
    /// The whole name that it has in its archive, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where it begins, in bytes of the image.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
    /// What its first bytes say it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// What is known of it as a file of its own.
    #[serde(skip)]
    pub file: FileKind,
}

/// What is known of a file beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileKind {
    /// Whether it is an initial ramdisk that stays packed.
    pub ramdisk: bool,
    /// As [`Image::as_is`].
    pub as_is: Option<AsIs>,
}

impl Part {
    /// Its bytes in the image.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size
    }

    /// Whether nothing that can be checked is wrong with it.
    pub fn ok(&self) -> bool {
        let mut content = self.content.iter();
        content.all(|content| content.problem.is_none() && content.doubt.is_none())
    }
}

/// A format with several parts that is recognised as a whole.
struct Layout {
    format: Format,
    parts: Vec<(&'static str, Range<u64>)>,
}

/// What is inside the bytes that were delivered, and what that is.
///
/// An image that is bad is no error here: its `problem` says why.
///
/// # Errors
/// Those of reading the store.
pub fn open(store: Store<'static>, sha256: String, reading: &Reading) -> io::Result<(Store<'static>, Image)> {
    let size = store.len();
    let mut image = Image {
        size,
        sha256,
        payload: size,
        ..Image::nothing(Format::Raw)
    };
    let mut store = store;
    let inspected = unpack(&mut store, &mut image, reading).and_then(|()| inspect(&store, &mut image));
    match inspected {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => image.problem = Some(error.to_string()),
        other => other?,
    }
    let known = image.metadata.is_some() || image.format != Format::Raw || reading.unpacking == Unpacking::Always;
    image.undecided = image.packing.filter(|_| !known).map(|packing| {
        format!(
            "it is a {} of {} bytes, and the {} bytes inside are nothing known: nobody can tell which of the two is meant",
            packing.codec.as_str(),
            Grouped(image.size),
            Grouped(packing.length)
        )
    });
    if let Store::Packed(packed) = &store {
        packed.looked_at();
    }
    Ok((store, image))
}

/// Takes trailers and packing off, unless it is to be written as it is.
fn unpack(store: &mut Store<'static>, image: &mut Image, reading: &Reading) -> io::Result<()> {
    if reading.unpacking == Unpacking::Never {
        image.as_is = Some(AsIs::Asked);
        return Ok(());
    }
    let stripped = fwtool::strip(store)?;
    // No partition ends with what OpenWrt puts behind an image.
    if stripped.end == image.size && reading.unpacking == Unpacking::Known && reading.copy.contains(&image.size) {
        image.as_is = Some(AsIs::Copy);
        return Ok(());
    }
    fwtool::not_padded(store)?;
    image.payload = stripped.end;
    image.metadata = stripped.metadata;
    let Some(codec) = Codec::at(store, &(0..image.payload))? else {
        return Ok(());
    };
    // The kernel unpacks it itself: it belongs on the flash as it is.
    if reading.unpacking != Unpacking::Always && ramdisk::is_packed(store, &(0..image.payload))? {
        return Ok(());
    }
    image.format = codec.format();
    let whole = Arc::new(std::mem::replace(store, Store::Memory(Vec::new())));
    match Packed::open(Arc::clone(&whole), codec, image.payload, reading.room) {
        Ok(packed) => {
            image.packing = Some(packed.packing);
            *store = Store::Packed(packed);
            let stripped = fwtool::strip(store)?;
            fwtool::not_padded(store)?;
            image.payload = stripped.end;
            match (&stripped.metadata, &image.metadata) {
                (Some(inside), Some(outside)) if inside != outside => {
                    Err(bad("the metadata inside are other ones than those behind it"))
                }
                _ => {
                    image.metadata = stripped.metadata.or(image.metadata.take());
                    Ok(())
                }
            }
        }
        Err(problem) => {
            // Nobody else has it: the decoder went with its store.
            *store = Arc::into_inner(whole).ok_or_else(|| io::Error::other("the image is still being unpacked"))?;
            image.remedy = Some(
                "get it again if it is damaged; if its bytes are meant as they are, --as-is writes them so".to_owned(),
            );
            Err(problem)
        }
    }
}

fn inspect(store: &Store, image: &mut Image) -> io::Result<()> {
    let whole = 0..image.payload;
    if image.as_is.is_none() && archive::inspect(store, whole.clone(), image)? {
        return Ok(());
    }
    let layout = match image.as_is {
        Some(_) => None,
        None => match qpkg::recognise(store)? {
            Some(layout) => Some(layout),
            None => qnap_recovery::recognise(store)?,
        },
    };
    let (format, ranges) = match layout {
        Some(layout) => (Some(layout.format), layout.parts),
        None => (None, vec![("", whole)]),
    };
    for (name, range) in ranges {
        let content = content::look(store, range.clone())?;
        let name = match (name, &content) {
            ("", Some(content)) => content.role.as_str(),
            ("", None) => "raw",
            (name, _) => name,
        };
        let kind = content.as_ref().map(|content| content.format);
        image.parts.push(Part {
            name: name.to_owned(),
            member: None,
            offset: range.start,
            size: range.end - range.start,
            file: FileKind {
                ramdisk: matches!(kind, Some(Format::Ramdisk | Format::Cpio)),
                as_is: image.as_is,
            },
            content,
        });
    }
    let format = format.unwrap_or_else(|| match image.parts.first().and_then(|part| part.content.as_ref()) {
        _ if image.metadata.is_some() => Format::OpenwrtSysupgrade,
        Some(content) => content.format,
        None => Format::Raw,
    });
    image.format = format;
    Ok(())
}

impl Image {
    /// One without any bytes.
    pub(crate) fn nothing(format: Format) -> Image {
        Image {
            format,
            size: 0,
            sha256: String::new(),
            packing: None,
            payload: 0,
            parts: Vec::new(),
            unused: Vec::new(),
            metadata: None,
            made_for: None,
            problem: None,
            remedy: None,
            as_is: None,
            undecided: None,
            by_hand: false,
        }
    }

    /// One that was not looked into, because it is not signed as it has to be.
    pub(crate) fn unseen(store: &Store, sha256: String) -> Image {
        let size = store.len();
        Image {
            size,
            sha256,
            payload: size,
            parts: vec![Part {
                name: "raw".to_owned(),
                size,
                ..Part::default()
            }],
            ..Image::nothing(Format::Raw)
        }
    }

    /// Whether nothing that can be checked is wrong with it.
    pub fn ok(&self) -> bool {
        self.problem.is_none() && self.parts.iter().all(Part::ok)
    }

    /// Bytes of memory that unpacking it takes.
    pub fn unpacking(&self) -> u64 {
        self.packing.map_or(0, |packing| packing.memory)
    }
}
