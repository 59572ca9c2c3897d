//! QNAP's QPKG: a shell script, then archives, then 100 bytes about the package (FACTS §8).
//!
//! Two kinds. The old one (seed 000) is a script and one gzip tar, which the script finds by a fixed number; here it is
//! found by its content. QDK's says in `script_len=N` where a tar with the control files begins, behind which comes
//! the tar with the data.

#![forbid(unsafe_code)]

use super::store::Store;
use super::tar::{self, BLOCK};
use super::unpack::{GZIP, bad, is_gzip};
use crate::error::{Context, Exit, Failure, Result};
use serde::Serialize;
use std::ops::Range;

/// No script is longer.
const SCRIPT: u64 = 1 << 20;
/// Bytes of the tail.
const TAIL: u64 = 100;
const FLAG: &[u8] = b"QNAPQPKG";

/// Where everything is.
#[derive(Debug)]
pub struct Qpkg {
    /// Gzip tars in the order of the file: the directory below which each is unpacked, and where it begins.
    pub archives: Vec<(&'static str, Range<u64>)>,
    /// What the tail says.
    pub about: Option<About>,
}

/// The tail, as far as it is for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The model it is for.
    pub model: String,
}

impl Qpkg {
    /// Finds the archives.
    ///
    /// # Errors
    /// [`Exit::ImageBad`] for what is no QPKG, [`Exit::Unsupported`] for archives that are packed with something else.
    pub fn open(store: &Store) -> Result<Qpkg> {
        let about = about(store)?;
        let end = store.len() - if about.is_some() { TAIL } else { 0 };
        let mut head = vec![0; end.min(SCRIPT) as usize];
        store.read_exact_at(0, &mut head).context("QPKG")?;
        if !head.starts_with(b"#!") {
            return Err(bad("this is no QPKG: it does not begin with a script"));
        }
        let archives = match script_length(&head) {
            Some(_) if about.is_none() => return Err(bad("the package is cut off: it has no tail")),
            Some(at) if at < end => qdk(store, at, end)?,
            Some(at) => {
                return Err(bad(format_args!(
                    "its script says it has {at} bytes, more than there are"
                )));
            }
            None => {
                let at = head.windows(GZIP.len()).position(|bytes| bytes == GZIP);
                let at = at.ok_or_else(|| bad("this is no QPKG: there is no archive behind the script"))?;
                vec![("", at as u64..end)]
            }
        };
        Ok(Qpkg { archives, about })
    }
}

/// `script_len=N` at the beginning of a line.
fn script_length(head: &[u8]) -> Option<u64> {
    let value = head
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"script_len="))?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn qdk(store: &Store, at: u64, end: u64) -> Result<Vec<(&'static str, Range<u64>)>> {
    let members = tar::walk(store, at..end).map_err(bad)?;
    let control = members
        .iter()
        .find(|member| member.name.starts_with("control.tar"))
        .ok_or_else(|| bad("its first archive has no control.tar in it"))?;
    packed_with_gzip(store, &control.data, "control files")?;
    let mut archives = vec![("control", control.data.clone())];
    // tar fills its last record with zeros, and no archive begins with one.
    let last = members.iter().map(|member| member.data.end).max().unwrap_or(at);
    let mut byte = [0];
    let mut data = at + (last - at).next_multiple_of(BLOCK);
    while data < end {
        store.read_exact_at(data, &mut byte).context("QPKG")?;
        if byte != [0] {
            break;
        }
        data += 1;
    }
    let mut area = [0; 3];
    // A package may be nothing but its control files; then its QDK area follows.
    if store.read_head(&(data..end), &mut area).context("QPKG")? && &area != b"QDK" {
        packed_with_gzip(store, &(data..end), "data")?;
        archives.push(("data", data..end));
    }
    Ok(archives)
}

fn packed_with_gzip(store: &Store, range: &Range<u64>, what: &str) -> Result<()> {
    match is_gzip(store, range).context("QPKG")? {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Unsupported,
            "packed",
            format_args!("its {what} are packed with something else than gzip"),
        )
        .hint(format!("tail -c +{} FILE gives them as they are", range.start + 1))),
    }
}

/// Model 10, reserved 40, firmware version 10, name 20, version 10, flag 10.
fn about(store: &Store) -> Result<Option<About>> {
    let mut tail = [0; TAIL as usize];
    let Some(start) = store.len().checked_sub(TAIL) else {
        return Ok(None);
    };
    store.read_exact_at(start, &mut tail).context("QPKG")?;
    let field = |range: Range<usize>| {
        String::from_utf8_lossy(&tail[range])
            .chars()
            .filter(|c| !c.is_control())
            .collect::<String>()
            .trim()
            .to_owned()
    };
    Ok(tail[90..].starts_with(FLAG).then(|| About {
        name: field(60..80),
        version: field(80..90),
        model: field(0..10),
    }))
}
