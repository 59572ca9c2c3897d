//! U-Boot's legacy image (`include/image.h`): 64 bytes of big-endian header, then the data, both under a CRC-32.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::format::Format;
use crate::base::machine::{Arch, Role};
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use std::io;
use std::ops::Range;

const MAGIC: u32 = 0x2705_1956;
/// Bytes of the header.
pub const HEADER: u64 = 64;

/// Recognises a uImage and checks both of its CRCs.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut header = [0; HEADER as usize];
    if !store.read_head(range, &mut header)? || Fields(&header).be32(0) != Some(MAGIC) {
        return Ok(None);
    }
    let field = |at| Fields(&header).be32(at).unwrap_or_default();
    let data = u64::from(field(12));
    let title = String::from_utf8_lossy(&header[32..])
        .trim_end_matches('\0')
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    // include/image.h of U-Boot: types 2 kernel, 3 ramdisk, 4 multi (a kernel with its ramdisk).
    let role = match header[30] {
        2 | 4 => Role::Kernel,
        3 => Role::Ramdisk,
        _ => Role::Other,
    };
    // The header does not say for which byte order of MIPS its data is.
    let mut content = Content {
        length: HEADER + data,
        arch: match header[29] {
            2 => Some(Arch::Arm),
            3 | 24 => Some(Arch::X86),
            5 => Some(Arch::Mips),
            22 => Some(Arch::Aarch64),
            _ => None,
        },
        title,
        ..Content::new(Format::Uimage, role)
    };
    // The header's own CRC is made with its field zero.
    let mut blank = header;
    blank[4..8].fill(0);
    if CRC32.checksum(&blank) != field(4) {
        content.problem = Some("the uImage header fails its CRC".into());
    } else if content.length <= range.end - range.start {
        let at = range.start + HEADER;
        let mut digest = CRC32.digest();
        store.scan(at..at + data, |chunk| digest.update(chunk))?;
        if digest.finalize() != field(24) {
            content.problem = Some("the uImage data fails its CRC".into());
        }
    }
    Ok(Some(content))
}
