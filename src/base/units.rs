//! Numbers as people read them.

#![forbid(unsafe_code)]

use std::fmt;

/// A number of bytes; prints as `2 MiB`, `1.7 MiB`, `459,100 bytes` — exact below 10 KiB and whole units
/// without a fraction.
#[derive(Clone, Copy)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        let bytes = self.0;
        let (unit, name) = if bytes >= MIB { (MIB, "MiB") } else { (KIB, "KiB") };
        if bytes < 10 * KIB && !bytes.is_multiple_of(KIB) || bytes == 0 {
            return write!(f, "{} bytes", Grouped(bytes));
        }
        // Fractions by integers: floating point formatting costs 20 kB on the device.
        let tenths = (bytes % unit) * 10 / unit;
        match bytes.is_multiple_of(unit) {
            true => write!(f, "{} {name}", bytes / unit),
            false => write!(f, "{}.{tenths} {name}", bytes / unit),
        }
    }
}

/// So many of something: `1 page`, `12 pages`.
#[derive(Clone, Copy)]
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// A number of erase blocks: `1 erase block`, `12 erase blocks`.
#[derive(Clone, Copy)]
pub struct Blocks(pub u64);

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Count(self.0, "erase block").fmt(f)
    }
}

/// A number with its thousands apart: `1,153,434`.
#[derive(Clone, Copy)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A time as people say it who do not know better: `8 s`, `3 min`.
#[derive(Clone, Copy)]
pub struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..100 => write!(f, "{} s", self.0),
            seconds => write!(f, "{} min", seconds.div_ceil(60)),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Numbers out of bytes from outside. A read past the end is `None`: every length there may lie.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    /// A big-endian 32-bit number.
    pub fn be32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// A little-endian 32-bit number.
    pub fn le32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// A little-endian 64-bit number.
    pub fn le64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// A little-endian 16-bit number.
    pub fn le16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1024, "1 KiB"),
            (459, "459 bytes"),
            (9_999, "9,999 bytes"),
            (459_100, "448.3 KiB"),
            (2 << 20, "2 MiB"),
            (7_919_104, "7.5 MiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Grouped(1_153_434).to_string(), "1,153,434");
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
    }

    #[test]
    fn a_field_past_the_end_is_none() {
        assert_eq!(Fields(&[1, 2, 3]).be32(0), None);
        assert_eq!(Fields(&[0; 8]).le64(usize::MAX), None);
    }
}
