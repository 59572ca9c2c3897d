//! The tar of the kept files: plain ustar, so that any `tar` of a new firmware or of a workstation reads it.

#![forbid(unsafe_code)]

use crate::bytes::store::Store;
use crate::bytes::tar::{BLOCK, checksum_is_right, number, short_name};
use crate::plan::KeptFile;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;

/// Bytes copied at a time.
pub const CHUNK: usize = 16 << 10;

/// Bytes that an item takes.
pub fn measure(item: &KeptFile) -> u64 {
    BLOCK + item.size.next_multiple_of(BLOCK)
}

/// Bytes of the end.
pub const END: u64 = 2 * BLOCK;

/// The header (POSIX pax(1), "ustar Interchange Format"); `None` for what has no place in one.
pub fn header(item: &KeptFile) -> Option<[u8; BLOCK as usize]> {
    let mut header = [0; BLOCK as usize];
    let name = match item.kind {
        b'5' => format!("{}/", item.name),
        _ => item.name.clone(),
    };
    let (prefix, name) = match name.len() <= 100 {
        true => ("", &*name),
        false => name
            .match_indices('/')
            .map(|(at, _)| (&name[..at], &name[at + 1..]))
            .find(|(prefix, rest)| prefix.len() <= 155 && (1..=100).contains(&rest.len()))?,
    };
    let mut put = |at: usize, length: usize, text: &str| {
        header.get_mut(at..at + text.len())?.copy_from_slice(text.as_bytes());
        (text.len() <= length).then_some(())
    };
    put(0, 100, name)?;
    put(100, 7, &format!("{:07o}", item.mode))?;
    put(108, 7, &format!("{:07o}", item.uid))?;
    put(116, 7, &format!("{:07o}", item.gid))?;
    put(124, 11, &format!("{:011o}", item.size))?;
    put(136, 11, &format!("{:011o}", item.mtime))?;
    put(157, 100, &item.link)?;
    put(257, 8, "ustar\x0000")?;
    put(345, 155, prefix)?;
    header[156] = item.kind;
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Some(header)
}

/// Appends an item with the size it was measured with.
///
/// # Errors
/// A file that has another size now, or cannot be read.
pub fn append(item: &KeptFile, out: &mut dyn Write) -> io::Result<()> {
    let header = header(item).ok_or_else(|| io::Error::other("it has no place in a tar"))?;
    out.write_all(&header)?;
    if item.kind != b'0' {
        return Ok(());
    }
    let mut file = File::open(&item.path)?;
    let mut chunk = vec![0; CHUNK];
    let mut left = item.size;
    loop {
        let read = file.read(&mut chunk)?;
        if read as u64 > left || read == 0 && left > 0 {
            return Err(io::Error::other("it changes while it is saved"));
        }
        if read == 0 {
            break;
        }
        out.write_all(&chunk[..read])?;
        left -= read as u64;
    }
    let padding = item.size.next_multiple_of(BLOCK) - item.size;
    out.write_all(&[0; BLOCK as usize][..padding as usize])
}

/// Appends the end.
///
/// # Errors
/// Those of writing.
pub fn end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; END as usize])
}

/// Calls `each` with every item, its path being empty, and with where its bytes are.
///
/// # Errors
/// A tar that is not ours, and what `each` answers, with the name it was at.
pub fn walk(tar: &Store, each: &mut dyn FnMut(&KeptFile, Range<u64>) -> io::Result<()>) -> io::Result<()> {
    let mut at = 0;
    loop {
        let mut header = [0; BLOCK as usize];
        tar.read_exact_at(at, &mut header)?;
        at += BLOCK;
        if header[0] == 0 {
            return Ok(());
        }
        let field = |range: Range<usize>| number(&header[range]).ok_or(io::ErrorKind::InvalidData);
        if !checksum_is_right(&header) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let link = header[157..257].split(|byte| *byte == 0).next().unwrap_or_default();
        let item = KeptFile {
            path: String::new(),
            name: short_name(&header)?.trim_end_matches('/').to_owned(),
            kind: header[156],
            mode: field(100..108)? as u32,
            uid: field(108..116)? as u32,
            gid: field(116..124)? as u32,
            size: field(124..136)?,
            mtime: field(136..148)?,
            link: String::from_utf8_lossy(link).into_owned(),
        };
        each(&item, at..at + item.size)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", item.name)))?;
        at += item.size.next_multiple_of(BLOCK);
    }
}
