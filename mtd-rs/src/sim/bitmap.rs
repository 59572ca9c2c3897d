//! One bit a block or page: bookkeeping that must stay small on a box of 32 MiB.
#![forbid(unsafe_code)]

use std::ops::Range;

#[derive(Clone, Default)]
pub(super) struct Bitmap {
    bytes: Vec<u8>,
}

impl Bitmap {
    /// A map of `bits` bits, all clear.
    pub(super) fn new(bits: usize) -> Self {
        Bitmap {
            bytes: vec![0; bits.div_ceil(8)],
        }
    }

    /// The bit; clear behind the end.
    pub(super) fn get(&self, bit: usize) -> bool {
        self.bytes.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 != 0)
    }

    /// Changes the bit; nothing happens behind the end.
    pub(super) fn set(&mut self, bit: usize, value: bool) {
        if let Some(byte) = self.bytes.get_mut(bit / 8) {
            let mask = 1 << (bit % 8);
            *byte = if value { *byte | mask } else { *byte & !mask };
        }
    }

    pub(super) fn set_all(&mut self, bits: Range<usize>, value: bool) {
        for bit in bits {
            self.set(bit, value);
        }
    }

    pub(super) fn any(&self, mut bits: Range<usize>) -> bool {
        bits.any(|bit| self.get(bit))
    }

    pub(super) fn count(&self, bits: Range<usize>) -> usize {
        bits.filter(|bit| self.get(*bit)).count()
    }
}
