//! POSIX `cksum`: what the recovery pages of the QNAP boxes identify their boot loaders by
//! ("Recovery mode of the QNAP TS-109"). The algorithm stands in POSIX, under `cksum`.
//!
//! It is not zlib's CRC-32: another bit order, another start, and the length at the end.

#![forbid(unsafe_code)]

use crc::{CRC_32_CKSUM, CRC_32_ISO_HDLC, Crc, Digest, NoTable};

/// zlib's CRC-32, which U-Boot, cramfs, jffs2 and many others use.
pub static CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The kernel's `crc32_le`, from this start on: zlib's without the inversion at the end, by the same table.
pub struct Crc32Le(pub u32);

impl Crc32Le {
    /// A checksum in the making.
    pub fn digest(&self) -> Crc32LeDigest {
        Crc32LeDigest(CRC32.digest_with_initial(self.0))
    }

    /// That of these bytes.
    pub fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut digest = self.digest();
        digest.update(bytes);
        digest.finalize()
    }
}

/// A `crc32_le` in the making.
#[derive(Clone)]
pub struct Crc32LeDigest(Digest<'static, u32>);

impl Crc32LeDigest {
    /// Takes these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum.
    pub fn finalize(self) -> u32 {
        !self.0.finalize()
    }
}

// Bit by bit: it looks at half a megabyte now and then, and a table would weigh a kilobyte on the device.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_CKSUM);

/// A checksum in the making.
#[derive(Clone)]
pub struct Cksum {
    digest: Digest<'static, u32, NoTable>,
    length: u64,
}

impl Default for Cksum {
    fn default() -> Cksum {
        static STEADY: Crc<u32, NoTable> = CRC;
        Cksum {
            digest: STEADY.digest(),
            length: 0,
        }
    }
}

impl Cksum {
    /// Takes these bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The first number that `cksum` prints.
    pub fn finish(mut self) -> u32 {
        // The length follows, its least significant byte first, in as few bytes as it needs.
        let length = self.length.to_le_bytes();
        let needed = length.len() - self.length.leading_zeros() as usize / 8;
        self.digest.update(&length[..needed]);
        self.digest.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What GNU cksum prints for them.
    #[test]
    fn the_documented_values() {
        let of = |bytes: &[u8]| {
            let mut sum = Cksum::default();
            bytes.chunks(1000).for_each(|chunk| sum.update(chunk));
            sum.finish()
        };
        assert_eq!(of(b""), 4_294_967_295);
        assert_eq!(of(b"a"), 1_220_704_766);
        assert_eq!(of(b"123456789"), 930_766_865);
        assert_eq!(of(&vec![0xff; 512 << 10]), 4_249_103_476);
    }
}
