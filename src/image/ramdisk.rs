//! An initial ramdisk as a kernel takes it (`init/initramfs.c`, `Documentation/driver-api/early-userspace/buffer-format.rst`):
//! cpio archives and packed ones in any order, with zero bytes between and behind them; or one packed ext2 file system
//! (`init/do_mounts_rd.c`). The kernel unpacks it itself, so it stays packed, whatever window that takes.
//!
//! Each packed member is unpacked once to see that it is whole, and so is the archive in it. For which processor the programs in there
//! are says the first of them. Kernels unpack fewer kinds than the programs make that pack them: what they do not take is damaged for
//! them.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::base::machine::Role;
use crate::base::units::Grouped;
use crate::bytes::packed::{Codec, first_end, peek};
use crate::bytes::store::Store;
use crate::image::block_ends;
use crate::image::content::Content;
use crate::image::cpio::{HEADER, State, Walk, number};
use crate::image::foreign;
use std::io;
use std::ops::Range;

/// Where ext2 has its magic number, and one byte more than that.
const EXT2: usize = 0x43a;

/// Whether a packed ramdisk begins here.
///
/// # Errors
/// Those of reading.
pub(super) fn is_packed(store: &Store, range: &Range<u64>) -> io::Result<bool> {
    // A name of lzop's has up to 255 bytes.
    let mut head = [0; 384];
    let head = store.front(range, &mut head)?;
    let mut inside = [0; EXT2];
    let length = match Codec::recognise(head) {
        Some(codec) => peek(store, range, codec, &mut inside)?,
        // Their first bytes are stored as they are, for there is nothing that they could repeat.
        None => {
            let literal = literals(head);
            inside[..literal.len()].copy_from_slice(literal);
            literal.len()
        }
    };
    let inside = &inside[..length];
    let ext2 = inside.get(EXT2 - 2..) == Some(&[0x53, 0xef]);
    Ok(ext2 || inside.starts_with(b"07070"))
}

/// The first bytes inside lz4 or lzop, of which none was seen before.
fn literals(head: &[u8]) -> &[u8] {
    let at = match foreign::of_head(head) {
        // The old kind, which kernels use: the magic, the length of a block.
        Some(Format::Lz4) if head[0] == 2 => behind_token(head, 8),
        // The new kind: flags, perhaps the length of all and a number of a dictionary, a checksum, the length of a block.
        Some(Format::Lz4) => {
            let flags = head.get(4).copied().unwrap_or_default();
            let optional = usize::from(flags >> 3 & 1) * 8 + usize::from(flags & 1) * 4;
            behind_token(head, 11 + optional)
        }
        // lzop: how long its header is depends on the name in it; behind a block's lengths and sums comes the first
        // instruction, and literals.
        Some(Format::Lzo) => {
            let name = head.get(33).copied().unwrap_or_default();
            let found = head.windows(5).position(|window| window == b"07070");
            found.filter(|at| *at >= 34 + usize::from(name))
        }
        _ => None,
    };
    let rest = at.and_then(|at| head.get(at..)).unwrap_or_default();
    &rest[..rest.len().min(6)]
}

/// Where the literals of a block of lz4 begin: behind its token, and behind the bytes that go on counting them.
fn behind_token(head: &[u8], mut at: usize) -> Option<usize> {
    let mut counting = *head.get(at)? >= 0xf0;
    at += 1;
    while counting {
        counting = *head.get(at)? == 0xff;
        at += 1;
    }
    Some(at)
}

/// Recognises a ramdisk that is packed, or whose first archive is not; and walks over all that it has.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let plain = cpio_head(store, range)?.is_some_and(|name| name != b"sw-description");
    if !plain && !is_packed(store, range)? {
        return Ok(None);
    }
    let format = if plain { Format::Cpio } else { Format::Ramdisk };
    let mut content = Content::new(format, Role::Ramdisk);
    let mut kinds: Vec<&str> = Vec::new();
    let mut left = range.clone();
    loop {
        left.start = store.past(left.clone(), 0)?;
        if left.is_empty() {
            break;
        }
        // A copy of a partition ends with blank flash.
        if store.past(left.clone(), 0xff)? == left.end {
            break;
        }
        match member(store, &left) {
            Ok(Some(Member {
                kind,
                end,
                unknown,
                refused,
                walk,
            })) => {
                kinds.push(kind);
                if let Some(unknown) = unknown {
                    content.title = unknown.to_owned();
                    content.checked = false;
                }
                left.start = end;
                if let (None, Some((arch, order))) = (&content.arch, walk.runs_on) {
                    (content.arch, content.order) = (Some(arch), Some(order));
                }
                let doubt = match walk.state {
                    State::Between | State::Unknown => None,
                    State::Within => Some("is cut off"),
                    State::Else => Some("is damaged, or of a kind that kernels do not take"),
                };
                let doubt = doubt.map(|doubt| format!("the cpio archive in the {kind} {doubt}"));
                let refused = refused.map(|why| format!("no kernel unpacks the {kind}: {why}"));
                content.doubt = content.doubt.take().or(doubt).or(refused);
            }
            Ok(None) => {
                content.doubt = Some(format!(
                    "behind the ramdisk, at 0x{:x}, {} bytes of something else follow",
                    left.start - range.start,
                    Grouped(left.end - left.start)
                ));
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                content.problem = Some(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    kinds.dedup();
    let unknown = std::mem::take(&mut content.title);
    content.title = [kinds.join(", "), unknown]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    Ok(Some(content))
}

/// A piece of a ramdisk.
struct Member {
    kind: &'static str,
    /// Where it ends, as far as that is known.
    end: u64,
    /// What is not known of it.
    unknown: Option<&'static str>,
    /// Why kernels do not unpack it.
    refused: Option<&'static str>,
    /// What was found in its archive.
    walk: Walk,
}

fn member(store: &Store, left: &Range<u64>) -> io::Result<Option<Member>> {
    let mut walk = Walk::default();
    if cpio_head(store, left)?.is_some() {
        return Ok(Some(Member {
            kind: "cpio",
            end: cpio_end(store, left, &mut walk)?,
            unknown: None,
            refused: None,
            walk,
        }));
    }
    let mut head = [0; 64];
    let head = store.front(left, &mut head)?;
    let (kind, end, unknown) = match (Codec::recognise(head), foreign::of_head(head)) {
        (Some(codec), _) => {
            let mut inside = [0; EXT2];
            // The other kind of ramdisk is a file system.
            let length = peek(store, left, codec, &mut inside)?;
            let archive = inside[..length].starts_with(b"0707");
            let mut each = |chunk: &[u8]| {
                if archive {
                    walk.feed(chunk);
                }
                Ok(())
            };
            match first_end(store, left, codec, &mut each)? {
                Some(end) => (codec.as_str(), end, None),
                // It would take more memory than there is.
                None => (
                    codec.as_str(),
                    left.end,
                    Some("whether all of it is there is not known"),
                ),
            }
        }
        (None, Some(format @ (Format::Lz4 | Format::Lzo))) => {
            let end = block_ends::end(store, left, format)?;
            (format.as_str(), end, Some("what is packed in it is not looked at"))
        }
        _ => return Ok(None),
    };
    Ok(Some(Member {
        kind,
        end,
        unknown,
        refused: refused_by_kernels(head),
        walk,
    }))
}

/// Why kernels do not unpack what begins so, and what makes the kind that they take. Each kind is known to them by two bytes
/// (`compressed_formats` in `lib/decompress.c`); of gzip's header they skip a name and nothing else
/// (`lib/decompress_inflate.c`), and of xz they have no checksum but CRC32 (`dec_stream_header` in `lib/xz/xz_dec_stream.c`).
fn refused_by_kernels(head: &[u8]) -> Option<&'static str> {
    const TEXT_OR_NAME: u8 = 1 | 8;
    match head {
        [0x1f, 0x8b, _, flags, ..] => {
            (flags & !TEXT_OR_NAME != 0).then_some("its header has more than a name; gzip -n makes one that has not")
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, 0, check, ..] => {
            (*check > 1).then_some("its checksum is not CRC32; xz --check=crc32 makes that")
        }
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some("it has a skippable frame; zstd makes none, pzstd does"),
        [3 | 4, 0x21 | 0x22, 0x4c | 0x4d, 0x18, ..] => Some("it is of the newer kind; lz4 -l makes the older one"),
        _ if Codec::recognise(head) == Some(Codec::Lzma) && head[0] != 0x5d => {
            Some("its properties are not lc=3, lp=0, pb=2, which lzma makes by itself")
        }
        _ => None,
    }
}

/// The name of the member whose head is here, if this is a cpio in the format that kernels take.
fn cpio_head(store: &Store, left: &Range<u64>) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEADER];
    if !store.read_head(left, &mut head)? || !(head.starts_with(b"070701") || head.starts_with(b"070702")) {
        return Ok(None);
    }
    let length = number(&head, 94).unwrap_or_default();
    let at = left.start + HEADER as u64;
    if length == 0 || length > 4096 || length > left.end - at {
        return Ok(None);
    }
    let mut name = store.bytes(&(at..at + length))?;
    name.pop();
    Ok(Some(name))
}

/// Where a cpio ends, which begins here.
fn cpio_end(store: &Store, left: &Range<u64>, walk: &mut Walk) -> io::Result<u64> {
    let mut at = left.start;
    loop {
        let wanted = at..at.saturating_add(walk.wanted() as u64);
        let mut bytes = vec![0; walk.wanted()];
        if wanted.end > left.end {
            return Err(bad("the cpio archive is cut off"));
        }
        store.read_exact_at(at, &mut bytes)?;
        walk.collect(&bytes);
        at = wanted.end.saturating_add(std::mem::take(&mut walk.skip));
        match walk.state {
            State::Within => (),
            State::Between if at <= left.end => return Ok(at),
            State::Between => return Err(bad("the cpio archive is cut off")),
            State::Else | State::Unknown => return Err(bad("the cpio archive is damaged")),
        }
    }
}
