//! Which keys count in this run, and whether a signature by one of them covers what was delivered.

#![forbid(unsafe_code)]

use super::version::root;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::base::quoted::Quoted;
use crate::base::units::hex;
use crate::board::{Backend, Board};
use crate::bytes::store::Store;
use crate::checks::Signature;
use crate::cli::Apply;
use crate::image::Image;
use crate::image::backup::{SUMS, listing};
use crate::image::pat::{VERSION, setting};
use crate::image::signature::{KEYS, Keyring, OPENWRT};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The directories of a box that are meant by this path: on a simulated box those of the machine and its own.
fn directories(board: &Board, path: &str) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from(path)];
    if let Backend::Sim(_) = board.backend {
        all.push(root(board).join(path.trim_start_matches('/')));
    }
    all
}

/// The keys of which one must have signed what is written: those of the box, and `--key`. With none of them nothing is demanded.
///
/// # Errors
/// Keys that others can write, or that are none; that there is none where one is demanded.
pub(super) fn keys(board: &Board, options: &Apply) -> Result<Keyring> {
    let mut ring = Keyring::of(&directories(board, KEYS))?;
    if let Some(path) = &options.trust.key {
        ring.add_named(path)?;
    }
    if options.trust.signed && ring.is_empty() {
        return Err(Failure::new(
            Exit::Refused,
            Code::Signature,
            "refused by check signature: nothing but a signature could say what this image is, and there is no key",
        )
        .hint(format!(
            "put the public key into {KEYS}, or have the server say a SHA-256"
        )));
    }
    ring.access.clone_from(&options.trust.access);
    Ok(ring)
}

/// What the box's keys say of a file that came with this name, and with this signature behind it.
///
/// # Errors
/// Those of reading.
pub(super) fn verdict(
    board: &Board,
    ring: &Keyring,
    name: &str,
    behind: Option<&str>,
    store: &Store,
) -> Result<Signature> {
    if !ring.is_empty() {
        return Ok(match ring.verify(name, behind, store) {
            Ok(signed) => Signature::Right(signed),
            Err(failure) if failure.code == Code::ImageUnreadable => return Err(failure),
            Err(failure) => Signature::Wrong(failure.told().what),
        });
    }
    // OpenWrt's keys demand nothing. Where they cannot be used, nothing is said of them.
    let known = Keyring::of(&directories(board, OPENWRT)).unwrap_or_default();
    let trailer = known.trailer(store).map_err(super::staged::unreadable)?;
    Ok(Signature::NotDemanded(
        trailer.map(|checked| checked.map_err(str::to_owned)),
    ))
}

/// The same of a directory: what is signed is its list of checksums, and every part of the image must be in it.
pub(super) fn of_directory(ring: &Keyring, dir: &Path, image: &Image, store: &Store) -> Signature {
    if ring.is_empty() {
        return Signature::NotDemanded(None);
    }
    let path = dir.join(SUMS);
    let text = match files::read_plain(&path, files::TEXT) {
        Ok(text) => text,
        Err(error) => {
            return Signature::Wrong(format!(
                "there is no signed list of checksums: {}: {error}",
                path.display()
            ));
        }
    };
    let signed = match ring.verify_text(&path, &text) {
        Ok(signed) => signed,
        Err(failure) => return Signature::Wrong(failure.told().what),
    };
    let listed: Vec<(String, String)> = listing(&text).flatten().collect();
    let is_listed = |hash: Sha256, named: &dyn Fn(&str) -> bool| {
        let sum = hex(&hash.finalize());
        listed.iter().any(|(listed, name)| *listed == sum && named(name))
    };
    let other = |file: &str| Signature::Wrong(format!("{} is not what the signed {SUMS} lists", Quoted(file)));
    for part in &image.parts {
        let mut hash = Sha256::new();
        let read = store.scan(part.range(), |chunk| hash.update(chunk));
        let file = part.member.as_ref().unwrap_or(&part.name);
        // The one name of the initial ramdisk in older files.
        let named = |name: &str| name == file || name == "rd.bin" && file == "rd.gz";
        if read.is_err() || !is_listed(hash, &named) {
            return other(file);
        }
    }
    // For which box it is does not stand in its parts.
    if let Some(made_for) = &image.made_for {
        let text = files::read_plain(&dir.join(VERSION), files::TEXT).unwrap_or_default();
        let same = setting(&String::from_utf8_lossy(&text), "unique").as_ref() == Some(made_for);
        if !same || !is_listed(Sha256::new_with_prefix(&text), &|name| name == VERSION) {
            return other(VERSION);
        }
    }
    Signature::Right(signed)
}

/// The rescue takes an image over the network only from whoever can sign it.
///
/// # Errors
/// [`Exit::Usage`] where it is asked for without a key.
pub(super) fn check_rescue(ring: &Keyring, options: &Apply) -> Result<()> {
    match options.rescue_network && ring.is_empty() {
        true => Err(Failure::new(
            Exit::Usage,
            Code::Usage,
            "--rescue-network takes nothing but signed images, and there is no key",
        )
        .hint(format!("add --key FILE, or put the public key into {KEYS}"))),
        false => Ok(()),
    }
}
