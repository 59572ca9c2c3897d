//! What identifies a partition: a number that the kernel gave out, never a name.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

/// An MTD device or a UBI volume.
///
/// Names are no identity: two partitions may have the same one. Prints as `mtd3` or `ubi0_1`, and parses exactly that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartitionId {
    /// N of `mtdN`.
    Mtd(u32),
    /// A volume of a UBI device.
    Volume {
        /// N of `ubiN_M`.
        ubi: u32,
        /// M of `ubiN_M`.
        id: u32,
    },
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionId::Mtd(index) => write!(f, "mtd{index}"),
            PartitionId::Volume { ubi, id } => write!(f, "ubi{ubi}_{id}"),
        }
    }
}

/// The text is neither `mtdN` nor `ubiN_M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither mtdN nor ubiN_M")
    }
}

impl std::error::Error for ParseIdError {}

impl FromStr for PartitionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let id = match text.strip_prefix("mtd") {
            Some(index) => number(index, 10).map(PartitionId::Mtd),
            None => text
                .strip_prefix("ubi")
                .and_then(|rest| rest.split_once('_'))
                .and_then(|(ubi, id)| {
                    Some(PartitionId::Volume {
                        ubi: number(ubi, 10)?,
                        id: number(id, 10)?,
                    })
                }),
        };
        // The kernel writes no zeros in front, and each partition shall have one spelling.
        id.filter(|id| id.to_string() == text).ok_or(ParseIdError)
    }
}

/// Digits of this radix and nothing else, where std takes a sign too; `None` also for what is too large.
pub(crate) fn number<T: TryFrom<u64>>(digits: &str, radix: u32) -> Option<T> {
    let number = u64::from_str_radix(digits, radix).ok()?;
    T::try_from(number).ok().filter(|_| !digits.starts_with('+'))
}

/// Major and minor number, as the attribute `dev` has them: `31:2`.
pub(crate) fn device_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((number(major, 10)?, number(minor, 10)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_parsed() {
        for id in [
            PartitionId::Mtd(0),
            PartitionId::Mtd(u32::MAX),
            PartitionId::Volume { ubi: 0, id: 12 },
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(PartitionId::Mtd(3).to_string(), "mtd3");
        assert_eq!(PartitionId::Volume { ubi: 0, id: 1 }.to_string(), "ubi0_1");
    }

    #[test]
    fn a_sign_is_no_digit() {
        assert_eq!(number("042", 10), Some(42_u32));
        assert_eq!(number("0fF", 16), Some(255_u64));
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1_0"] {
            assert_eq!(number::<u64>(text, 10), None, "{text:?}");
            assert_eq!(number::<u64>(text, 16), None, "{text:?}");
        }
        assert_eq!(number::<u32>("4294967296", 10), None);
        assert_eq!(number::<u64>("18446744073709551616", 10), None);
        assert_eq!(device_number("90:12"), Some((90, 12)));
        for text in ["", "90", "90:", ":2", "90:2:3", "+90:2", "90:+2", "90: 2"] {
            assert_eq!(device_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            "mtd",
            "mtd+1",
            "mtd-1",
            "mtd1 ",
            " mtd1",
            "mtd1ro",
            "mtd01",
            "ubi0_01",
            "mtd4294967296",
            "mtdblock1",
            "ubi0",
            "ubi_1",
            "ubi0_",
            "ubi0_+1",
            "ubi0_1_2",
            "ubiblock0_1",
            "MTD1",
            "1",
        ] {
            assert_eq!(text.parse::<PartitionId>(), Err(ParseIdError), "{text:?}");
        }
    }
}
