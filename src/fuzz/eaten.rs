//! Decisions that are taken from the bytes of an input.

/// What is left of the input. At its end everything is zero.
pub struct Eaten<'a>(pub &'a [u8]);

impl Eaten<'_> {
    /// A number of so many bytes, at most four.
    pub fn number(&mut self, bytes: usize) -> u32 {
        (0..bytes).fold(0, |number, _| {
            let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
            self.0 = rest;
            number << 8 | u32::from(*first)
        })
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        let bytes = if limit > 256 { 4 } else { 1 };
        self.number(bytes) as usize % limit.max(1)
    }
}
