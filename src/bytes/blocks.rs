//! What is on this box already, block by block, so that `flasher push` need not send it: the sender is told the checksums of
//! the blocks, and names those that the image has too.

#![forbid(unsafe_code)]

use mtd_rs::Flash;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of the largest block that is told: larger erase blocks are told in parts.
pub const LARGEST: usize = 64 << 10;

/// What the bytes before count more than the next one: Knuth's multiplier, which is odd.
const MULTIPLIER: u32 = 2_654_435_769;

/// A checksum that can roll: a polynomial of the bytes modulo 2^32. The sums of `adler32` and rsync will not do for blocks of
/// 64 KiB: they are the same for all that is one byte repeated.
pub fn weak(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum: u32, byte| push(sum, *byte))
}

fn push(sum: u32, byte: u8) -> u32 {
    sum.wrapping_mul(MULTIPLIER).wrapping_add(u32::from(byte) + 1)
}

/// Rolls over bytes: what the checksum is one further on follows from the byte that went and the one that came.
#[cfg(feature = "host")]
pub struct Rolling {
    /// What the first of the bytes counts.
    first: u32,
}

#[cfg(feature = "host")]
impl Rolling {
    /// For so many bytes.
    pub fn over(length: usize) -> Rolling {
        let power = |first: u32, _| first.wrapping_mul(MULTIPLIER);
        Rolling {
            first: (1..length).fold(1, power),
        }
    }

    /// One further on.
    pub fn roll(&self, sum: u32, gone: u8, come: u8) -> u32 {
        push(sum.wrapping_sub(self.first.wrapping_mul(u32::from(gone) + 1)), come)
    }
}

/// Where blocks are.
pub enum Device {
    /// A partition.
    Flash(Box<dyn Flash>),
    /// What arrived of an image before.
    File(File),
}

impl Device {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Device::Flash(flash) => flash.read(offset, buffer).map_err(io::Error::other),
            Device::File(file) => file.read_exact_at(buffer, offset),
        }
    }
}

/// The blocks, by the order in which they were told.
#[derive(Default)]
pub struct Blocks {
    devices: Vec<Device>,
    blocks: Vec<(usize, Range<u64>)>,
}

impl Blocks {
    /// Adds a device, and tells the rolling checksum and the SHA-256 of each block of these ranges. One that cannot be read is
    /// left out.
    pub fn add(&mut self, mut device: Device, ranges: &[Range<u64>], told: &mut dyn FnMut(usize, u32, &[u8])) {
        let mut buffer = Vec::with_capacity(LARGEST);
        for range in ranges {
            for start in range.clone().step_by(LARGEST) {
                let block = start..range.end.min(start + LARGEST as u64);
                let length = (block.end - start) as usize;
                buffer.resize(length, 0);
                if device.read(start, &mut buffer).is_ok() {
                    self.blocks.push((self.devices.len(), block));
                    told(length, weak(&buffer), &Sha256::digest(&buffer));
                }
            }
        }
        self.devices.push(device);
    }

    /// The bytes of one of them, as they are now.
    ///
    /// # Errors
    /// Those of reading, and a number that was never told.
    pub fn read(&mut self, number: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (device, block) = self.blocks.get(number).ok_or(io::ErrorKind::InvalidData)?;
        buffer.resize((block.end - block.start) as usize, 0);
        let device = self.devices.get_mut(*device).ok_or(io::ErrorKind::InvalidData)?;
        device.read(block.start, buffer)
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;

    #[test]
    fn the_rolling_checksum_is_that_of_the_bytes_themselves() {
        let bytes: Vec<u8> = (0..200_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        for length in [1, 2, 512, 65_536, 131_072] {
            let rolling = Rolling::over(length);
            let mut sum = weak(&bytes[..length]);
            for at in 1..500 {
                sum = rolling.roll(sum, bytes[at - 1], bytes[at - 1 + length]);
                assert_eq!(sum, weak(&bytes[at..at + length]), "{length} {at}");
            }
        }
    }

    #[test]
    fn blocks_of_one_byte_have_checksums_of_their_own() {
        for length in [512, 4096, 65_536] {
            let sums: std::collections::BTreeSet<u32> = (0..=255).map(|byte| weak(&vec![byte; length])).collect();
            assert_eq!(sums.len(), 256, "{length}");
        }
    }
}
