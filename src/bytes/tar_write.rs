//! Tar archives as we write them: plain ustar (POSIX pax(1), "ustar Interchange Format"), so that any `tar` of a firmware or
//! of a workstation reads it.

#![forbid(unsafe_code)]

use crate::base::lossless;
use crate::bytes::pull::Pull;
use crate::bytes::tar_entries::{BLOCK, DIRECTORY};
use std::io::{self, Read, Write};

/// Bytes copied at a time.
const CHUNK: usize = 16 << 10;
/// Bytes of the end.
pub const END: u64 = 2 * BLOCK;

/// What the header of an entry says.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The whole name, without a slash at its end; bytes that are none of UTF-8 as [`lossless`] has them.
    pub name: &'a str,
    /// What it is: [`FILE`](crate::bytes::tar_entries::FILE) and its like.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// The number of the owner.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// Bytes of a file; 0 for all others.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Where a link leads.
    pub link: &'a str,
}

impl Head<'_> {
    /// Bytes that the entry takes.
    pub fn measure(&self) -> u64 {
        BLOCK + self.size.next_multiple_of(BLOCK)
    }

    /// The header; `None` for what has no place in one.
    pub fn bytes(&self) -> Option<[u8; BLOCK as usize]> {
        let mut header = [0; BLOCK as usize];
        let mut name = lossless::bytes(self.name);
        if self.kind == DIRECTORY {
            name.push(b'/');
        }
        let (prefix, name) = match name.len() <= 100 {
            true => (&[][..], &*name),
            false => (0..name.len())
                .filter(|at| name[*at] == b'/')
                .map(|at| (&name[..at], &name[at + 1..]))
                .find(|(prefix, rest)| prefix.len() <= 155 && (1..=100).contains(&rest.len()))?,
        };
        let mut put = |at: usize, length: usize, text: &[u8]| {
            header.get_mut(at..at + text.len())?.copy_from_slice(text);
            (text.len() <= length).then_some(())
        };
        put(0, 100, name)?;
        put(100, 7, format!("{:07o}", self.mode).as_bytes())?;
        put(108, 7, format!("{:07o}", self.uid).as_bytes())?;
        put(116, 7, format!("{:07o}", self.gid).as_bytes())?;
        put(124, 11, format!("{:011o}", self.size).as_bytes())?;
        put(136, 11, format!("{:011o}", self.mtime).as_bytes())?;
        put(157, 100, &lossless::bytes(self.link))?;
        put(257, 8, b"ustar\x0000")?;
        put(345, 155, prefix)?;
        header[156] = self.kind;
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        Some(header)
    }
}

/// Appends an entry with the bytes of `content`, which must be as many as the header says.
///
/// # Errors
/// More or fewer bytes, a header that there is no place for, and those of reading and writing.
pub fn append(head: &Head<'_>, content: &mut dyn Pull, out: &mut dyn Write) -> io::Result<()> {
    let header = head
        .bytes()
        .ok_or_else(|| io::Error::other("it has no place in a tar"))?;
    out.write_all(&header)?;
    let mut chunk = vec![0; CHUNK];
    let mut left = head.size;
    loop {
        let read = content.read(&mut chunk)?;
        if read as u64 > left || read == 0 && left > 0 {
            return Err(io::Error::other("it changes while it is saved"));
        }
        if read == 0 {
            break;
        }
        out.write_all(&chunk[..read])?;
        left -= read as u64;
    }
    let padding = head.size.next_multiple_of(BLOCK) - head.size;
    out.write_all(&[0; BLOCK as usize][..padding as usize])
}

/// Appends the end.
///
/// # Errors
/// Those of writing.
pub fn end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; END as usize])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::store::Store;
    use crate::bytes::tar_entries::{Entries, FILE, LINK};

    #[test]
    fn what_is_written_is_read_again() {
        let deep = format!("{}/{}", "d".repeat(150), "n".repeat(100));
        let heads = [
            (&*deep, FILE, 700, ""),
            ("etc", DIRECTORY, 0, ""),
            ("etc/link", LINK, 0, "../elsewhere"),
            ("etc/empty", FILE, 0, ""),
        ]
        .map(|(name, kind, size, link)| Head {
            name,
            kind,
            mode: 0o4640,
            uid: 65_534,
            gid: 100,
            size,
            mtime: 1_700_000_000,
            link,
        });
        let mut bytes = Vec::new();
        for head in &heads {
            append(head, &mut &vec![7; head.size as usize][..], &mut bytes).unwrap();
        }
        end(&mut bytes).unwrap();
        let measured: u64 = heads.iter().map(Head::measure).sum();
        assert_eq!(bytes.len() as u64, measured + END);
        let store = Store::Memory(bytes);
        let entries: Vec<_> = Entries::new(&store, 0..store.len()).map(Result::unwrap).collect();
        assert_eq!(entries.len(), heads.len());
        for (entry, head) in entries.iter().zip(&heads) {
            assert_eq!(entry.name.trim_end_matches('/'), head.name);
            assert_eq!(entry.link(), head.link);
            assert_eq!(
                (entry.kind(), entry.data.end - entry.data.start),
                (head.kind, head.size)
            );
            assert_eq!((entry.mode(), entry.mtime()), (Some(head.mode), Some(head.mtime)));
            assert_eq!((entry.uid(), entry.gid()), (Some(head.uid), Some(head.gid)));
        }
    }

    #[test]
    fn a_file_of_another_length_than_its_header_says_is_an_error() {
        let head = Head {
            name: "file",
            kind: FILE,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 10,
            mtime: 0,
            link: "",
        };
        for length in [0, 9, 11] {
            assert!(append(&head, &mut &vec![0; length][..], &mut Vec::new()).is_err());
        }
        let name = "n".repeat(101);
        assert!(Head { name: &name, ..head }.bytes().is_none());
    }
}
