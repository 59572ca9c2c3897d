//! The tables of a SquashFS 4: whether each lies inside the file system, and whether the data of every file and fragment does
//! (`fs/squashfs/squashfs_fs.h`; `Documentation/filesystems/squashfs.rst`). All numbers are little-endian.
//!
//! Tables are chains of blocks of 8 KiB, which are packed. Where their packing is one that images are unpacked from too,
//! the inodes and fragments are read; data is not.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::units::Fields;
use crate::bytes::packed::unpack_block;
use crate::bytes::store::Store;
use std::io::{self, Read};
use std::ops::Range;

/// Bytes of a block of a table when it is unpacked (`SQUASHFS_METADATA_SIZE`).
const BLOCK: usize = 8192;
/// What stands for a table that is not there.
const NONE: u64 = u64::MAX;
/// What stands for no fragment.
const NO_FRAGMENT: u32 = u32::MAX;

/// What is wanted of the superblock.
pub(super) struct Superblock {
    inodes: u32,
    block_size: u32,
    fragments: u32,
    packing: u16,
    block_log: u16,
    ids: u16,
    root: u64,
    length: u64,
    id_table: u64,
    xattr_table: u64,
    inode_table: u64,
    directory_table: u64,
    fragment_table: u64,
    export_table: u64,
}

impl Superblock {
    /// From its 96 bytes.
    pub fn of(head: &[u8]) -> Superblock {
        let short = |at| Fields(head).le16(at).unwrap_or_default();
        let word = |at| Fields(head).le32(at).unwrap_or_default();
        let long = |at| Fields(head).le64(at).unwrap_or_default();
        Superblock {
            inodes: word(4),
            block_size: word(12),
            fragments: word(16),
            packing: short(20),
            block_log: short(22),
            ids: short(26),
            root: long(32),
            length: long(40),
            id_table: long(48),
            xattr_table: long(56),
            inode_table: long(64),
            directory_table: long(72),
            fragment_table: long(80),
            export_table: long(88),
        }
    }
}

/// What is wrong with the tables of the file system that begins at `start`, all of which is there.
pub(super) fn check(store: &Store, start: u64, superblock: &Superblock) -> io::Result<Option<String>> {
    let tables = Tables {
        store,
        start,
        superblock,
    };
    match tables.check() {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(error.to_string())),
        other => other.map(|()| None),
    }
}

struct Tables<'s> {
    store: &'s Store<'s>,
    start: u64,
    superblock: &'s Superblock,
}

fn outside(what: &str) -> io::Error {
    bad(format_args!("the squashfs has {what} outside of itself"))
}

impl Tables<'_> {
    fn check(&self) -> io::Result<()> {
        let sb = self.superblock;
        let sizes = (12..=20).contains(&sb.block_log) && sb.block_size == 1 << sb.block_log;
        if !sizes || !(1..=6).contains(&sb.packing) || sb.ids == 0 {
            return Err(bad("the squashfs superblock makes no sense"));
        }
        // Where blocks of tables end: with the first list of places that follows them.
        let lists = [sb.id_table, sb.xattr_table, sb.fragment_table, sb.export_table];
        let there = |table: &u64| *table != NONE;
        let first = lists.into_iter().filter(there).min().unwrap_or(NONE);
        let in_order = 96 <= sb.inode_table && sb.inode_table < sb.directory_table && sb.directory_table <= first;
        let inside = lists
            .iter()
            .filter(|table| there(table))
            .all(|table| *table < sb.length);
        if !in_order || !inside || sb.id_table == NONE || (sb.fragments > 0 && sb.fragment_table == NONE) {
            return Err(outside("a table"));
        }
        if !self.chain(sb.inode_table..sb.directory_table)? {
            return Err(bad(
                "the blocks of the squashfs's inodes do not end where its directories begin",
            ));
        }
        // Where its block begins, and where it begins in that (`SQUASHFS_INODE_BLK`, `SQUASHFS_INODE_OFFSET`).
        let root = sb.inode_table.saturating_add(sb.root >> 16);
        if root >= sb.directory_table || sb.root & 0xffff >= BLOCK as u64 {
            return Err(outside("its root"));
        }
        self.packing()?;
        self.inodes(root)?;
        let data = 96..sb.inode_table;
        // Directories end where the blocks of the next table begin.
        let mut next = first;
        if sb.fragments > 0 {
            let places = self.places(sb.fragment_table, u64::from(sb.fragments) * 16)?;
            self.fragments(&places, &data)?;
            next = places.into_iter().fold(next, u64::min);
        }
        if sb.export_table != NONE {
            let places = self.places(sb.export_table, u64::from(sb.inodes) * 8)?;
            next = places.into_iter().fold(next, u64::min);
        }
        let mut end = sb.length;
        if sb.xattr_table != NONE {
            let head = self.read(sb.xattr_table..sb.xattr_table + 16)?;
            let ids = Fields(&head).le32(8).unwrap_or_default();
            self.last(sb.xattr_table + 16, u64::from(ids) * 16, end)?;
            end = Fields(&head).le64(0).unwrap_or(NONE);
            next = next.min(end);
        }
        let places = self.last(sb.id_table, u64::from(sb.ids) * 4, end)?;
        next = places.into_iter().fold(next, u64::min);
        if next < sb.directory_table || !self.chain(sb.directory_table..next)? {
            return Err(bad(
                "the blocks of the squashfs's directories do not end where the next table begins",
            ));
        }
        Ok(())
    }

    /// Bytes of the file system.
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        if range.end > self.superblock.length || range.end - range.start > 1 << 20 {
            return Err(outside("a table"));
        }
        self.store.bytes(&(self.start + range.start..self.start + range.end))
    }

    /// The bytes of the block of a table that begins here, as they are packed, and whether they are.
    fn block(&self, at: u64) -> io::Result<(Range<u64>, bool)> {
        let head = self.read(at..at + 2)?;
        let head = Fields(&head).le16(0).unwrap_or_default();
        // A length of 0 stands for the longest (`SQUASHFS_COMPRESSED_SIZE`).
        let length = match head & 0x7fff {
            0 => 0x8000,
            length => u64::from(length),
        };
        let end = at + 2 + length;
        if length > BLOCK as u64 || end > self.superblock.length {
            return Err(outside("a block of a table"));
        }
        Ok((at + 2..end, head & 0x8000 == 0))
    }

    /// Whether blocks stand one behind the other up to exactly the end of the range.
    fn chain(&self, range: Range<u64>) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end {
            at = self.block(at)?.0.end;
        }
        Ok(at == range.end)
    }

    /// The list of places of the blocks of a table with so many bytes; each of them lies inside.
    fn places(&self, list: u64, bytes: u64) -> io::Result<Vec<u64>> {
        let count = bytes.div_ceil(BLOCK as u64);
        let list = self.read(list..list + count * 8)?;
        let places: Vec<u64> = (0..count as usize)
            .map(|index| Fields(&list).le64(index * 8).unwrap_or(NONE))
            .collect();
        for place in &places {
            if *place >= self.superblock.length {
                return Err(outside("a block of a table"));
            }
            self.block(*place)?;
        }
        Ok(places)
    }

    /// The same of a list that ends there: since 5.11 the kernel mounts no other (`squashfs_read_id_index_table` in
    /// `fs/squashfs/id.c`, `squashfs_read_xattr_id_table` in `xattr_id.c`).
    fn last(&self, list: u64, bytes: u64, end: u64) -> io::Result<Vec<u64>> {
        match end.checked_sub(list) == Some(bytes.div_ceil(BLOCK as u64) * 8) {
            true => self.places(list, bytes),
            false => Err(bad("the last tables of the squashfs do not end where they should")),
        }
    }

    /// Of a packing that is not unpacked here: whether its blocks begin as those of another one. An inode begins with a small
    /// number, so that no block of LZO or LZ4 does.
    fn packing(&self) -> io::Result<()> {
        if !matches!(self.superblock.packing, 2 | 3 | 5) {
            return Ok(());
        }
        let (range, packed) = self.block(self.superblock.inode_table)?;
        let others: [&[u8]; 3] = [b"\x78\xda", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];
        let bytes = self.read(range)?;
        match packed && others.iter().any(|one| bytes.starts_with(one)) {
            true => Err(bad("the squashfs is packed otherwise than its superblock says")),
            false => Ok(()),
        }
    }

    /// The content of a block of a table; `None` where its packing is none that is known here.
    fn content(&self, at: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        let (range, packed) = self.block(at)?;
        let end = range.end;
        let bytes = self.read(range)?;
        if !packed {
            return Ok(Some((bytes, end)));
        }
        Ok(unpack_block(self.superblock.packing, &bytes, BLOCK)?.map(|bytes| (bytes, end)))
    }

    /// Every fragment lies within the data.
    fn fragments(&self, places: &[u64], data: &Range<u64>) -> io::Result<()> {
        let mut left = self.superblock.fragments as usize;
        for place in places {
            let Some((bytes, _)) = self.content(*place)? else {
                return Ok(());
            };
            for entry in bytes.chunks_exact(16).take(left.min(BLOCK / 16)) {
                left -= 1;
                let at = Fields(entry).le64(0).unwrap_or(NONE);
                let size = Fields(entry).le32(8).unwrap_or_default();
                self.within(at, u64::from(size & 0x00ff_ffff), data, "a fragment")?;
            }
        }
        match left {
            0 => Ok(()),
            _ => Err(bad("the squashfs lists fewer fragments than it says")),
        }
    }

    fn within(&self, at: u64, size: u64, data: &Range<u64>, what: &str) -> io::Result<()> {
        let inside = at >= data.start && at.checked_add(size).is_some_and(|end| end <= data.end);
        match inside {
            true => Ok(()),
            false => Err(outside(what)),
        }
    }

    /// Goes through all inodes: the data of every file lies where data is, and the one whose block begins at `root` is a directory.
    fn inodes(&self, root: u64) -> io::Result<()> {
        let sb = self.superblock;
        let mut reader = Blocks {
            tables: self,
            left: sb.inode_table..sb.directory_table,
            begin: sb.inode_table,
            content: Vec::new(),
            at: 0,
            unknown: false,
        };
        let mut is_rooted = false;
        for _ in 0..sb.inodes {
            let place = reader.place();
            match self.inode(&mut reader) {
                Err(_) if reader.unknown => return Ok(()),
                kind => is_rooted |= matches!(kind?, 1 | 8) && place == (root, (sb.root & 0xffff) as usize),
            }
        }
        match is_rooted {
            true => Ok(()),
            false => Err(bad("the root of the squashfs is not one of its directories")),
        }
    }

    /// One inode (`struct squashfs_*_inode`), and of which kind it is.
    fn inode(&self, reader: &mut Blocks<'_>) -> io::Result<u16> {
        let mut fixed = [0; 56];
        reader.read_exact(&mut fixed[..16])?;
        let kind = Fields(&fixed).le16(0).unwrap_or_default();
        let size = match kind {
            1 => 32,
            2 => 32,
            3 | 10 => 24,
            4 | 5 => 24,
            6 | 7 => 20,
            8 => 40,
            9 => 56,
            11 | 12 => 28,
            13 | 14 => 24,
            _ => return Err(bad("the squashfs has an inode of a kind that there is not")),
        };
        reader.read_exact(&mut fixed[16..size])?;
        let word = |at| Fields(&fixed).le32(at).unwrap_or_default();
        let long = |at| Fields(&fixed).le64(at).unwrap_or_default();
        match kind {
            2 => self.file(reader, word(16).into(), word(28).into(), word(20))?,
            9 => self.file(reader, long(16), long(24), word(44))?,
            3 => reader.skip(word(20).into())?,
            10 => reader.skip(u64::from(word(20)) + 4)?,
            8 => {
                for _ in 0..Fields(&fixed).le16(32).unwrap_or_default() {
                    let mut index = [0; 12];
                    reader.read_exact(&mut index)?;
                    reader.skip(u64::from(Fields(&index).le32(8).unwrap_or_default()) + 1)?;
                }
            }
            _ => (),
        }
        Ok(kind)
    }

    /// The list of a file's blocks, which stand one behind the other.
    fn file(&self, reader: &mut Blocks<'_>, start: u64, size: u64, fragment: u32) -> io::Result<()> {
        let sb = self.superblock;
        let block = u64::from(sb.block_size);
        let blocks = match fragment {
            NO_FRAGMENT => size.div_ceil(block),
            _ if fragment >= sb.fragments => {
                return Err(bad("a file of the squashfs is in a fragment that it has not"));
            }
            _ => size / block,
        };
        let mut length = 0;
        for _ in 0..blocks {
            let mut entry = [0; 4];
            reader.read_exact(&mut entry)?;
            length += u64::from(u32::from_le_bytes(entry) & 0x00ff_ffff);
        }
        match length {
            // Nothing but holes, or nothing at all: where it begins is not looked at.
            0 => Ok(()),
            _ => self.within(start, length, &(96..sb.inode_table), "the data of a file"),
        }
    }
}

/// What is in the blocks of a table, in order.
struct Blocks<'t> {
    tables: &'t Tables<'t>,
    left: Range<u64>,
    /// Where the block begins that was unpacked last.
    begin: u64,
    content: Vec<u8>,
    at: usize,
    /// Whether it ended because their packing is none that is known here.
    unknown: bool,
}

impl Blocks<'_> {
    /// Where the block begins in which the next byte is, and where that is in it.
    fn place(&self) -> (u64, usize) {
        match self.at == self.content.len() {
            true => (self.left.start, 0),
            false => (self.begin, self.at),
        }
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.take(bytes), &mut io::sink())?;
        match passed == bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.content.len() {
            if self.left.is_empty() {
                return Err(bad("the squashfs has fewer inodes than it says"));
            }
            let Some((content, end)) = self.tables.content(self.left.start)? else {
                self.unknown = true;
                return Ok(0);
            };
            self.content = content;
            self.at = 0;
            self.begin = self.left.start;
            self.left.start = end;
        }
        let take = buffer.len().min(self.content.len() - self.at);
        buffer[..take].copy_from_slice(&self.content[self.at..self.at + take]);
        self.at += take;
        Ok(take)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_begins_at_the_end_of_all_numbers_is_outside() {
        let mut head = [0; 96];
        head[12..16].copy_from_slice(&4096u32.to_le_bytes());
        let superblock = Superblock::of(&head);
        let tables = Tables {
            store: &Store::Memory(Vec::new()),
            start: 0,
            superblock: &superblock,
        };
        let mut one_block = Blocks {
            tables: &tables,
            left: 0..0,
            begin: 0,
            content: 4096u32.to_le_bytes().to_vec(),
            at: 0,
            unknown: false,
        };
        let found = tables.file(&mut one_block, u64::MAX, 4096, NO_FRAGMENT);
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
