//! The entries of a tar archive, one after the other, with what their headers say: `tar.h` of POSIX, its extended headers
//! as far as they give a name, and GNU's long names and large numbers. Which entries an archive may have is for its reader
//! to decide.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::digits;
use crate::base::lossless;
use crate::bytes::store::Store;
use std::io;
use std::ops::Range;

/// Bytes of a header, and what entries are padded to.
pub const BLOCK: u64 = 512;
/// Bytes of a long name, and of an extended header, which may have attributes beside it; bounds memory.
const NAME: u64 = 4096;
const EXTENSION: u64 = 64 << 10;

/// A header as it stands in the archive.
type Raw = [u8; BLOCK as usize];

/// A regular file. The oldest archives have a zero byte instead.
pub const FILE: u8 = b'0';
/// A hard link.
pub const HARD_LINK: u8 = b'1';
/// A symbolic link.
pub const LINK: u8 = b'2';
/// A character device.
pub const CHARACTER_DEVICE: u8 = b'3';
/// A block device.
pub const BLOCK_DEVICE: u8 = b'4';
/// A directory.
pub const DIRECTORY: u8 = b'5';
/// A FIFO.
pub const FIFO: u8 = b'6';

/// GNU: its bytes are the name of the next entry.
const LONG_NAME: u8 = b'L';
/// POSIX: its bytes tell more about the next entry.
const EXTENDED: u8 = b'x';
/// POSIX: its bytes tell more about all entries.
const EXTENDED_ALL: u8 = b'g';

/// One entry.
pub struct Entry {
    header: Raw,
    /// The whole name, as the archive has it; bytes that are none of UTF-8 as [`lossless`] has them.
    pub name: String,
    /// Its bytes in the store.
    pub data: Range<u64>,
}

impl Entry {
    /// What it is: [`FILE`] and its like. The oldest archives tell a directory by the end of its name.
    pub fn kind(&self) -> u8 {
        match self.header[156] {
            0 | FILE if self.name.ends_with('/') => DIRECTORY,
            0 => FILE,
            kind => kind,
        }
    }

    /// Permission bits.
    pub fn mode(&self) -> Option<u32> {
        self.number(100..108)
    }

    /// The number of the owner.
    pub fn uid(&self) -> Option<u32> {
        self.number(108..116)
    }

    /// The number of the group.
    pub fn gid(&self) -> Option<u32> {
        self.number(116..124)
    }

    /// Seconds since 1970.
    pub fn mtime(&self) -> Option<u64> {
        number(&self.header[136..148])
    }

    /// Where a link leads, as [`Entry::name`] is.
    pub fn link(&self) -> String {
        string(&self.header[157..257])
    }

    fn number(&self, field: Range<usize>) -> Option<u32> {
        number(&self.header[field]).and_then(|number| number.try_into().ok())
    }
}

/// Goes from header to header, and ends at a block of zeros or with the first error. Errors are `InvalidData` for an
/// archive that is damaged or cut off, or whose extended headers say where bytes are; else those of reading.
pub struct Entries<'a> {
    store: &'a Store<'a>,
    at: u64,
    end: u64,
    done: bool,
}

impl<'a> Entries<'a> {
    /// Of the archive in this range.
    pub fn new(store: &'a Store, range: Range<u64>) -> Entries<'a> {
        Entries {
            store,
            at: range.start,
            end: range.end,
            done: false,
        }
    }

    /// Where the next header is looked for: behind the last entry, once that was handed out.
    pub fn position(&self) -> u64 {
        self.at
    }

    fn read(&mut self) -> io::Result<Option<Entry>> {
        let mut long_name = None;
        loop {
            let Some((header, data)) = self.header()? else {
                return Ok(None);
            };
            match header[156] {
                LONG_NAME => {
                    let name = bytes(self.store, data, NAME)?;
                    long_name = Some(lossless::text(&name).trim_end_matches('\0').to_owned());
                }
                EXTENDED => long_name = path_of(&bytes(self.store, data, EXTENSION)?)?.or(long_name),
                // Comments of git-archive and the like for the whole archive; a path or size has no place there.
                EXTENDED_ALL => {
                    if path_of(&bytes(self.store, data, EXTENSION)?)?.is_some() {
                        return Err(bad("the tar gives all its members one name"));
                    }
                }
                _ => {
                    let name = long_name.unwrap_or_else(|| short_name(&header));
                    return Ok(Some(Entry { header, name, data }));
                }
            }
        }
    }

    /// The next header and where its bytes are; `None` at the end.
    fn header(&mut self) -> io::Result<Option<(Raw, Range<u64>)>> {
        let start = self.at;
        if self.end - start < BLOCK {
            return Err(bad("the tar is cut off: it has no end"));
        }
        let mut header = [0; BLOCK as usize];
        self.store.read_exact_at(start, &mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if !checksum_is_right(&header) {
            return Err(bad(format_args!("the tar header at 0x{start:x} fails its checksum")));
        }
        let size =
            number(&header[124..136]).ok_or_else(|| bad(format_args!("the tar header at 0x{start:x} has no size")))?;
        let data = start + BLOCK;
        let room = self.end - data;
        if size > room {
            return Err(bad(format_args!(
                "the tar is cut off: a member says it has {size} bytes, but only {room} are there"
            )));
        }
        self.at = (data + size.next_multiple_of(BLOCK)).min(self.end);
        Ok(Some((header, data..data + size)))
    }
}

impl Iterator for Entries<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        // What comes behind the end, or behind an error, is not looked at.
        if self.done {
            return None;
        }
        let entry = self.read().transpose();
        self.done = !matches!(entry, Some(Ok(_)));
        entry
    }
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
pub fn is_header(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(checksum_is_right)
}

/// The sum of all bytes, those of the sum itself taken as spaces.
fn checksum_is_right(header: &Raw) -> bool {
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
fn number(field: &[u8]) -> Option<u64> {
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

fn string(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    lossless::text(&field[..end])
}

/// The name, with its prefix where POSIX has one.
fn short_name(header: &Raw) -> String {
    let name = string(&header[..100]);
    // Only POSIX archives have a prefix there; old GNU ones keep times.
    let prefix = match &header[257..263] == b"ustar\0" {
        true => string(&header[345..500]),
        false => String::new(),
    };
    match prefix.is_empty() {
        true => name,
        false => format!("{prefix}/{name}"),
    }
}

fn bytes(store: &Store, data: Range<u64>, most: u64) -> io::Result<Vec<u8>> {
    if data.end - data.start > most {
        return Err(bad("the tar has a name or an extended header that is too long"));
    }
    store.bytes(&data)
}

/// The path of a POSIX extended header. Anything that says where bytes are would be a second truth: refused.
fn path_of(mut records: &[u8]) -> io::Result<Option<String>> {
    let mut path = None;
    while records.iter().any(|byte| *byte != 0) {
        let (key, value, rest) =
            record(records).ok_or_else(|| bad("the tar has an extended header that makes no sense"))?;
        match key {
            b"path" => path = Some(lossless::text(value)),
            b"size" | b"linkpath" => return Err(bad("the tar has an extended header for size or link")),
            key if key.starts_with(b"GNU.sparse") => return Err(bad("the tar has a sparse member")),
            _ => (),
        }
        records = rest;
    }
    Ok(path)
}

/// Key and value of the first record, and the others. A record is `LENGTH KEY=VALUE` and a line end, LENGTH being that of all of
/// it: a value may have line ends of its own.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = digits::decimal(std::str::from_utf8(&records[..space]).ok()?)?;
    let (record, rest) = records.split_at_checked(length)?;
    let field = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = field.iter().position(|byte| *byte == b'=')?;
    Some((&field[..equals], &field[equals + 1..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary_and_nothing_else() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777777777777777777\0"), None);
        assert_eq!(number(b"12a\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), None);
    }

    #[test]
    fn a_record_of_an_extended_header_is_as_long_as_it_says() {
        let path = |records: &[u8]| path_of(records).ok();
        assert_eq!(
            path(b"12 path=a/b\n22 comment=1\n9 path=c\n\0\0"),
            Some(Some("a/b".to_owned()))
        );
        assert_eq!(path(b"15 comment=git\n"), Some(None));
        for broken in [
            &b"99 path=a\n"[..],
            b"9 path=a",
            b"path=a\n",
            b"0 path=a\n",
            b"4 a\n",
            b" path=a\n",
        ] {
            assert_eq!(path(broken), None, "{broken:?}");
        }
    }
}
