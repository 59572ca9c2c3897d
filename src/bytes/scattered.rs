//! Blocks of a store in another order than they lie there, as the erase blocks of a volume of UBI do.

#![forbid(unsafe_code)]

use crate::bytes::store::Store;
use std::io;

/// Blocks of a store, one behind the other.
pub struct Scattered<'a> {
    /// Where they lie.
    pub store: &'a Store<'a>,
    /// Bytes in a block, not 0.
    pub size: u64,
    /// The number of each and where in the store it begins; ascending numbers. What is between them reads as 0xff, as the
    /// kernel has it.
    pub blocks: &'a [(u32, u64)],
    /// Bytes in all.
    pub length: u64,
}

impl Scattered<'_> {
    /// Fills the buffer from this offset.
    pub(super) fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !buffer.is_empty() {
            let within = offset % self.size;
            let take = (self.size - within).min(buffer.len() as u64);
            let (front, rest) = buffer.split_at_mut(take as usize);
            let number = offset / self.size;
            match self
                .blocks
                .binary_search_by_key(&number, |(number, _)| u64::from(*number))
            {
                Ok(found) => self.store.read_exact_at(self.blocks[found].1 + within, front)?,
                Err(_) => front.fill(0xff),
            }
            (offset, buffer) = (offset + take, rest);
        }
        Ok(())
    }
}
