//! What the image is, in the plan.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::units::{Grouped, Size};
use crate::image::{AsIs, Image};
use serde::Serialize;
use std::fmt;

/// What the image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// The word of `inspect`.
    pub format: Format,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal SHA-256; empty where nothing asked for it.
    pub sha256: String,
    /// What becomes of it on its way to the flash.
    #[serde(flatten)]
    pub taken: Taken,
}

/// What becomes of a file on its way to the flash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// With what it is packed, where it is unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpacked_from: Option<&'static str>,
    /// Bytes that come out then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpacked_size: Option<u64>,
    /// Whether it goes byte for byte as it was delivered, because that was asked for or it is the copy of a partition.
    pub as_is: bool,
    #[serde(skip)]
    why: Option<AsIs>,
}

impl Taken {
    /// What becomes of this one.
    pub fn of(image: &Image) -> Taken {
        Taken {
            unpacked_from: image.packing.map(|packing| packing.codec.as_str()),
            unpacked_size: image.packing.map(|packing| packing.length),
            as_is: image.as_is.is_some(),
            why: image.as_is,
        }
    }
}

impl fmt::Display for Taken {
    /// ` · unpacked from gzip: 30,000 bytes`, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(packing), Some(size)) = (self.unpacked_from, self.unpacked_size) {
            write!(f, " · unpacked from {packing}: {} bytes", Grouped(size))?;
        }
        match self.why {
            Some(AsIs::Asked) => f.write_str(" · written as it is"),
            Some(AsIs::Copy) => f.write_str(" · written as it is: a copy of its partition"),
            None => Ok(()),
        }
    }
}

/// A file, or a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageFile {
    /// What the user, or the archive, calls it.
    pub name: String,
    /// The partition that it goes to, where that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The word of `inspect`.
    pub format: Format,
    /// Bytes.
    pub size: u64,
    /// What becomes of it on its way to the flash.
    #[serde(flatten)]
    pub taken: Taken,
}

impl ImageFile {
    /// Of this image.
    pub fn of(name: &str, partition: Option<&str>, image: &Image) -> ImageFile {
        ImageFile {
            name: name.to_owned(),
            partition: partition.map(str::to_owned),
            format: image.format,
            size: image.size,
            taken: Taken::of(image),
        }
    }
}

impl fmt::Display for ImageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} · {}{}", self.name, self.format, Size(self.size), self.taken)?;
        match &self.partition {
            Some(partition) => write!(f, " · to {partition}"),
            None => Ok(()),
        }
    }
}
