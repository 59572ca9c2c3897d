//! One frame of zstd. Not ruzstd's own `StreamingDecoder`: it wraps each of some sixty errors with the texts of all, which
//! nobody reads here, and they are a hundredth of the device binary.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::bytes::packed::WINDOW;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, Read};

/// A frame that is being unpacked.
pub(super) struct Zstd<R> {
    decoder: FrameDecoder,
    input: R,
    /// Bytes that its head says are to come.
    left: Option<u64>,
}

impl<R: BufRead> Zstd<R> {
    /// Reads the head of the frame.
    ///
    /// # Errors
    /// The head makes no sense, or asks for more memory than a frame may have.
    pub(super) fn begin(mut input: R) -> io::Result<Zstd<R>> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        // ruzstd tells no length of 0 from none, and passes over the bit that is reserved (RFC 8878, 3.1.1.1.1).
        let descriptor = input.fill_buf()?.get(4).copied().unwrap_or_default();
        match decoder.init(&mut input) {
            Ok(()) if descriptor & 8 == 0 => Ok(Zstd {
                left: (descriptor & 0xe0 != 0).then(|| decoder.content_size()),
                decoder,
                input,
            }),
            _ => Err(bad("a frame's header makes no sense")),
        }
    }

    /// What it was read from, behind the frame of which everything was read.
    ///
    /// # Errors
    /// The frame has a checksum and fails it, or is shorter than it says.
    pub(super) fn end(self) -> io::Result<R> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(bad("a frame is shorter than it says"));
        }
        let listed = self.decoder.get_checksum_from_data();
        if listed.is_some() && listed != self.decoder.get_calculated_checksum() {
            return Err(bad("a frame fails its checksum"));
        }
        Ok(self.input)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if self.decoder.decode_blocks(&mut self.input, one).is_err() {
                return Err(bad("a block makes no sense"));
            }
        }
        let got = self.decoder.read(buffer)?;
        if let Some(left) = &mut self.left {
            let less = left.checked_sub(got as u64);
            *left = less.ok_or_else(|| bad("a frame is longer than it says"))?;
        }
        Ok(got)
    }
}
