//! Detached Ed25519 signatures: minisign (also its default form, over BLAKE2b-512), signify, and
//! OpenWrt's usign, whose files differ only in their comments.
//!
//! The comment line of a minisign signature that is marked *trusted* is verified as well.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::bytes::store::Store;
use base64ct::{Base64, Encoding};
use blake2::{Blake2b512, Digest};
use ed25519_compact::{PublicKey, Signature};
use std::path::{Path, PathBuf};

/// Bytes in front of the key or signature: two of algorithm, eight of key id.
const PREFIX: usize = 10;

/// A public key.
pub struct Key {
    id: [u8; 8],
    key: PublicKey,
}

fn bad(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::ImageBad, Code::Signature, what)
        .hint("get image and signature again from whoever made them; nothing overrides this check")
}

/// The second line of a key or signature file, as bytes; a key may also stand alone on one line.
fn payload(text: &str, length: usize) -> Option<Vec<u8>> {
    let line = text
        .lines()
        .find(|line| !line.starts_with("untrusted comment:") && !line.trim().is_empty())?;
    Base64::decode_vec(line.trim())
        .ok()
        .filter(|bytes| bytes.len() == length)
}

/// Bytes at the end of what is read from standard input in which a signature begins.
const TAIL: u64 = 2048;

/// Takes the signature off that stands behind an image: `cat IMAGE IMAGE.minisig`. Both files begin with the same words.
///
/// # Errors
/// Those of reading or cutting.
pub fn take_off(store: &mut Store) -> Result<Option<String>> {
    const BEGIN: &[u8] = b"untrusted comment:";
    let from = store.len().saturating_sub(TAIL);
    let mut tail = Vec::new();
    store
        .scan(from..store.len(), |chunk| tail.extend_from_slice(chunk))
        .map_err(Failure::system)?;
    let Some(at) = tail.windows(BEGIN.len()).rposition(|bytes| bytes == BEGIN) else {
        return Ok(None);
    };
    store.cut(from + at as u64).map_err(Failure::system)?;
    Ok(Some(String::from_utf8_lossy(&tail[at..]).into_owned()))
}

impl Key {
    /// Reads a public key file.
    ///
    /// # Errors
    /// [`Exit::Usage`] when the file is no public key.
    pub fn read(path: &Path) -> Result<Key> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format_args!("key {}: {error}", path.display())))?;
        Key::parse(&text).ok_or_else(|| {
            Failure::usage(format_args!(
                "key {}: no minisign, signify or usign public key",
                path.display()
            ))
        })
    }

    fn parse(text: &str) -> Option<Key> {
        let bytes = payload(text, PREFIX + 32)?;
        Some(Key {
            id: bytes.strip_prefix(b"Ed")?.get(..8)?.try_into().ok()?,
            key: PublicKey::from_slice(&bytes[PREFIX..]).ok()?,
        })
    }

    /// Checks the signature that stood behind the image, else the file that stands beside it.
    ///
    /// # Errors
    /// [`Exit::ImageBad`] unless there is one and it is right.
    pub fn verify(&self, image: &str, behind: Option<&str>, store: &Store) -> Result<String> {
        if image == "-" {
            let text = behind.ok_or_else(|| bad("there is no signature behind the image"))?;
            let checked = self.check(text, store).map_err(bad);
            return checked.map(|()| "the signature behind the image".to_owned());
        }
        let candidates = [".minisig", ".sig"].map(|suffix| PathBuf::from(format!("{image}{suffix}")));
        let Some(path) = candidates.iter().find(|path| path.is_file()) else {
            return Err(bad(format_args!(
                "there is no signature: neither {} nor {} exists",
                candidates[0].display(),
                candidates[1].display()
            )));
        };
        let text = std::fs::read_to_string(path).map_err(|error| bad(format_args!("{}: {error}", path.display())))?;
        self.check(&text, store)
            .map_err(|what| bad(format_args!("{}: {what}", path.display())))?;
        Ok(path.display().to_string())
    }

    fn check(&self, text: &str, store: &Store) -> std::result::Result<(), &'static str> {
        let bytes = payload(text, PREFIX + 64).ok_or("no signature in it")?;
        if bytes[2..PREFIX] != self.id {
            return Err("it was made with another key");
        }
        let signature = Signature::from_slice(&bytes[PREFIX..]).map_err(|_| "no signature in it")?;
        let wrong = "the signature does not fit the image";
        match &bytes[..2] {
            b"Ed" => {
                // Pure Ed25519 hashes the message twice over; the streaming form reads it in pieces.
                let mut state = self.key.verify_incremental(&signature).map_err(|_| wrong)?;
                store
                    .scan(0..store.len(), |chunk| state.absorb(chunk))
                    .map_err(|_| "the image cannot be read")?;
                state.verify().map_err(|_| wrong)?;
            }
            b"ED" => {
                let mut hash = Blake2b512::new();
                store
                    .scan(0..store.len(), |chunk| hash.update(chunk))
                    .map_err(|_| "the image cannot be read")?;
                self.key
                    .verify(hash.finalize().as_slice(), &signature)
                    .map_err(|_| wrong)?;
            }
            _ => return Err("the algorithm is neither Ed nor ED"),
        }
        self.trusted_comment(text, &bytes[PREFIX..])
    }

    /// minisign's fourth line signs the signature together with the trusted comment.
    fn trusted_comment(&self, text: &str, signature: &[u8]) -> std::result::Result<(), &'static str> {
        let mut lines = text.lines().skip_while(|line| !line.starts_with("trusted comment: "));
        let Some(comment) = lines.next() else {
            return Ok(());
        };
        let wrong = "the trusted comment is not signed";
        let global = lines
            .next()
            .and_then(|line| Base64::decode_vec(line.trim()).ok())
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or(wrong)?;
        let mut signed = signature.to_vec();
        signed.extend_from_slice(&comment.as_bytes()["trusted comment: ".len()..]);
        self.key.verify(&signed, &global).map_err(|_| wrong)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ed25519_compact::KeyPair;

    const ID: &[u8] = b"12345678";

    fn file(algorithm: &[u8], bytes: &[u8]) -> String {
        let all = [algorithm, ID, bytes].concat();
        format!("untrusted comment: test\n{}\n", Base64::encode_string(&all))
    }

    #[test]
    fn both_forms_verify_and_any_changed_bit_does_not() {
        let pair = KeyPair::from_seed([7; 32].into());
        let key = Key::parse(&file(b"Ed", pair.pk.as_ref())).unwrap();
        let image = b"firmware".repeat(5000);
        let hashed = Blake2b512::digest(&image);
        for (algorithm, message) in [(b"Ed", image.as_slice()), (b"ED", hashed.as_slice())] {
            let signature = pair.sk.sign(message, None);
            let global = pair.sk.sign([signature.as_ref(), b"v2"].concat(), None);
            let text = format!(
                "{}trusted comment: v2\n{}\n",
                file(algorithm, signature.as_ref()),
                Base64::encode_string(global.as_ref())
            );
            let store = |bytes: &[u8]| Store::Memory(bytes.to_vec());
            assert_eq!(key.check(&text, &store(&image)), Ok(()));
            let mut flipped = image.clone();
            flipped[20_000] ^= 1;
            assert!(key.check(&text, &store(&flipped)).is_err());
            assert!(key.check(&text.replace("v2", "v3"), &store(&image)).is_err());
        }
    }
}
