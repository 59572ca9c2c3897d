//! Several stores, one behind the other: the files of one update, or an archive and what comes out of its packed members.

#![forbid(unsafe_code)]

use crate::bytes::hashing::is_as_delivered;
use crate::bytes::store::Store;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Stores, one behind the other.
pub struct Joined {
    pieces: Vec<Arc<Store<'static>>>,
    /// How many of them, from the front, were delivered; the others are made of those.
    delivered: usize,
    /// The one that was read last.
    last: AtomicUsize,
    /// One reader at a time, so that no two decoders have their windows.
    turn: Mutex<()>,
}

impl Joined {
    /// Of files that were delivered.
    pub fn files(pieces: Vec<Arc<Store<'static>>>) -> Joined {
        let delivered = pieces.len();
        Joined::new(pieces, delivered)
    }

    /// Of an archive, and behind it what comes out of some of its members.
    pub fn members(archive: Arc<Store<'static>>, members: Vec<Store<'static>>) -> Joined {
        let pieces = std::iter::once(archive).chain(members.into_iter().map(Arc::new));
        Joined::new(pieces.collect(), 1)
    }

    /// As a store; one alone needs no joining.
    pub fn into_store(mut self) -> Store<'static> {
        match self.pieces.len() {
            1 => match Arc::try_unwrap(self.pieces.remove(0)) {
                Ok(only) => only,
                Err(shared) => {
                    self.pieces.push(shared);
                    Store::Joined(self)
                }
            },
            _ => Store::Joined(self),
        }
    }

    fn new(pieces: Vec<Arc<Store<'static>>>, delivered: usize) -> Joined {
        Joined {
            pieces,
            delivered,
            last: AtomicUsize::new(0),
            turn: Mutex::default(),
        }
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    /// The stores as they were delivered.
    pub(super) fn delivered(&self) -> Vec<&Store<'_>> {
        let delivered = self.pieces.iter().take(self.delivered);
        delivered.flat_map(|piece| piece.delivered()).collect()
    }

    /// Whether it begins with the bytes as they were delivered, all of them.
    pub(super) fn is_as_delivered(&self) -> bool {
        let mut delivered = self.pieces.iter().take(self.delivered);
        delivered.all(|piece| is_as_delivered(piece))
    }

    /// The stores, in their order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Store<'_>> {
        self.pieces.iter().map(|piece| &**piece)
    }

    /// Fills the buffer from this offset. Only one decoder is kept at a time: what it takes is in no plan twice.
    pub(super) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = 0;
        let mut done = 0;
        for (index, piece) in self.pieces.iter().enumerate() {
            let end = start + piece.len();
            let at = offset + done as u64;
            if done < buffer.len() && (start..end).contains(&at) {
                let take = buffer.len().min(done + (end - at) as usize) - done;
                let last = self.last.swap(index, Ordering::Relaxed);
                if last != index
                    && let Some(last) = self.pieces.get(last)
                {
                    last.rest();
                }
                piece.read_exact_at(at - start, &mut buffer[done..done + take])?;
                done += take;
            }
            start = end;
        }
        match done == buffer.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(pieces: &[&[u8]]) -> Joined {
        let store = |piece: &&[u8]| Arc::new(Store::Memory(piece.to_vec()));
        Joined::files(pieces.iter().map(store).collect())
    }

    #[test]
    fn every_range_reads_as_one_store_would() {
        let joined = of(&[b"abc", b"d", b"efgh"]);
        let whole = b"abcdefgh";
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut buffer = vec![0; to - from];
                joined.read_exact_at(from as u64, &mut buffer).unwrap();
                assert_eq!(buffer, whole[from..to]);
            }
        }
        assert!(joined.read_exact_at(7, &mut [0; 2]).is_err());
        assert!(joined.read_exact_at(8, &mut [0]).is_err());
    }

    #[test]
    fn what_was_delivered_is_hashed_as_if_it_were_one_file() {
        let sum = |store: Store| store.sha256(&mut |_| ()).unwrap();
        let one = sum(Store::Memory(b"abcdefgh".to_vec()));
        assert_eq!(sum(Store::Joined(of(&[b"abc", b"d", b"efgh"]))), one);
        let archive = Arc::new(Store::Memory(b"abcdefgh".to_vec()));
        let member = Store::Window(Arc::clone(&archive), 2..4);
        let joined = Joined::members(archive, vec![member]);
        let mut buffer = [0; 3];
        joined.read_exact_at(7, &mut buffer).unwrap();
        assert_eq!(&buffer, b"hcd");
        assert_eq!(sum(Store::Joined(joined)), one);
    }
}
