//! Checksums by their names, as formats name them; several are computed in one pass over the bytes.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::bytes::store::Store;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;

/// A checksum in the making.
pub enum Digest {
    /// zlib's CRC-32, big-endian.
    Crc32(crc::Digest<'static, u32>),
    /// CRC-16 of CCITT as U-Boot has it, big-endian (`crc16_ccitt` in its `lib/crc16-ccitt.c`).
    Crc16(u16),
    /// MD5.
    Md5(Md5),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-384, in the state of SHA-512.
    Sha384(hmac_sha512::sha384::Hash),
    /// SHA-512.
    Sha512(hmac_sha512::Hash),
}

impl Digest {
    /// MD5.
    pub fn md5() -> Digest {
        Digest::Md5(Md5::new())
    }

    /// By the name that U-Boot has for it (`hash_algo` in `common/hash.c`); `None` for one that is not known here.
    pub fn named(name: &str) -> Option<Digest> {
        Some(match name {
            "crc32" => Digest::Crc32(CRC32.digest()),
            "crc16-ccitt" => Digest::Crc16(0),
            "md5" => Digest::md5(),
            "sha1" => Digest::Sha1(Sha1::new()),
            "sha256" => Digest::Sha256(Sha256::new()),
            "sha384" => Digest::Sha384(hmac_sha512::sha384::Hash::new()),
            "sha512" => Digest::Sha512(hmac_sha512::Hash::new()),
            _ => return None,
        })
    }

    /// Takes these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Digest::Crc32(digest) => digest.update(bytes),
            Digest::Crc16(sum) => *sum = bytes.iter().fold(*sum, crc16),
            Digest::Md5(digest) => digest.update(bytes),
            Digest::Sha1(digest) => digest.update(bytes),
            Digest::Sha256(digest) => digest.update(bytes),
            Digest::Sha384(digest) => digest.update(bytes),
            Digest::Sha512(digest) => digest.update(bytes),
        }
    }

    /// Its bytes.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Digest::Crc32(digest) => digest.finalize().to_be_bytes().to_vec(),
            Digest::Crc16(sum) => sum.to_be_bytes().to_vec(),
            Digest::Md5(digest) => digest.finalize().to_vec(),
            Digest::Sha1(digest) => digest.finalize().to_vec(),
            Digest::Sha256(digest) => digest.finalize().to_vec(),
            Digest::Sha384(digest) => digest.finalize().to_vec(),
            Digest::Sha512(digest) => digest.finalize().to_vec(),
        }
    }
}

fn crc16(sum: u16, byte: &u8) -> u16 {
    let shift = |sum: u16, _| sum << 1 ^ if sum & 0x8000 == 0 { 0 } else { 0x1021 };
    (0..8).fold(sum ^ u16::from(*byte) << 8, shift)
}

/// All of these over a range, in one pass.
///
/// # Errors
/// Those of reading the store.
pub fn all(store: &Store, range: Range<u64>, mut digests: Vec<Digest>) -> io::Result<Vec<Vec<u8>>> {
    if !digests.is_empty() {
        store.scan(range, |chunk| {
            digests.iter_mut().for_each(|digest| digest.update(chunk))
        })?;
    }
    Ok(digests.into_iter().map(Digest::finish).collect())
}
