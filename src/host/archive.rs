//! Archives on a workstation: opened whether packed or not, and unpacked into a directory of their own.
//!
//! What an archive says is not believed: [`crate::bytes::tar`] refuses names that lead elsewhere, links, devices and names that
//! come twice, all of it before the first file is made.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::units::Size;
use crate::bytes::packed::{Codec, Gzip, Packed, first_end};
use crate::bytes::store::{Store, Stream};
use crate::bytes::tar;
use crate::bytes::tar::Member;
use crate::bytes::tar_entries::BLOCK;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// What a packed archive may unpack to: more than any firmware has, less than a disk.
pub(super) const LIMIT: u64 = 2 << 30;

/// Bytes of a name: `NAME_MAX` of Linux.
const NAME: usize = 255;

/// What may come out where no tar is inside.
const NO_ARCHIVE: u64 = 64 << 10;

/// With what is packed what takes more memory than there may be.
const WIDE: &str = "a larger window than is opened here";

/// The first bytes of 7z (7zFormat.txt of the LZMA SDK).
const SEVEN_ZIP: [u8; 6] = [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c];

/// As [`Codec::at`], for bytes that must be packed. `what` names them.
///
/// # Errors
/// [`Exit::Unsupported`] with the command that unpacks them elsewhere, where there is one.
pub fn must_be_packed(store: &Store, range: &Range<u64>, what: &str) -> Result<Codec> {
    let known = Codec::at(store, range).context(what)?;
    let too_wide = match known {
        None => false,
        Some(codec) => !codec.is_affordable(store, range).context(what)?,
    };
    if let (Some(codec), false) = (known, too_wide) {
        return Ok(codec);
    }
    let mut head = [0; SEVEN_ZIP.len()];
    let seven_zip = store.read_head(range, &mut head).context(what)? && head == SEVEN_ZIP;
    let (with, name, then) = match (seven_zip, known) {
        (true, _) => ("7z, which is not opened here", "data.7z", "; 7z x data.7z"),
        (_, Some(Codec::Xz)) => (WIDE, "data.tar.xz", "; tar xf data.tar.xz"),
        (_, Some(Codec::Zstd)) => (
            WIDE,
            "data.tar.zst",
            "; zstd -d --long=31 data.tar.zst; tar xf data.tar",
        ),
        (_, Some(_)) => (WIDE, "data.tar.lzma", "; xz -d data.tar.lzma; tar xf data.tar"),
        _ => ("something that is not known here", "data", "; file data"),
    };
    let failure = Failure::new(
        Exit::Unsupported,
        Code::Packed,
        format_args!("its {what} are packed with {with}"),
    );
    Err(failure.hint(format!(
        "take them out and open them: tail -c +{} FILE | head -c {} >{name}{then}",
        range.start + 1,
        range.end - range.start
    )))
}

/// A file without a name.
///
/// # Errors
/// A directory for temporary files that takes none.
pub(super) fn nameless() -> Result<File> {
    let path = std::env::temp_dir().join(format!("flasher-{}.unpacked", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .context(path.display())?;
    fs::remove_file(&path).context(path.display())?;
    Ok(file)
}

/// Unpacks an archive into a file without a name. What follows it is left alone: QDK puts a file of the maker's there.
///
/// # Errors
/// [`Exit::ImageBad`] for what is damaged, or unpacks to too much.
pub fn open(store: &Store, range: Range<u64>, codec: Codec) -> Result<Store<'static>> {
    match codec {
        Codec::Gzip => gunzip(store, range),
        _ => decode(store, range, codec),
    }
}

fn gunzip(store: &Store, range: Range<u64>) -> Result<Store<'static>> {
    let mut file = nameless()?;
    let damaged = |error| bad(format_args!("gzip: {error}"));
    let mut plain = Gzip::first(Stream::new(store, range)).take(LIMIT + 1);
    let mut head = Vec::new();
    (&mut plain).take(BLOCK).read_to_end(&mut head).map_err(damaged)?;
    // Before anything is filled with what is none.
    if !tar::is_header(&head) {
        return Err(bad("gzip: there is no tar inside"));
    }
    let length = io::copy(&mut (&head[..]).chain(plain), &mut file).map_err(damaged)?;
    match length > LIMIT {
        true => Err(bad(format_args!("gzip: it unpacks to more than {}", Size(LIMIT)))),
        false => Store::file(file).context("unpacked archive"),
    }
}

/// By the decoders of images, which begin at the beginning of a store.
fn decode(store: &Store, range: Range<u64>, codec: Codec) -> Result<Store<'static>> {
    let mut alone = nameless()?;
    let range = range.start..end_of(store, range, codec)?;
    let length = range.end - range.start;
    io::copy(&mut Stream::new(store, range), &mut alone).context("packed archive")?;
    let alone = Store::file(alone).context("packed archive")?;
    // What begins with a tar header may come out longer than that.
    let packed = Packed::open(Arc::new(alone), codec, length, NO_ARCHIVE).map_err(bad)?;
    let packed = Store::Packed(packed);
    let mut plain = nameless()?;
    io::copy(&mut Stream::new(&packed, 0..packed.len()), &mut plain).map_err(bad)?;
    Store::file(plain).context("unpacked archive")
}

/// Where the last member ends that is packed as the first one is. The end of the range, where that is not told.
fn end_of(store: &Store, range: Range<u64>, codec: Codec) -> Result<u64> {
    let mut left = range.clone();
    while let Some(end) = first_end(store, &left, codec, &mut |_| Ok(())).map_err(bad)? {
        left.start = end;
        if Codec::at(store, &left).context("packed archive")? != Some(codec) {
            return Ok(end);
        }
    }
    Ok(range.end)
}

/// The failure of an archive that is damaged or hostile.
pub fn bad(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::ImageBad, Code::Archive, what).hint("get the file again")
}

/// Makes the directory, which must be new or empty: so nothing in it can lead elsewhere.
///
/// # Errors
/// [`Exit::Usage`] for one that has something in it.
pub fn fresh_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .context(dir.display())?;
    match fs::read_dir(dir).context(dir.display())?.next() {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format_args!("{} is not empty", dir.display())).hint("name a new directory")),
    }
}

/// Refuses paths that cannot all be made: twice the same, one below another, or a name longer than a directory takes. Before
/// anything is made.
///
/// # Errors
/// [`Exit::ImageBad`] with the path.
pub fn apart(paths: impl Iterator<Item = String>) -> Result<()> {
    let mut all = BTreeSet::new();
    for path in paths {
        if path.split('/').any(|part| lossless::bytes(part).len() > NAME) {
            return Err(bad(format_args!("a name in it is too long: {}", Quoted(&path))));
        }
        if let Some(path) = all.replace(path) {
            return Err(bad(format_args!("{} is in it twice", Quoted(&path))));
        }
    }
    let clash = all.iter().find_map(|path| {
        let mut above = path.as_str();
        while let Some((shorter, _)) = above.rsplit_once('/') {
            above = shorter;
            if all.contains(above) {
                return Some((above, path));
            }
        }
        None
    });
    match clash {
        None => Ok(()),
        Some((above, path)) => Err(bad(format_args!(
            "{} is in it, and {} below that",
            Quoted(above),
            Quoted(path)
        ))),
    }
}

/// Writes these members below the directory.
///
/// # Errors
/// Files that cannot be made, such as one whose name is also that of a directory.
pub fn unpack(store: &Store, members: &[Member], dir: &Path) -> Result<()> {
    for member in members {
        let path = dir.join(lossless::path(&member.name));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context(parent.display())?;
        }
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(member.mode | 0o600)
            .open(&path)
            .context(path.display())?;
        let mut result = Ok(());
        store
            .scan(member.data.clone(), |chunk| {
                if result.is_ok() {
                    result = file.write_all(chunk);
                }
            })
            .and(result)
            .context(path.display())?;
    }
    Ok(())
}
