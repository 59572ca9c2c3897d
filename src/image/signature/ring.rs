//! The keys that count on a box: those in its directory of keys, and one that is named for one run.
//!
//! As soon as there is one, whatever is written must be signed by one of them. The directory and its files are root's alone, or
//! nothing is written: whoever can put a key there decides what the firmware is.

#![forbid(unsafe_code)]

use super::key::{self, Key, KeyId, SignatureFile, Wrong};
use crate::base::code::Code;
use crate::base::digits;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files::{self, Directory};
use crate::base::quoted::Quoted;
use crate::bytes::access::Access;
use crate::bytes::store::Store;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a box has its keys.
pub const KEYS: &str = "/etc/flasher/keys";
/// Where OpenWrt has those of its packages and images. They prove, but they demand nothing.
pub const OPENWRT: &str = "/etc/opkg/keys";
/// The file beside the keys that lists the ids of those that count no more.
const REVOKED: &str = "revoked";
/// Where a link of usign's leads for a key that is revoked (`usign_key_is_revoked` of openwrt/usign).
const REVOKED_LINK: &str = ".revoked.";
/// Bytes of a key file, and of the list of those that are revoked.
const KEY: u64 = 4096;
const LIST: u64 = 64 << 10;

/// Keys.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
    /// Ids of 16 digits, in usign's order or in minisign's.
    revoked: Vec<String>,
    /// How the file of a signature is reached that lies beside a URL.
    pub access: Access,
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Refused,
        Code::Signature,
        format_args!("the keys of this box cannot be used: {error}"),
    )
    .hint("chown -R root and chmod -R go-w the directory; take away what is not a public key")
}

impl Keyring {
    /// What these directories have; one that is not there has none.
    ///
    /// # Errors
    /// [`Exit::Refused`] where others can write there, and for a file that is no key: it may be one that was to be demanded.
    pub fn of(directories: &[PathBuf]) -> Result<Keyring> {
        let mut ring = Keyring::default();
        for path in directories.iter().filter(|path| !files::is_absent(path)) {
            ring.add(&Directory::open(path).map_err(unusable)?)?;
        }
        Ok(ring)
    }

    fn add(&mut self, directory: &Directory) -> Result<()> {
        if directory.is_shared() {
            let what = format_args!("{}: others can make files in it", directory.path().display());
            return Err(unusable(what));
        }
        for name in directory.names().map_err(unusable)? {
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            let link = std::fs::read_link(directory.by_descriptor().join(&name));
            if link.is_ok_and(|link| link == Path::new(REVOKED_LINK)) {
                self.revoke(&name.to_string_lossy())?;
                continue;
            }
            let limit = if name == REVOKED { LIST } else { KEY };
            let text = directory.read(&name, limit).map_err(unusable)?;
            let text = String::from_utf8_lossy(&text);
            if name == REVOKED {
                self.revoke(&text)?;
                continue;
            }
            let shown = || directory.path().join(&name).display().to_string();
            let key = Key::parse(&text);
            self.keys
                .push(key.ok_or_else(|| unusable(format_args!("{} is not a public key", Quoted(&shown()))))?);
        }
        Ok(())
    }

    fn revoke(&mut self, text: &str) -> Result<()> {
        for line in text.lines() {
            let id = line.split('#').next().unwrap_or_default().trim();
            match id.len() {
                0 => (),
                16 if digits::hexadecimal(id).is_some() => self.revoked.push(id.to_owned()),
                _ => {
                    return Err(unusable(format_args!(
                        "{} in the list of those that are revoked is not a key id of 16 hexadecimal digits",
                        Quoted(id)
                    )));
                }
            }
        }
        Ok(())
    }

    /// Adds the key, or the directory of keys, that is named for one run.
    ///
    /// # Errors
    /// [`Exit::Usage`] when it is none, or others can write it.
    pub fn add_named(&mut self, path: &Path) -> Result<()> {
        const WANTED: &str =
            "--key takes the public key, or a directory of them, that nobody but you and root can change";
        let bad = |what: &str| Failure::usage(format_args!("key {}: {what}", path.display())).hint(WANTED);
        let unread = |error| files::unread(&error, format_args!("key {}: {error}", path.display())).hint(WANTED);
        if path.is_dir() {
            let before = self.keys.len();
            self.add(&Directory::open(path).map_err(unread)?)?;
            return match self.keys.len() == before {
                true => Err(bad("there is no key in it")),
                false => Ok(()),
            };
        }
        let text = files::read_text(path, KEY).map_err(unread)?;
        let key = Key::parse(&text).ok_or_else(|| bad("no minisign, signify or usign public key"))?;
        self.keys.push(key);
        Ok(())
    }

    /// Whether nothing is demanded. Where the last key was revoked there is one that counts no more, and not none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.revoked.is_empty()
    }

    /// Whether the key of that id counts no more.
    pub(super) fn is_revoked(&self, id: KeyId) -> bool {
        self.revoked.iter().any(|digits| id.is(digits))
    }

    /// Whether a signature over the first `end` bytes is that of one of the keys that count.
    pub(super) fn right(&self, file: &SignatureFile<'_>, store: &Store, end: u64) -> std::result::Result<(), Wrong> {
        if self.is_revoked(file.id()) {
            return Err(key::REVOKED);
        }
        let mut right = Err(key::OTHER_KEY);
        for key in self.keys.iter().filter(|key| key.id == file.id()) {
            right = right.or_else(|_| key.verify(file, store, end));
        }
        right
    }

    /// Puts them into a directory, to be found there as they were here.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, directory: &Path) -> Result<()> {
        use std::io::Write;
        let into = Directory::make(directory).map_err(Failure::system)?;
        let put = |name: &str, text: &str| {
            let name = OsStr::new(name);
            let mut file = into.create(name)?;
            file.write_all(text.as_bytes())
        };
        for (index, key) in self.keys.iter().enumerate() {
            put(&format!("{index}.pub"), &key.line).map_err(Failure::system)?;
        }
        put(REVOKED, &self.revoked.join("\n")).map_err(Failure::system)
    }
}

/// A key, and a list of those that are revoked.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let _ = Keyring::default().revoke(text);
    if let Some(key) = Key::parse(text) {
        assert!(
            Key::parse(&key.line).is_some_and(|again| again.id == key.id),
            "handed on it is the same"
        );
    }
}
