//! A QPKG inside a zip, as QNAP's download pages give them away: the one member whose name ends with `.qpkg` is taken out.
//!
//! The central directory counts (APPNOTE.TXT of PKWARE, 4.3): it has the sizes and the CRC of every member. Only what zip tools
//! make is read, stored and deflated; no zip64, no encryption.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::error::{Context, Result};
use crate::base::quoted::Quoted;
use crate::base::units::Fields;
use crate::bytes::packed::Gzip;
use crate::bytes::store::{Store, Stream};
use crate::host::archive::{bad, nameless};
use std::io::{self, Read};

/// The end of the central directory, and the longest comment behind it.
const END: usize = 22;
const COMMENT: u64 = 0xffff;
/// Bytes of an entry of the central directory, and of a local header, without their names.
const ENTRY: usize = 46;
const LOCAL: u64 = 30;
/// Bytes of the central directory; bounds memory.
const DIRECTORY: u64 = 4 << 20;
/// Bytes that a package may have.
const PACKAGE: u64 = 2 << 30;

/// Whether it is a zip.
///
/// # Errors
/// Those of reading.
pub fn is_zip(store: &Store) -> io::Result<bool> {
    let mut head = [0; 4];
    Ok(store.read_head(&(0..store.len()), &mut head)? && head == *b"PK\x03\x04")
}

/// A member.
struct Entry {
    name: String,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    local: u64,
}

/// The package in it.
///
/// # Errors
/// A zip that is damaged, or has no package or several.
pub fn package(store: &Store) -> Result<Store<'static>> {
    let entries = entries(store).map_err(bad)?;
    let mut packages = entries
        .iter()
        .filter(|entry| entry.name.to_ascii_lowercase().ends_with(".qpkg"));
    let package = packages.next().ok_or_else(|| bad("there is no .qpkg in the zip"))?;
    if packages.next().is_some() {
        return Err(bad("there are several .qpkg in the zip").hint("unzip it and name one of them"));
    }
    take(store, package)
}

fn entries(store: &Store) -> io::Result<Vec<Entry>> {
    let damaged = || crate::base::bad_data::bad("the zip is damaged: its central directory makes no sense");
    let from = store.len().saturating_sub(END as u64 + COMMENT);
    let mut tail = vec![0; (store.len() - from) as usize];
    store.read_exact_at(from, &mut tail)?;
    let end = tail.windows(END).rposition(|bytes| bytes.starts_with(b"PK\x05\x06"));
    let end = Fields(tail.get(end.ok_or_else(damaged)?..).unwrap_or_default());
    let (length, at) = (end.le32(12).ok_or_else(damaged)?, end.le32(16).ok_or_else(damaged)?);
    if u64::from(length) > DIRECTORY || u64::from(at) + u64::from(length) > store.len() {
        return Err(damaged());
    }
    let mut directory = vec![0; length as usize];
    store.read_exact_at(at.into(), &mut directory)?;
    let mut entries = Vec::new();
    let mut rest = directory.as_slice();
    // All of it, but for a signature at its end: an entry that cannot be read may be that of a second package.
    while !rest.is_empty() && !rest.starts_with(b"PK\x05\x05") {
        if !rest.starts_with(b"PK\x01\x02") {
            return Err(damaged());
        }
        let field = Fields(rest);
        let half = |at| field.le16(at).map(usize::from).ok_or_else(damaged);
        let word = |at| field.le32(at).ok_or_else(damaged);
        let (name, extra, comment) = (half(28)?, half(30)?, half(32)?);
        entries.push(Entry {
            name: String::from_utf8_lossy(rest.get(ENTRY..ENTRY + name).ok_or_else(damaged)?).into_owned(),
            method: half(10)? as u16,
            crc: word(16)?,
            packed: word(20)?.into(),
            size: word(24)?.into(),
            local: word(42)?.into(),
        });
        rest = rest.get(ENTRY + name + extra + comment..).ok_or_else(damaged)?;
    }
    Ok(entries)
}

/// Takes a member out. What is deflated is what gzip has inside, and so is unpacked and checked as one.
fn take(store: &Store, entry: &Entry) -> Result<Store<'static>> {
    let damaged = || bad(format_args!("the zip is damaged at {}", Quoted(&entry.name)));
    let mut local = [0; LOCAL as usize];
    let header = entry.local..store.len();
    if entry.local > store.len()
        || !store.read_head(&header, &mut local).context("zip")?
        || !local.starts_with(b"PK\x03\x04")
    {
        return Err(damaged());
    }
    let lengths = [26, 28].map(|at| u64::from(Fields(&local).le16(at).unwrap_or_default()));
    let start = entry.local + LOCAL + lengths[0] + lengths[1];
    let end = start + entry.packed;
    if end > store.len() || entry.size > PACKAGE {
        return Err(damaged());
    }
    let mut bytes = Stream::new(store, start..end);
    let mut file = nameless()?;
    let trailer = [entry.crc.to_le_bytes(), (entry.size as u32).to_le_bytes()].concat();
    let copied = match entry.method {
        0 => {
            let mut sum = CRC32.digest();
            store.scan(start..end, |chunk| sum.update(chunk)).context("zip")?;
            (sum.finalize() == entry.crc).then(|| io::copy(&mut bytes, &mut file))
        }
        8 => {
            let head: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
            let gzip = Gzip::first(head.chain(bytes).chain(trailer.as_slice()));
            Some(io::copy(&mut gzip.take(PACKAGE + 1), &mut file))
        }
        _ => {
            return Err(bad("the .qpkg in the zip is packed in a way that is not known here")
                .hint("unzip it, and name the .qpkg"));
        }
    };
    match copied {
        Some(Ok(length)) if length == entry.size => Store::file(file).context("package"),
        _ => Err(damaged()),
    }
}
