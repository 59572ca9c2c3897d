//! QNAP's QPKG: a shell script, then archives, then 100 bytes about the package (`qbuild` of
//! qnap-dev/QDK writes them). A package is for QNAP's own installer, and never for the flash as it is.
//!
//! Two kinds. QDK's says in `script_len=N` where its archives begin. The old one, that of QNAP's SystemRecovery package,
//! has one gzip archive, which the script finds by a fixed number; here it is found by its content.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::bytes::store::Store;
use crate::image::Layout;
use std::io;
use std::ops::Range;

/// No script is longer, in bytes.
const SCRIPT: u64 = 1 << 20;
/// The script of packages from before QDK has this length.
const OLD_SCRIPT: u64 = 526;
/// Bytes of the tail: model 10, reserved 40, firmware version 10, name 20, version 10, flag 10.
pub const TAIL: usize = 100;
const FLAG: &[u8] = b"QNAPQPKG";
/// The first bytes of gzip with its only method (RFC 1952).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// A file that begins with a script, as a package would.
#[derive(Debug)]
pub struct Outline {
    /// What the script says of its own length, which may be a lie; 0 where it makes no sense.
    pub said: Option<u64>,
    /// Where the first gzip archive begins.
    pub gzip: Option<u64>,
    /// Where the archives end: at the tail, or at the end of the file.
    pub end: u64,
    /// The tail, where there is one.
    pub tail: Option<[u8; TAIL]>,
}

impl Outline {
    /// `None` for what does not begin with a script.
    ///
    /// # Errors
    /// Those of reading.
    pub fn of(store: &Store) -> io::Result<Option<Outline>> {
        let whole = 0..store.len();
        let mut mark = [0; 2];
        if !store.read_head(&whole, &mut mark)? || mark != *b"#!" {
            return Ok(None);
        }
        let mut bytes = [0; TAIL];
        let start = whole.end.saturating_sub(TAIL as u64);
        let tailed = store.read_head(&(start..whole.end), &mut bytes)? && bytes[90..].starts_with(FLAG);
        let end = if tailed { start } else { whole.end };
        let head = store.bytes(&(0..end.min(SCRIPT)))?;
        let gzip = head.windows(GZIP.len()).position(|bytes| bytes == GZIP);
        Ok(Some(Outline {
            said: script_length(&head),
            gzip: gzip.map(|at| at as u64),
            end,
            tail: tailed.then_some(bytes),
        }))
    }
}

/// Recognises both kinds. A script with an archive behind it is not enough: others make such files too.
pub(super) fn recognise(store: &Store) -> io::Result<Option<Layout>> {
    let Some(outline) = Outline::of(store)? else {
        return Ok(None);
    };
    let script = match outline.said {
        Some(length) if (1..outline.end).contains(&length) => length,
        _ if outline.gzip == Some(OLD_SCRIPT) => OLD_SCRIPT,
        _ if outline.tail.is_some() => 0,
        _ => return Ok(None),
    };
    let mut parts: Vec<(_, Range<u64>)> = vec![
        ("script", 0..script),
        ("archives", script..outline.end),
        ("tail", outline.end..store.len()),
    ];
    parts.retain(|(_, range)| !range.is_empty());
    Ok(Some(Layout {
        format: Format::Qpkg,
        parts,
    }))
}

/// `script_len=N` at the beginning of a line, as a shell understands it; 0 where that is not a number.
fn script_length(head: &[u8]) -> Option<u64> {
    let value = head
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"script_len="))?;
    let value = value.trim_ascii_end();
    let quoted = value.first().filter(|byte| b"\"'".contains(byte));
    let value = quoted
        .and_then(|quote| value[1..].strip_suffix(&[*quote]))
        .unwrap_or(value);
    let digit = |byte: &u8| char::from(*byte).to_digit(10);
    let length = value.iter().try_fold(0u64, |length, byte| {
        Some(length.saturating_mul(10).saturating_add(digit(byte)?.into()))
    });
    Some(length.unwrap_or_default())
}
