//! Something known behind a header that is not: most programs of vendors that install images have one of their own in front of
//! what then lies on flash, and there are more of them than anybody lists.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::format::Format;
use crate::base::units::Fields;
use crate::image::content::Content;
use crate::image::foreign;
use crate::image::ubi;

/// What is said of it; `None` where nothing known begins within these bytes. The first of them begin nothing that is known.
pub(super) fn behind_header(head: &[u8]) -> Option<Content> {
    let (at, format) = (1..head.len().saturating_sub(4)).find_map(|at| Some((at, begins(&head[at..])?)))?;
    let mut content = foreign::content(Format::Factory);
    content.title = format!("of 0x{at:x} bytes, behind which {} begins", format.described());
    Some(content)
}

/// What begins here, of what has more than four bytes to be told by: within a program some magic number is soon found.
fn begins(rest: &[u8]) -> Option<Format> {
    let fields = Fields(rest);
    let (format, is) = match rest.first_chunk::<4>()? {
        [0x27, 0x05, 0x19, 0x56] => {
            let mut header = *rest.first_chunk::<64>()?;
            header[4..8].fill(0);
            (Format::Uimage, fields.be32(4) == Some(CRC32.checksum(&header)))
        }
        [0xd0, 0x0d, 0xfe, 0xed] => {
            let versions = fields.be32(20) == Some(17) && fields.be32(24) == Some(16);
            (
                Format::Fit,
                versions && fields.be32(4).is_some_and(|length| length > 1024),
            )
        }
        b"HDR0" => {
            let length = fields.le32(4)?;
            let inside = matches!(fields.le32(12)? >> 16, 1 | 2) && (28..length).contains(&fields.le32(16)?);
            (Format::Trx, inside)
        }
        [0x5e, 0xa3, 0xa4, 0x17] => (Format::Seama, rest.get(4..6) == Some(&[0, 0])),
        b"hsqs" => {
            let log = fields.le16(22).map(u32::from);
            let log = log.is_some_and(|log| log < 32 && fields.le32(12) == Some(1 << log));
            (Format::Squashfs, log && fields.le16(28) == Some(4))
        }
        [0x45, 0x3d, 0xcd, 0x28] | [0x28, 0xcd, 0x3d, 0x45] => {
            (Format::Cramfs, rest.get(16..32) == Some(b"Compressed ROMFS"))
        }
        b"UBI#" => (Format::Ubi, ubi::erase_counter(rest).is_some()),
        _ => return None,
    };
    is.then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_number_alone_is_nothing() {
        for magic in [
            &b"\x27\x05\x19\x56"[..],
            b"HDR0",
            b"hsqs",
            b"UBI#",
            b"\xd0\x0d\xfe\xed",
            b"\x5e\xa3\xa4\x17",
        ] {
            let mut program = vec![0x40; 600];
            program[300..300 + magic.len()].copy_from_slice(magic);
            assert_eq!(behind_header(&program), None, "{magic:?}");
            program.truncate(300 + magic.len());
            assert_eq!(behind_header(&program), None, "{magic:?}, cut off");
        }
    }
}
