//! OpenWrt's trailers: metadata and signatures behind the image, the last one first (`fwimage.h` of openwrt/fwtool).
//!
//! They are no part of what is written. Each has a CRC over everything in front of it.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::checksum::Crc32Le;
use crate::base::digits;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::bytes::tar;
use serde::{Deserialize, Serialize};
use std::io;

/// As zlib begins, which UBI, UBIFS and TRX do, too.
pub(crate) const CRC: Crc32Le = Crc32Le(!0);
const MAGIC: u32 = 0x4657_7830;
/// Bytes of a trailer.
const TRAILER: u64 = 16;
/// Bytes of version and flags in front of the metadata.
const INFO_HEADER: u64 = 8;
/// The limits of fwtool itself, in bytes.
const METADATA: u64 = 30 << 10;
const SIGNATURE: u64 = 1 << 10;
/// More trailers than any image has: one of metadata, one of a signature.
const TRAILERS: usize = 8;

/// What OpenWrt writes about an image, as far as it decides whether the image fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The boards that it is for, by OpenWrt's names.
    #[serde(default)]
    pub supported_devices: Vec<String>,
    /// The names since compat_version 1.1, which older systems must not see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_supported_devices: Vec<String>,
    /// What the layout of the box must be compatible with.
    #[serde(default = "first")]
    pub compat_version: String,
    /// What the user should know about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat_message: Option<String>,
    /// Of what release it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

/// The release of an image: OpenWrt says more about it than its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Version {
    /// The number alone.
    Number(String),
    /// The number among other things.
    Of {
        /// The number.
        #[serde(default)]
        version: String,
    },
}

impl Version {
    /// The number.
    pub fn number(&self) -> &str {
        match self {
            Version::Number(number) | Version::Of { version: number } => number,
        }
    }
}

fn first() -> String {
    "1.0".into()
}

/// The image without its trailers.
pub struct Stripped {
    /// Where the image ends.
    pub end: u64,
    /// What stood behind it.
    pub metadata: Option<Metadata>,
}

/// Reads the trailers backwards.
///
/// # Errors
/// `InvalidData` for a trailer that is damaged, else those of reading.
pub fn strip(store: &Store) -> io::Result<Stripped> {
    let mut stripped = Stripped {
        end: store.len(),
        metadata: None,
    };
    let mut trailer = [0; TRAILER as usize];
    // Where each begins, and its CRC: all are computed in one pass.
    let mut sums = Vec::new();
    while let Some(at) = stripped.end.checked_sub(TRAILER) {
        store.read_exact_at(at, &mut trailer)?;
        let fields = Fields(&trailer);
        if fields.be32(0) != Some(MAGIC) {
            break;
        }
        let size = u64::from(fields.be32(12).unwrap_or_default());
        let limit = match trailer[8] {
            0 => SIGNATURE,
            1 => INFO_HEADER + METADATA,
            kind => {
                return Err(bad(format_args!(
                    "the trailer behind the image is of unknown kind {kind}"
                )));
            }
        };
        let payload = size.checked_sub(TRAILER).filter(|payload| *payload <= limit);
        let (Some(payload), Some(start)) = (payload, stripped.end.checked_sub(size)) else {
            return Err(bad("the trailer behind the image lies about its size"));
        };
        if sums.len() == TRAILERS {
            return Err(bad(format_args!(
                "there are more than {TRAILERS} trailers behind the image"
            )));
        }
        sums.push((at, fields.be32(4)));
        if trailer[8] == 1 && stripped.metadata.is_none() {
            let text = store.bytes(&(start..start + payload))?;
            let json = text.get(INFO_HEADER as usize..).unwrap_or_default();
            let json = json.split(|byte| *byte == 0).next().unwrap_or_default();
            let metadata = crate::base::json::parse(json)
                .map_err(|error| bad(format_args!("the metadata behind the image makes no sense: {error}")))?;
            stripped.metadata = Some(metadata);
        }
        stripped.end = start;
    }
    let mut digest = CRC.digest();
    let mut done = 0;
    for (at, sum) in sums.into_iter().rev() {
        store.scan(done..at, |chunk| digest.update(chunk))?;
        done = at;
        if sum != Some(digest.clone().finalize()) {
            return Err(bad("the trailer behind the image fails its CRC"));
        }
    }
    if stripped.end == store.len() && spoiled(store)? {
        return Err(bad(
            "the metadata behind the image are cut off, or something follows them",
        ));
    }
    match stripped.end {
        0 => Err(bad("there is nothing but metadata")),
        _ => Ok(stripped),
    }
}

/// Whether a trailer stands at the end of what does not end with one: a byte too many or too few, and the image would be taken
/// for one that says nothing of its box. A copy of flash ends with blank bytes.
fn spoiled(store: &Store) -> io::Result<bool> {
    let tail = store.bytes(&(store.len().saturating_sub(3 * TRAILER)..store.len()))?;
    let magic = MAGIC.to_be_bytes();
    let at = tail.windows(magic.len()).position(|window| window == magic);
    let padding = |behind: &[u8]| [0, 0xff].iter().any(|byte| behind.iter().all(|other| other == byte));
    Ok(at.is_some_and(|at| {
        let behind = tail.get(at + TRAILER as usize..).unwrap_or_default();
        behind.is_empty() || !padding(behind)
    }))
}

/// Refuses an image whose trailer is hidden by padding: it would be taken for one that says nothing of its box. The copy of a
/// partition may have that, where an image was written with its trailer.
///
/// # Errors
/// `InvalidData` for such an image, else those of reading.
pub fn not_padded(store: &Store) -> io::Result<()> {
    const CHUNK: u64 = 4 << 10;
    // What is packed is at hand only so far back.
    const UNPACKED: u64 = 64 << 10;
    let least = match store {
        Store::Packed(_) => store.len().saturating_sub(UNPACKED),
        _ => 0,
    };
    let mut bytes = [0; CHUNK as usize];
    let mut end = store.len();
    let is_padding = |byte: &u8| [0, 0xff].contains(byte);
    while end > least {
        let start = end.saturating_sub(CHUNK).max(least);
        let chunk = &mut bytes[..(end - start) as usize];
        store.read_exact_at(start, chunk)?;
        if let Some(last) = chunk.iter().rposition(|byte| !is_padding(byte)) {
            end = start + last as u64 + 1;
            break;
        }
        end = start;
    }
    // A trailer may itself end with zeros.
    let start = end.saturating_sub(TRAILER);
    let tail = store.bytes(&(start..end))?;
    let magic = MAGIC.to_be_bytes();
    let hidden = tail.windows(magic.len()).position(|window| window == magic);
    match hidden
        .map(|at| start + at as u64 + TRAILER)
        .filter(|at| *at < store.len())
    {
        // An archive ends with zeros, whatever its last member ends with.
        Some(at) if !tar::is_tar(store, &(0..store.len()))? => Err(bad(format_args!(
            "padding follows the metadata behind the image: without it the file has {at} bytes"
        ))),
        _ => Ok(()),
    }
}

/// The bytes of the signature in the last trailer, and how many bytes stand in front of it, which it covers.
///
/// # Errors
/// Those of reading.
pub fn signature(store: &Store) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut trailer = [0; TRAILER as usize];
    let Some(at) = store.len().checked_sub(TRAILER) else {
        return Ok(None);
    };
    store.read_exact_at(at, &mut trailer)?;
    let fields = Fields(&trailer);
    let size = u64::from(fields.be32(12).unwrap_or_default());
    let payload = size.checked_sub(TRAILER).filter(|payload| *payload <= SIGNATURE);
    let (Some(MAGIC), 0, Some(payload), Some(start)) =
        (fields.be32(0), trailer[8], payload, store.len().checked_sub(size))
    else {
        return Ok(None);
    };
    Ok(Some((store.bytes(&(start..start + payload))?, start)))
}

impl Metadata {
    /// Whether it is for a box that goes by one of these names.
    pub fn is_for(&self, names: &[String]) -> bool {
        self.supported_devices
            .iter()
            .chain(&self.new_supported_devices)
            .any(|device| names.contains(device))
    }

    /// Major and minor number of what it is compatible with.
    pub fn compat(&self) -> Option<(u32, u32)> {
        version(&self.compat_version)
    }
}

/// `1.2` as numbers.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((digits::decimal(major)?, digits::decimal(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of this CRC in the catalogue of CRCs, where it is called JAMCRC.
    #[test]
    fn the_crc_is_not_inverted_at_the_end() {
        assert_eq!(CRC.checksum(b"123456789"), 0x340b_c6d9);
    }

    /// What fwtool's own `tests/cram/test_crc32.t` expects of `tests/test-crc32.c` (openwrt/fwtool, e5666ed), which prints
    /// the bytes in the order of the trailer as a number of the PC. An array of C that begins with one value has zeros
    /// behind it, and a string its NUL.
    #[test]
    fn it_is_what_fwtool_itself_expects() {
        let begins_with = |first: u8, length: usize| {
            let mut bytes = vec![0; length];
            bytes[0] = first;
            bytes
        };
        let fox = b"The quick brown fox jumps over the lazy dog and then walks away.\0";
        for (bytes, printed) in [
            (begins_with(0xff, 1 << 5), 0x44f3_3105),
            (begins_with(0x7f, 1 << 15), 0x3726_dda7),
            (begins_with(1, 1 << 10), 0xbea1_dbe8),
            (begins_with(0, 1 << 8), 0xa77a_69f2),
            (fox.to_vec(), 0x7c71_80f2_u32),
        ] {
            assert_eq!(CRC.checksum(&bytes), printed.swap_bytes());
        }
    }
}
