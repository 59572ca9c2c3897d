//! The SHA-256 of what was delivered, made of bytes that somebody else reads anyway: who compares an image with the flash need not
//! read it a second time for its checksum.

#![forbid(unsafe_code)]

use crate::base::units::hex;
use crate::bytes::store::Store;
use sha2::{Digest, Sha256};
use std::io;
use std::time::{Duration, Instant};

/// A checksum in the making.
pub struct Hashing {
    hash: Sha256,
    /// How many bytes are in it.
    at: u64,
    /// Bytes that were delivered.
    end: u64,
    /// Whether it is wanted even of what is on the flash already.
    pub at_once: bool,
    /// How long it took so far.
    pub spent: Duration,
}

impl Hashing {
    /// Of this store; `None` where its bytes are other ones than were delivered.
    pub fn of(store: &Store, at_once: bool) -> Option<Hashing> {
        is_as_delivered(store).then(|| Hashing {
            hash: Sha256::new(),
            at: 0,
            end: store.delivered_length(),
            at_once,
            spent: Duration::ZERO,
        })
    }

    /// Takes in what was read at this offset, and what was left out in front of it.
    ///
    /// # Errors
    /// Those of reading what was left out.
    pub fn take(&mut self, store: &Store, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let begun = Instant::now();
        self.catch_up(store, offset.min(self.end), &mut |_| ())?;
        let end = self.end.min(offset.saturating_add(bytes.len() as u64));
        if self.at < end {
            self.hash
                .update(&bytes[(self.at - offset) as usize..(end - offset) as usize]);
            self.at = end;
        }
        self.spent += begun.elapsed();
        Ok(())
    }

    fn catch_up(&mut self, store: &Store, until: u64, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
        let Hashing { hash, at, .. } = self;
        store.scan(*at..until, |chunk| {
            hash.update(chunk);
            *at += chunk.len() as u64;
            progress(*at);
        })
    }

    /// It, in lower-case hexadecimal, with what is still left out. `progress` is told the bytes so far.
    ///
    /// # Errors
    /// Those of reading.
    pub fn finish(mut self, store: &Store, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
        self.catch_up(store, self.end, progress)?;
        Ok(hex(&self.hash.finalize()))
    }
}

/// Whether a store begins with the bytes as they were delivered, all of them.
pub(super) fn is_as_delivered(store: &Store) -> bool {
    match store {
        Store::Packed(_) => false,
        Store::Joined(joined) => joined.is_as_delivered(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_the_same_in_whatever_pieces_and_order_the_bytes_come() {
        let bytes: Vec<u8> = (0..100_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
            .collect();
        let store = Store::Memory(bytes.clone());
        let wanted = store.sha256(&mut |_| ()).unwrap();
        let orders: [&[(usize, usize)]; 6] = [
            &[],
            &[(0, 100_000)],
            &[(50_000, 60_000), (0, 10), (55_000, 70_000)],
            &[(10, 20), (20, 40_000), (39_999, 40_001), (99_999, 100_000)],
            &[(0, 0), (100_000, 100_000)],
            &[(7, 7), (3, 5), (4, 9)],
        ];
        for order in orders {
            let mut hashing = Hashing::of(&store, false).unwrap();
            for (from, to) in order {
                hashing.take(&store, *from as u64, &bytes[*from..*to]).unwrap();
            }
            assert_eq!(hashing.finish(&store, &mut |_| ()).unwrap(), wanted, "{order:?}");
        }
    }
}
