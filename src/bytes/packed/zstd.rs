//! One frame of zstd. Not ruzstd's own `StreamingDecoder`: it wraps each of some sixty errors with the texts of all, which
//! nobody reads here, and they are a hundredth of the device binary.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::bytes::packed::WINDOW;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, Read};

/// A frame that is being unpacked.
pub(super) struct Zstd<R> {
    decoder: FrameDecoder,
    input: R,
}

impl<R: Read> Zstd<R> {
    /// Reads the head of the frame.
    ///
    /// # Errors
    /// The head makes no sense, or asks for more memory than a frame may have.
    pub(super) fn begin(mut input: R) -> io::Result<Zstd<R>> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        match decoder.init(&mut input) {
            Ok(()) => Ok(Zstd { decoder, input }),
            Err(_) => Err(bad("a frame's header makes no sense")),
        }
    }

    /// What it was read from, behind the frame of which everything was read.
    ///
    /// # Errors
    /// The frame has a checksum and fails it.
    pub(super) fn end(self) -> io::Result<R> {
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
        self.decoder.read(buffer)
    }
}
