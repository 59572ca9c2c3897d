//! Public keys of minisign, signify and OpenWrt's usign, which differ only in their comments, and signatures by one of them.

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::bytes::store::Store;
use base64ct::{Base64, Encoding};
use blake2::{Blake2b512, Digest};
use ed25519_compact::{PublicKey, Signature};
use std::fmt;

/// Bytes in front of the key or signature: two of algorithm, eight of key id.
const PREFIX: usize = 10;
const COMMENT: &str = "untrusted comment:";
const TRUSTED: &str = "trusted comment: ";

/// By what a signature says which key it was made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// Sixteen hexadecimal digits: usign has the bytes in their order, minisign in the other one.
    pub fn is(self, digits: &str) -> bool {
        let usign = u64::from_be_bytes(self.0);
        let minisign = u64::from_le_bytes(self.0);
        digits.len() == 16 && digits::hexadecimal(digits).is_some_and(|id| id == usign || id == minisign)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A public key.
#[derive(Clone)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    key: PublicKey,
    /// It signs in minisign's form alone, with a trusted comment.
    minisign: bool,
    /// The line that it is made of, to be handed on.
    pub line: String,
}

/// A signature file, taken apart.
pub struct SignatureFile<'a> {
    algorithm: [u8; 2],
    id: KeyId,
    signature: Vec<u8>,
    /// The trusted comment and what signs it.
    trusted: Option<(&'a str, Vec<u8>)>,
}

/// Why a signature does not count.
pub type Wrong = &'static str;
pub(super) const REVOKED: Wrong = "it was made with a key that is revoked";
pub(super) const OTHER_KEY: Wrong = "it was made with another key";

fn decode(line: &str, length: usize) -> Option<Vec<u8>> {
    Base64::decode_vec(line.trim())
        .ok()
        .filter(|bytes| bytes.len() == length)
}

impl Key {
    /// Reads a public key: a comment and a line, or the line alone as `minisign -P` takes it. Nothing may follow it.
    pub fn parse(text: &str) -> Option<Key> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next()?;
        let (comment, line) = match first.starts_with(COMMENT) {
            true => (first, lines.next()?),
            // Only minisign's stand alone.
            false => ("minisign", first),
        };
        let bytes = decode(line, PREFIX + 32)?;
        let rest = bytes.strip_prefix(b"Ed").filter(|_| lines.next().is_none())?;
        let minisign = comment.contains("minisign");
        Some(Key {
            id: KeyId(rest.get(..8)?.try_into().ok()?),
            key: PublicKey::from_slice(&bytes[PREFIX..]).ok()?,
            minisign,
            line: format!(
                "{COMMENT} {}\n{}\n",
                if minisign { "minisign" } else { "key" },
                line.trim()
            ),
        })
    }

    /// Whether the signature is this key's, over the first `end` bytes.
    pub fn verify(&self, file: &SignatureFile<'_>, store: &Store, end: u64) -> Result<(), Wrong> {
        if file.id != self.id {
            return Err(OTHER_KEY);
        }
        let signature = Signature::from_slice(&file.signature).map_err(|_| "no signature in it")?;
        let wrong = "the signature does not fit the image";
        let unread = "the image cannot be read";
        match (&file.algorithm, &file.trusted) {
            (b"ED", None) => return Err("minisign's trusted comment is missing from it"),
            (b"Ed", None) if self.minisign => return Err("minisign's trusted comment is missing from it"),
            // It could have been made for the hash of another image, which has just this length.
            (b"Ed", _) if end == 64 => return Err("a signature of this kind over 64 bytes proves nothing"),
            (b"Ed", _) => {
                // Pure Ed25519 hashes the message twice over; the streaming form reads it in pieces.
                let mut state = self.key.verify_incremental(&signature).map_err(|_| wrong)?;
                store.scan(0..end, |chunk| state.absorb(chunk)).map_err(|_| unread)?;
                state.verify().map_err(|_| wrong)?;
            }
            (b"ED", _) => {
                let mut hash = Blake2b512::new();
                store.scan(0..end, |chunk| hash.update(chunk)).map_err(|_| unread)?;
                let hash = hash.finalize();
                self.key.verify(hash.as_slice(), &signature).map_err(|_| wrong)?;
            }
            _ => return Err("the algorithm is neither Ed nor ED"),
        }
        let Some((comment, by)) = &file.trusted else {
            return Ok(());
        };
        // The fourth line signs the signature together with the trusted comment.
        let unsigned = "the trusted comment is not signed";
        let by = Signature::from_slice(by).map_err(|_| unsigned)?;
        let signed = [&file.signature, comment.as_bytes()].concat();
        self.key.verify(&signed, &by).map_err(|_| unsigned)
    }
}

impl<'a> SignatureFile<'a> {
    /// Two lines, or four of minisign's, and nothing else.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<SignatureFile<'a>, Wrong> {
        let none = "no signature in it";
        let mut lines = text.trim_end_matches(['\0', '\n', '\r']).lines();
        let comment = lines.next().ok_or(none)?;
        let bytes = lines.next().and_then(|line| decode(line, PREFIX + 64));
        let (true, Some(bytes)) = (comment.starts_with(COMMENT), bytes) else {
            return Err(none);
        };
        let trusted = match lines.next() {
            None => None,
            Some(line) => {
                let unsigned = "the trusted comment is not signed";
                let comment = line.strip_prefix(TRUSTED).ok_or("there is something else behind it")?;
                let by = lines.next().and_then(|line| decode(line, 64)).ok_or(unsigned)?;
                Some((comment, by))
            }
        };
        if lines.next().is_some() {
            return Err("there is something else behind it");
        }
        let id = bytes[2..PREFIX].try_into().map_err(|_| none)?;
        Ok(SignatureFile {
            algorithm: [bytes[0], bytes[1]],
            id: KeyId(id),
            signature: bytes[PREFIX..].to_vec(),
            trusted,
        })
    }

    /// Which key it says it was made with.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether it has minisign's four lines.
    pub fn is_minisigns(&self) -> bool {
        self.trusted.is_some()
    }

    /// The version in the trusted comment: `version:1.2`.
    pub fn version(&self) -> Option<&'a str> {
        let (comment, _) = self.trusted.as_ref()?;
        let mut words = comment.split_whitespace();
        words
            .find_map(|word| word.strip_prefix("version:"))
            .filter(|version| !version.is_empty())
    }
}
