//! Files that are known and do not lie on flash as they are – archives, packings that are not unpacked here, documents,
//! programs, copies of disks – and headers of vendors, each by its magic number.
//!
//! To be known here is to be refused by name; what a box takes all the same its profile says.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::{Arch, Processor, Role};
use crate::base::units::Fields;
use crate::bytes::packed::Codec;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::signs::{SIGNS, Sign};
use crate::image::{hidden, zimage};
use std::io;
use std::ops::Range;

/// Bytes at the beginning that are looked at.
const HEAD: u64 = 8 << 10;
/// What stands behind them: the first descriptor of a CD or a DVD, behind its first sixteen sectors (ECMA-119, 6.2.1 and 8.1.2,
/// ECMA-167, 2/9.1), and the super blocks of Btrfs (`fs/btrfs/fs.h`), JFS and ReiserFS.
const FAR: &[(u64, &[u8], Format)] = &[
    (0x8001, b"CD001", Format::Iso),
    (0x8001, b"BEA01", Format::Iso),
    (0x1_0040, b"_BHRfS_M", Format::Btrfs),
    (0x8000, b"JFS1", Format::Disk),
    (0x1_0034, b"ReIsEr", Format::Disk),
];
/// Bytes at the end: footers.
const TAIL: u64 = 512;

/// Recognises what is not content of flash, and the few kinds of content that say nothing but what they are.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let head = store.bytes(&(range.start..range.end.min(range.start + HEAD)))?;
    let format = match of_head(&head) {
        Some(format) => Some(format),
        None => match of_tail(store, range)? {
            Some(format) => Some(format),
            None => far_behind(store, range)?.or_else(|| Codec::recognise(&head).map(Codec::format)),
        },
    };
    let mut found = format.map(content);
    if found.is_none() {
        found = hidden::behind_header(&head);
    }
    if let Some(content) = found.as_mut().filter(|content| content.format == Format::Zimage) {
        content.arch = Some(Processor::Known(Arch::Arm));
        content.length = zimage::length(&Fields(&head)).unwrap_or(u64::MAX);
        content.with_tree(zimage::tree_of(store, range))?;
    }
    if let Some(content) = &mut found {
        match content.format {
            Format::Arm64Image => content.arch = Some(Processor::Known(Arch::Aarch64)),
            Format::RiscvImage => content.arch = Some(Processor::Other("riscv".to_owned())),
            Format::BzImage => content.arch = Some(Processor::Known(Arch::X86)),
            Format::Zimage => (),
            format => content.length = length(format, &head),
        }
    }
    Ok(found)
}

fn far_behind(store: &Store, range: &Range<u64>) -> io::Result<Option<Format>> {
    for (at, magic, format) in FAR {
        let mut found = [0; 8];
        let found = &mut found[..magic.len()];
        if range.start + at + found.len() as u64 <= range.end {
            store.read_exact_at(range.start + at, found)?;
            if found == *magic {
                return Ok(Some(*format));
            }
        }
    }
    Ok(None)
}

/// How long a file system is by its super block: `fs/ext2/ext2.h`, `fs/erofs/erofs_fs.h`, `include/linux/f2fs_fs.h`,
/// `include/uapi/linux/romfs_fs.h`; longer than any where that makes no sense or is cut off. 0 for anything else.
fn length(format: Format, head: &[u8]) -> u64 {
    let fields = Fields(head);
    let field = |at| fields.le32(at).map(u64::from);
    let (blocks, bits) = match format {
        Format::Ext => (field(0x404), fields.le32(0x418).and_then(|bits| bits.checked_add(10))),
        Format::Erofs => (field(0x424), head.get(0x40c).copied().map(u32::from)),
        Format::F2fs => (fields.le64(0x424), fields.le32(0x410)),
        Format::Romfs => (fields.be32(8).map(u64::from), Some(0)),
        _ => return 0,
    };
    let size = bits.and_then(|bits| blocks?.checked_mul(1u64.checked_shl(bits)?));
    size.filter(|size| *size > 0).unwrap_or(u64::MAX)
}

/// What is known of a format that says nothing but what it is.
pub(super) fn content(format: Format) -> Content {
    let role = match format {
        Format::Zimage | Format::Arm64Image | Format::RiscvImage | Format::BzImage => Role::Kernel,
        Format::Ext | Format::Erofs | Format::Romfs | Format::F2fs | Format::Fat => Role::Filesystem,
        _ => Role::Other,
    };
    let mut content = Content::new(format, role);
    content.title = format.described().to_owned();
    content.checked = false;
    content
}

/// What the first bytes say; `None` for nothing that is known. Whoever looks at flash has only these.
pub fn of_head(head: &[u8]) -> Option<Format> {
    let stands = |(at, magic, _): &&Sign| head.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    let format = SIGNS.iter().find(stands).map(|(_, _, format)| *format);
    match format {
        // The first member of a package for SWUpdate ("SWUpdate: software management", its documentation).
        Some(Format::Cpio) if first_member(head) == Some(b"sw-description") => Some(Format::Swu),
        Some(format) => Some(format),
        None => by_structure(head),
    }
}

/// The name of the first member of a cpio in the new format: its length stands at 94, itself at 110 (cpio(5)).
fn first_member(head: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(super::cpio::number(head, 94)?).ok()?;
    head.get(110..110usize.checked_add(length)?.checked_sub(1)?)
}

/// What has no magic number of at least four bytes, and so is looked at more closely.
fn by_structure(head: &[u8]) -> Option<Format> {
    let fields = Fields(head);
    // The magic of ext2, and one of the states that its super block can have (`fs/ext2/ext2.h`).
    let ext = fields.le16(0x438) == Some(0xef53) && fields.le16(0x43a).is_some_and(|state| state <= 7);
    // Windows, or a kernel that EFI starts, which was found by its own magic number.
    let exe = head.starts_with(b"MZ")
        && fields
            .le32(60)
            .and_then(|at| head.get(at as usize..))
            .is_some_and(|rest| rest.starts_with(b"PE\0\0"));
    let open = head.starts_with(b"OPEN") && fields.be32(260) == head.get(..260).map(crc);
    let zynos = head.get(6..9) == Some(b"SIG") && head.get(9).is_some_and(|kind| matches!(kind, 1..=7 | 0x80..=0x82));
    // `mkrasimage.c`: sums and lengths of root, header and kernel, names filled up with 0xff.
    let sum = |at| fields.be32(at).is_some_and(|sum| sum <= 0xffff);
    let ras = sum(0) && sum(40) && sum(108) && head.get(116..512).is_some_and(|rest| rest == [0xff; 396]);
    // `edimax_fw_header.c`: two texts, and in their 94 bytes a sum of the others.
    let sums = head.get(..94).map(|header| {
        let sum = header.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        sum.wrapping_sub(header[49]) ^ 0xb9 == header[49]
    });
    let edimax = padded(head.get(..16)) && padded(head.get(16..48)) && sums == Some(true);
    // `belkin-header` of OpenWrt's `mt7621.mk`: length and CRC twice, and a mark.
    let belkin = head.get(28..32) == Some(b"\x5cx\0\0") && head.get(12..20) == head.get(20..28);
    // `mksenaofw.c`: the header ends with it, and begins with zeros.
    let senao = head.get(92..96) == Some(&[0x12, 0x34, 0x56, 0x78]) && head.starts_with(&[0; 4]);
    // `mkporayfw.c`: model, length, flags that are always these, and sixteen zeros.
    let poray = fields.le32(8) == Some(0x020e_0000) && head.get(12..28) == Some(&[0; 16]);
    // `mkplanexfw.c`: SHA-1, a version such as 1.00.00, the model, and a length in erase blocks.
    let version = |text: &[u8]| matches!(text, [a, b'.', b, c, b'.', d, e, 0] if [a, b, c, d, e].iter().all(|c| c.is_ascii_digit()));
    let planex = head.get(20..28).is_some_and(version)
        && fields
            .be32(30)
            .is_some_and(|length| length > 0 && length.trailing_zeros() >= 16);
    // Such as `openssl cms` makes it: a sequence that begins with the number of its kind.
    let cms = head.starts_with(&[0x30]) && head.get(..32).is_some_and(|begin| has(begin, &CMS));
    let found = [
        (cms, Format::Encrypted),
        (is_combined(head), Format::OpenwrtCombined),
        (is_kwbimage(head), Format::Kwbimage),
        (ext, Format::Ext),
        (exe, Format::Exe),
        (open, Format::Ubnt),
        (zynos || ras, Format::Zyxel),
        (belkin, Format::Belkin),
        (edimax, Format::Edimax),
        (senao, Format::Senao),
        (poray, Format::Poray),
        (planex, Format::Planex),
        (matches!(head.get(2..7), Some([b'-', b'l', b'h', _, b'-'])), Format::Lha),
        (is_old_cpio(head), Format::Cpio),
        (is_mbr(head), Format::Mbr),
    ];
    let known = found.into_iter().find(|(is, _)| *is).map(|(_, format)| format);
    known.or_else(|| text(head))
}

/// The lengths of kernel and root, and an MD5, all in text; what they are of begins at 64 KiB (`platform_check_image` of
/// OpenWrt's `ar71xx`, `scripts/combined-image.sh`).
fn is_combined(head: &[u8]) -> bool {
    head.starts_with(b"CI")
        && head
            .get(2..50)
            .is_some_and(|text| text.iter().all(u8::is_ascii_hexdigit))
}

/// A header of 32 bytes, which begins with where the processor finds it (`tools/kwbimage.h` of U-Boot). Of version 0 its last
/// byte is the sum of all others, of version 1 that of a header that may be longer than what is at hand.
fn is_kwbimage(head: &[u8]) -> bool {
    let Some(header) = head.get(..32) else {
        return false;
    };
    let sum = header[..31].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let version = match header[8..12] {
        [0, 0, 0, 0] => sum == header[31],
        [1, ..] => header[27] == 0,
        _ => false,
    };
    matches!(header[0], 0x4d | 0x5a | 0x69 | 0x78 | 0x8b | 0x9c | 0xae)
        && version
        && header[28..30] == [0, 0]
        && header[30] <= 1
}

/// Whether this is a text that is filled up with zeros.
fn padded(field: Option<&[u8]>) -> bool {
    let Some(field) = field else {
        return false;
    };
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    end > 2 && text.iter().all(u8::is_ascii_graphic) && rest.iter().all(|byte| *byte == 0)
}

/// What the kinds of content of CMS have in common: the numbers 1.2.840.113549.1.7 (RFC 5652).
const CMS: [u8; 10] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7];

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn crc(bytes: &[u8]) -> u32 {
    crate::base::checksum::CRC32.checksum(bytes)
}

/// The old binary kind of cpio, which `cpio -o` makes by itself: sixteen-bit numbers in the order of the machine, and a name
/// that ends where its length says.
fn is_old_cpio(head: &[u8]) -> bool {
    let length = match head {
        [0xc7, 0x71, ..] => Fields(head).le16(20),
        [0x71, 0xc7, ..] => Fields(head).le16(20).map(u16::swap_bytes),
        _ => None,
    };
    let name = length.and_then(|length| head.get(26..26 + usize::from(length)));
    name.is_some_and(|name| matches!(name, [front @ .., 0] if !front.is_empty() && !front.contains(&0)))
}

/// The signature, and four entries that are active or not, of which one has a type and a length.
fn is_mbr(head: &[u8]) -> bool {
    let entry = |index: usize| head.get(446 + index * 16..462 + index * 16);
    let entries = || (0..4).filter_map(entry);
    head.get(510..512) == Some(&[0x55, 0xaa])
        && entries().all(|entry| matches!(entry[0], 0 | 0x80))
        && entries().any(|entry| entry[4] != 0 && Fields(entry).le32(12).is_some_and(|length| length > 0))
}

/// Bytes of the shortest text: `Not Found` of a server has one more.
const SHORTEST_TEXT: usize = 8;

/// Text, if every one of the first bytes is; of markup the beginning is enough.
fn text(head: &[u8]) -> Option<Format> {
    let begin = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let begin = begin.trim_ascii_start();
    let begins = |word: &[u8]| {
        begin
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    if [&b"<!doctype"[..], b"<html", b"<?xml", b"<head", b"<body", b"<!--"]
        .into_iter()
        .any(begins)
    {
        return Some(Format::Html);
    }
    let head = &head[..head.len().min(1024)];
    // As Windows writes it: a mark of the order of bytes, and every other byte is zero.
    let wide = |low: usize| head.len() >= 32 && head.iter().skip(3 - low).step_by(2).take(15).all(|byte| *byte == 0);
    if head.starts_with(&[0xff, 0xfe]) && wide(0) || head.starts_with(&[0xfe, 0xff]) && wide(1) {
        return Some(Format::Text);
    }
    // A character may be cut at the end.
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return is_latin(head).then_some(Format::Text),
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\x1b');
    (valid.len() >= SHORTEST_TEXT && valid.chars().all(printable)).then_some(Format::Text)
}

/// Whether it is text of one byte a character, of which nearly all are ASCII's: what is packed or a program has others.
fn is_latin(head: &[u8]) -> bool {
    let ascii = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let others = |byte: &u8| ascii(&byte) || *byte >= 0xa0;
    head.len() >= 64 && head.iter().all(others) && head.iter().filter(ascii).count() * 10 > head.len() * 9
}

/// What the last bytes say: some vendors put a footer behind a file that begins as another.
///
/// # Errors
/// Those of reading the store.
pub fn of_tail(store: &Store, range: &Range<u64>) -> io::Result<Option<Format>> {
    let tail = store.bytes(&(range.start.max(range.end.saturating_sub(TAIL))..range.end))?;
    match footer(&tail) {
        None if is_rauc(store, range, &tail)? => Ok(Some(Format::Rauc)),
        footer => Ok(footer),
    }
}

/// RAUC puts a signature behind the file system, and its length in the last eight bytes ("Bundle Formats" in RAUC's
/// documentation). It is in CMS: a sequence that begins with the number of signed data, 1.2.840.113549.1.7.2 (RFC 5652).
fn is_rauc(store: &Store, range: &Range<u64>, tail: &[u8]) -> io::Result<bool> {
    let fields = |at| Fields(&tail[tail.len().saturating_sub(8)..]).be32(at);
    let (Some(0), Some(length)) = (fields(0), fields(4)) else {
        return Ok(false);
    };
    let at = range
        .end
        .checked_sub(8 + u64::from(length))
        .filter(|at| *at >= range.start);
    let mut begin = [0; 20];
    let Some(at) = at.filter(|_| length >= begin.len() as u32) else {
        return Ok(false);
    };
    store.read_exact_at(at, &mut begin)?;
    let is_cms = begin[0] == 0x30 && has(&begin, &[&CMS[..], &[2]].concat());
    Ok(is_cms)
}

/// By the footer, of which these are the last bytes.
fn footer(tail: &[u8]) -> Option<Format> {
    let back = |length: usize| tail.len().checked_sub(length).map(|at| &tail[at..]);
    let begins = |length: usize, magic: &[u8]| back(length).is_some_and(|rest| rest.starts_with(magic));
    // The footer of QNAP's updates has 74 bytes: its name, the length of what is encrypted, model, version.
    if begins(74, b"icpnas") {
        return Some(Format::QnapFirmware);
    }
    // `linksys-image.sh` of OpenWrt, 256 bytes; SerComm's 71 (`mksercommfw.c`).
    if begins(256, b".LINKSYS.") {
        return Some(Format::Linksys);
    }
    if begins(71, b"sErCoMm") {
        return Some(Format::Sercomm);
    }
    // ZyXEL's 60 bytes (`zyimage.c`), and Broadcom's 20: a sum, a version, and for which flash it is.
    if begins(60, b"ZNBG") {
        return Some(Format::Zyxel);
    }
    let words = back(20).map(Fields).and_then(|tag| Some([tag.be32(4)?, tag.be32(12)?]));
    let is_whole_flash = |[version, flash]: [u32; 2]| matches!((version, flash), (0x5731 | 0x5732, 1..=16));
    if words.is_some_and(|words| is_whole_flash(words) || is_whole_flash(words.map(u32::swap_bytes))) {
        return Some(Format::BroadcomTag);
    }
    // A disk of Virtual PC that is as long as it says, and a DMG of Apple's, end with a sector of their own.
    if begins(512, b"conectix") {
        return Some(Format::VirtualDisk);
    }
    if begins(512, b"koly\0\0\0\x04") {
        return Some(Format::Disk);
    }
    None
}
