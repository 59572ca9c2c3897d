//! QNAP's packages: a shell script with archives behind it. Only recognised here: a package is for QNAP's own
//! installer, and never for the flash as it is.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::bytes::store::Store;
use crate::image::Layout;
use std::io;

/// Bytes of the end that names the package.
const TAIL: u64 = 100;
/// The script of packages from before QDK has this length.
const OLD_SCRIPT: usize = 526;

/// Recognises both kinds.
pub(super) fn recognise(store: &Store) -> io::Result<Option<Layout>> {
    let mut head = vec![0; 4096.min(store.len() as usize)];
    store.read_exact_at(0, &mut head)?;
    if !head.starts_with(b"#!") {
        return Ok(None);
    }
    let size = store.len();
    let tail = size.saturating_sub(TAIL);
    let mut flag = [0; 10];
    store.read_exact_at(size.saturating_sub(10), &mut flag[..size.min(10) as usize])?;
    let tailed = flag.starts_with(b"QNAPQPKG");
    let is_gzip = |at: usize| head.get(at..at + 2) == Some(&[0x1f, 0x8b]);
    let script = match script_length(&head) {
        Some(length) if length < tail => length,
        _ if is_gzip(OLD_SCRIPT) => OLD_SCRIPT as u64,
        _ if tailed => 0,
        _ => return Ok(None),
    };
    let end = if tailed { tail } else { size };
    let mut parts = vec![("script", 0..script), ("archives", script..end)];
    if tailed {
        parts.push(("tail", tail..size));
    }
    parts.retain(|(_, range)| !range.is_empty());
    Ok(Some(Layout {
        format: Format::Qpkg,
        parts,
    }))
}

/// `script_len=N` of QDK's header.
fn script_length(head: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(head);
    let (_, rest) = text.split_once("script_len=")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|length| *length > 0)
}
