//! Signatures: Ed25519 of minisign (also its default form, over BLAKE2b-512), signify and OpenWrt's usign, in a file beside the
//! image, behind it, or in OpenWrt's trailer, where it may be a chain of `ucert`'s.
//!
//! A signature covers every byte that was delivered in front of it. It is looked at before anything else is: until then the bytes
//! are anybody's.

#![forbid(unsafe_code)]

mod key;
mod ring;
#[cfg(test)]
mod tests;
mod ucert;

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::bytes::access::Access;
use crate::bytes::store::Store;
use crate::bytes::url;
use crate::image::fwtool;
use key::{SignatureFile, Wrong};
use std::io;
use std::path::Path;

pub use ring::{KEYS, Keyring, OPENWRT};

/// A signature that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Where it was, and by which key.
    pub what: String,
    /// The version that its trusted comment says.
    pub version: Option<String>,
    /// The file, and behind which name it is looked for; `None` for one in the image itself.
    pub file: Option<(&'static str, String)>,
}

/// Behind which names of an image its signature is looked for.
pub const SUFFIXES: [&str; 2] = [".minisig", ".sig"];
/// Bytes of the longest file of a signature.
const LONGEST: u64 = 8 << 10;
/// Bytes at the end of a stream in which a signature begins.
const TAIL: u64 = LONGEST;

fn bad(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::ImageBad, Code::Signature, what)
        .hint("get image and signature again from whoever made them; nothing overrides this check")
}

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
    // A trailer of OpenWrt's has such words in it too, and is not text behind them.
    match String::from_utf8(tail.split_off(at)) {
        Ok(text) if SignatureFile::parse(&text).is_ok() => {
            store.cut(from + at as u64).map_err(Failure::system)?;
            Ok(Some(text))
        }
        _ => Ok(None),
    }
}

impl Keyring {
    /// Verifies the signature of an image, wherever it is: behind it, beside it, in its trailer. The first that is right counts.
    ///
    /// # Errors
    /// [`Exit::ImageBad`] unless there is one and it is right; [`Exit::ImageUnreadable`] where a server does not say whether there
    /// is one.
    pub fn verify(&self, image: &str, behind: Option<&str>, store: &Store) -> Result<Signed> {
        let mut wrong: Option<String> = None;
        let mut found = |what: String, checked: std::result::Result<Signed, Wrong>| match checked {
            Ok(signed) => Some(signed),
            Err(why) => {
                wrong.get_or_insert(format!("{what}: {why}"));
                None
            }
        };
        if let Some(text) = behind {
            let what = "the signature behind the image";
            if let Some(signed) = found(what.into(), self.check(what, text, store, None)) {
                return Ok(signed);
            }
        }
        if let Some(checked) = self.trailer(store).map_err(bad)?
            && let Some(signed) = found("the signature in its trailer".into(), checked)
        {
            return Ok(signed);
        }
        let mut missing = Vec::new();
        let mut unanswered = None;
        for suffix in SUFFIXES.into_iter().filter(|_| image != "-") {
            let name = format!("{image}{suffix}");
            let text = match beside(&name, &self.access) {
                Ok(text) => text,
                Err(Absent::Never(why)) => {
                    missing.push(why);
                    continue;
                }
                Err(Absent::Now(why)) => {
                    unanswered.get_or_insert(why);
                    continue;
                }
                Err(Absent::Unreadable(error)) => return Err(bad(format_args!("{}: {error}", Quoted(&name)))),
            };
            let what = Quoted(&name).to_string();
            if let Some(signed) = found(what.clone(), self.check(&what, &text, store, Some(suffix))) {
                return Ok(signed);
            }
        }
        Err(match (wrong, unanswered, image) {
            (Some(wrong), ..) => bad(wrong),
            (None, Some(why), _) => Failure::new(
                Exit::ImageUnreadable,
                Code::ImageUnreadable,
                format_args!("whether it is signed is not known: {why}"),
            )
            .hint("the same command again, when the server answers"),
            (None, None, "-") => bad("there is no signature behind the image"),
            (None, None, _) => bad(format_args!(
                "there is no signature in the image, nor beside it: {}",
                missing.join("; ")
            )),
        })
    }

    /// Verifies the text of a signature file over all of a store; `suffix` is that of its name, if it has one.
    fn check(
        &self,
        what: &str,
        text: &str,
        store: &Store,
        suffix: Option<&'static str>,
    ) -> std::result::Result<Signed, Wrong> {
        let file = SignatureFile::parse(text)?;
        let suffix = match (suffix, file.is_minisigns()) {
            (Some(suffix), false) if suffix == SUFFIXES[0] => {
                return Err("minisign's trusted comment is missing from it");
            }
            (Some(suffix), _) => suffix,
            (None, minisigns) => SUFFIXES[usize::from(!minisigns)],
        };
        self.right(&file, store, store.len())?;
        Ok(Signed {
            what: format!("{what}, by key {}, is right", file.id()),
            version: file.version().map(str::to_owned),
            file: Some((suffix, text.to_owned())),
        })
    }

    /// Verifies the signature in the last trailer of an image, `None` where there is none. What stands behind a signature is not
    /// signed, so that only the last trailer counts.
    ///
    /// # Errors
    /// Those of reading.
    pub fn trailer(&self, store: &Store) -> io::Result<Option<std::result::Result<Signed, Wrong>>> {
        let Some((payload, end)) = fwtool::signature(store)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&payload).ok();
        let checked = match text.filter(|text| text.starts_with("untrusted comment:")) {
            Some(text) => SignatureFile::parse(text).and_then(|file| {
                self.right(&file, store, end)?;
                Ok(file.id())
            }),
            None => ucert::verify(&payload, self, store, end),
        };
        Ok(Some(checked.map(|id| Signed {
            what: format!("the signature in its trailer, by key {id}, is right"),
            version: None,
            file: None,
        })))
    }

    /// Verifies a text, such as a list of checksums, by the signature beside it.
    ///
    /// # Errors
    /// As [`Keyring::verify`].
    pub fn verify_text(&self, path: &Path, text: &[u8]) -> Result<Signed> {
        self.verify(&path.display().to_string(), None, &Store::Memory(text.to_vec()))
    }
}

/// Everything that is read of keys and signatures before anybody is believed.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    ring::fuzz(&text);
    ucert::fuzz(bytes);
    let ring = Keyring::default();
    assert!(
        ring.verify("-", Some(&text), &Store::Memory(b"firmware".to_vec()))
            .is_err(),
        "without keys nothing is right"
    );
    if let Ok(file) = SignatureFile::parse(&text) {
        let _ = (file.id().to_string(), file.version(), file.is_minisigns());
    }
    let mut store = Store::Memory(bytes.to_vec());
    if let Ok(Some(text)) = take_off(&mut store) {
        assert_eq!(
            store.len() + text.len() as u64,
            bytes.len() as u64,
            "nothing is lost between image and signature"
        );
    }
}

/// Why there is no signature beside an image.
enum Absent {
    /// There is none, as a phrase.
    Never(String),
    /// Whoever serves it does not say now, as a phrase.
    Now(String),
    /// There is a file that cannot be read.
    Unreadable(io::Error),
}

/// The file of a signature. It proves itself, so that it may be anybody's.
fn beside(name: &str, access: &Access) -> std::result::Result<String, Absent> {
    let bytes = match name.contains("://") {
        false => files::read_plain(&lossless::path(name), LONGEST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Absent::Never(format!("{} does not exist", Quoted(name))),
            _ => Absent::Unreadable(error),
        })?,
        true => url::exchange(name, access, None).map_err(|error| {
            let what = format!("{}: {error}", Quoted(name));
            match error.kind() {
                // What is too long is none.
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData => Absent::Never(what),
                _ => Absent::Now(what),
            }
        })?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
