//! Tar archives, walked without unpacking: where each member's bytes are.
//!
//! Strict, because what is in the archive ends on the flash: a name that leads elsewhere, a link, a device, a name
//! twice or a size that lies makes the archive bad, and never a guess. (`tar.h` of POSIX, and GNU's long names.)

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::quoted::Quoted;
use crate::bytes::store::Store;
use std::io;
use std::ops::Range;

/// Bytes of a header, and what members are padded to.
pub const BLOCK: u64 = 512;
/// More members than any firmware has; bounds memory.
const MEMBERS: usize = 4096;
/// Bytes of a long name; bounds memory.
const NAME: u64 = 4096;

/// A regular file in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path, without `./`; never absolute, never with `..`.
    pub name: String,
    /// Its bytes in the store.
    pub data: Range<u64>,
    /// Its permission bits.
    pub mode: u32,
}

/// Whether a tar header stands at the beginning of the range.
///
/// # Errors
/// Those of reading.
pub fn is_tar(store: &Store, range: &Range<u64>) -> io::Result<bool> {
    let mut header = [0; BLOCK as usize];
    Ok(store.read_head(range, &mut header)? && checksum_is_right(&header))
}

/// Whether these bytes begin with a tar header.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(checksum_is_right)
}

/// Finds every regular file of the archive in this range. Directories are passed over.
///
/// # Errors
/// `InvalidData` for an archive that is damaged, cut off or hostile; else those of reading.
pub fn walk(store: &Store, range: Range<u64>) -> io::Result<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    let mut long_name = None;
    let mut at = range.start;
    loop {
        let mut header = [0; BLOCK as usize];
        if range.end - at < BLOCK {
            return Err(bad("the tar is cut off: it has no end"));
        }
        store.read_exact_at(at, &mut header)?;
        at += BLOCK;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        if !checksum_is_right(&header) {
            return Err(bad(format_args!(
                "the tar header at 0x{:x} fails its checksum",
                at - BLOCK
            )));
        }
        let size =
            number(&header[124..136]).ok_or_else(|| bad(format_args!("the tar header at 0x{:x} has no size", at)))?;
        if size > range.end - at {
            return Err(bad(format_args!(
                "the tar is cut off: a member says it has {size} bytes, but only {} are there",
                range.end - at
            )));
        }
        let data = at..at + size;
        at = (at + size.next_multiple_of(BLOCK)).min(range.end);
        let name = match long_name.take() {
            Some(name) => name,
            None => short_name(&header)?,
        };
        match header[156] {
            b'0' | 0 => {
                let name = safe(&name)?;
                if members.iter().any(|member| member.name == name) {
                    return Err(bad(format_args!("the tar has {} twice", Quoted(&name))));
                }
                if members.len() == MEMBERS {
                    return Err(bad(format_args!("the tar has more than {MEMBERS} members")));
                }
                let mode = number(&header[100..108]).unwrap_or_default() as u32 & 0o777;
                members.push(Member { name, data, mode });
            }
            b'5' if size == 0 => {
                safe(&name)?;
            }
            b'L' => long_name = Some(text(store, data)?),
            b'x' => long_name = pax_path(&text(store, data)?)?,
            // Comments of git-archive and the like for the whole archive; a path or size has no place there.
            b'g' => {
                if pax_path(&text(store, data)?)?.is_some() {
                    return Err(bad("the tar gives all its members one name"));
                }
            }
            b'1' | b'2' => return Err(bad(format_args!("the tar has a link in it: {}", Quoted(&name)))),
            b'3' | b'4' | b'6' => return Err(bad(format_args!("the tar has a device in it: {}", Quoted(&name)))),
            kind => {
                return Err(bad(format_args!(
                    "the tar has {} of unknown kind 0x{kind:02x}",
                    Quoted(&name)
                )));
            }
        }
    }
    Ok(members)
}

/// The sum of all bytes, those of the sum itself taken as spaces.
pub(crate) fn checksum_is_right(header: &[u8; BLOCK as usize]) -> bool {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                0x20
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    header[0] != 0 && number(&header[148..156]) == Some(sum)
}

/// An octal number, or GNU's binary form with the top bit set.
pub(crate) fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let (high, low) = field.split_at(field.len().checked_sub(8)?);
        let blank = high
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == if at == 0 { 0x80 } else { 0 });
        return blank.then(|| low.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    }
    let digits = field
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| !matches!(**byte, b' ' | 0));
    let mut value = None;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value = Some(value.unwrap_or(0u64).checked_mul(8)? + u64::from(digit));
    }
    value
}

fn string(field: &[u8]) -> io::Result<&str> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).map_err(|_| bad("the tar has a name that is no UTF-8"))
}

/// The name, with its prefix where POSIX has one.
pub(crate) fn short_name(header: &[u8; BLOCK as usize]) -> io::Result<String> {
    let name = string(&header[..100])?;
    // Only POSIX archives have a prefix there; old GNU ones keep times.
    let prefix = match &header[257..263] == b"ustar\0" {
        true => string(&header[345..500])?,
        false => "",
    };
    Ok(match prefix {
        "" => name.to_owned(),
        prefix => format!("{prefix}/{name}"),
    })
}

fn text(store: &Store, data: Range<u64>) -> io::Result<String> {
    if data.end - data.start > NAME {
        return Err(bad("the tar has a name that is too long"));
    }
    let mut bytes = vec![0; (data.end - data.start) as usize];
    store.read_exact_at(data.start, &mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| bad("the tar has a name that is no UTF-8"))?;
    Ok(text.trim_end_matches('\0').to_owned())
}

/// The path of a POSIX extended header. Anything that says where bytes are would be a second truth: refused.
fn pax_path(text: &str) -> io::Result<Option<String>> {
    let mut path = None;
    for line in text.lines() {
        let field = line.split_once(' ').map_or(line, |(_, field)| field);
        match field.split_once('=') {
            Some(("path", name)) => path = Some(name.to_owned()),
            Some(("size" | "linkpath", _)) => return Err(bad("the tar has an extended header for size or link")),
            Some((key, _)) if key.starts_with("GNU.sparse") => return Err(bad("the tar has a sparse member")),
            _ => (),
        }
    }
    Ok(path)
}

/// A name that stays below where it is put.
fn safe(name: &str) -> io::Result<String> {
    let short = name.trim_start_matches("./").trim_end_matches('/');
    let outside = name.starts_with('/') || short.split('/').any(|part| part == "..");
    match outside || name.chars().any(char::is_control) {
        true => Err(bad(format_args!(
            "the tar has a member that leads elsewhere: {}",
            Quoted(name)
        ))),
        false => Ok(short.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for name in ["/etc/passwd", "../x", "a/../../x", "a/..", "a\nb"] {
            assert!(safe(name).is_err(), "{name}");
        }
        assert_eq!(safe("./a/b..c").ok().as_deref(), Some("a/b..c"));
    }

    #[test]
    fn numbers_are_octal_or_binary_and_nothing_else() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777777777777777777\0"), None);
        assert_eq!(number(b"12a\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), None);
    }
}
