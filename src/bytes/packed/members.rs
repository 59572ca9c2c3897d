//! Packed members one behind the other: streams of xz, frames of zstd, members of gzip. Zero bytes between and behind them are
//! padding, and zstd's skippable frames are passed over wherever they stand (RFC 8878, 3.1.2).

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::units::Fields;
use crate::bytes::packed::bzip2::Bzip2;
use crate::bytes::packed::codec::{Codec, LIMIT};
use crate::bytes::packed::gzip::Gzip;
use crate::bytes::packed::xz_sizes::Sizes;
use crate::bytes::packed::zstd::Zstd;
use crate::bytes::packed::{Cursor, Handle};
use lzma_rust2::{LzmaReader, XzReader};
use std::io::{self, BufReader, Read};
use std::ops::Range;

/// The decoder of one member. All of them are in the binary once.
enum Member<'s> {
    Gzip(Gzip<Cursor<'s>>),
    Xz(Box<XzReader<Sizes<BufReader<Cursor<'s>>>>>),
    Zstd(Box<Zstd<BufReader<Cursor<'s>>>>),
    Bzip2(Box<Bzip2<'s>>),
    Lzma(Box<LzmaReader<Cursor<'s>>>),
}

impl<'s> Member<'s> {
    fn begin(codec: Codec, cursor: Cursor<'s>) -> io::Result<Member<'s>> {
        Ok(match codec {
            Codec::Gzip => Member::Gzip(Gzip::first(cursor)),
            Codec::Xz => {
                let input = Sizes::new(BufReader::new(cursor));
                Member::Xz(Box::new(XzReader::new_mem_limit(input, false, LIMIT)))
            }
            Codec::Bzip2 => Member::Bzip2(Box::new(Bzip2::new(cursor))),
            Codec::Lzma => {
                let mut member = LzmaReader::new_mem_limit(cursor, LIMIT, None)?;
                // A length that the header says has to be that of all there is.
                member.set_relaxed_end_condition(false);
                Member::Lzma(Box::new(member))
            }
            Codec::Zstd => Member::Zstd(Box::new(Zstd::begin(BufReader::new(cursor))?)),
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Member::Gzip(member) => member.read(buffer),
            Member::Xz(member) => member.read(buffer),
            Member::Bzip2(member) => member.read(buffer),
            Member::Lzma(member) => member.read(buffer),
            Member::Zstd(member) => member.read(buffer),
        }
    }

    /// Where in the store it ended; for one of which everything was read.
    fn end(self) -> io::Result<u64> {
        let buffered = |input: &BufReader<Cursor<'s>>| input.get_ref().position() - input.buffer().len() as u64;
        Ok(match self {
            Member::Gzip(member) => buffered(member.input()),
            Member::Xz(member) => buffered(member.inner().input()),
            Member::Bzip2(member) => buffered(member.input()),
            Member::Lzma(member) => {
                let (cursor, unused) = member.into_parts();
                cursor.position() - unused.len() as u64
            }
            Member::Zstd(member) => buffered(&member.end()?),
        })
    }
}

/// What the members hold, in order.
pub struct Members<'s> {
    store: Handle<'s>,
    codec: Codec,
    left: Range<u64>,
    member: Option<Member<'s>>,
    /// Whether there was a member before.
    begun: bool,
    /// Whether the first one is all that is wanted.
    first: bool,
}

impl<'s> Members<'s> {
    /// All of them in this range, behind which nothing may follow.
    pub(super) fn new(store: Handle<'s>, range: Range<u64>, codec: Codec) -> Members<'s> {
        Members {
            store,
            codec,
            left: range,
            member: None,
            begun: false,
            first: false,
        }
    }

    /// The first one; what follows it is left alone.
    pub(super) fn first(store: Handle<'s>, range: Range<u64>, codec: Codec) -> Members<'s> {
        Members {
            first: true,
            ..Members::new(store, range, codec)
        }
    }

    /// Where what was read ended in the store.
    pub(super) fn position(&self) -> u64 {
        self.left.start
    }

    /// Begins the next member; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        if self.begun && self.first {
            return Ok(false);
        }
        self.left.start = past_padding(&self.store, self.left.clone(), self.codec)?;
        if self.left.is_empty() {
            return Ok(false);
        }
        let mut head = [0; 16];
        let head = self.store.front(&self.left, &mut head)?;
        // The older lzma has no magic number, so nothing tells a second one from something else.
        if self.begun && (self.codec == Codec::Lzma || Codec::recognise(head) != Some(self.codec)) {
            return Err(bad("something follows behind its end"));
        }
        self.begun = true;
        let cursor = Cursor::new(self.store.clone(), self.left.clone());
        self.member = Some(Member::begin(self.codec, cursor)?);
        Ok(true)
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.member.is_none() && !self.next()? {
                return Ok(0);
            }
            if let Some(member) = &mut self.member {
                let got = member.read(buffer)?;
                if got > 0 {
                    return Ok(got);
                }
            }
            if let Some(member) = self.member.take() {
                self.left.start = member.end()?;
            }
        }
    }
}

/// Where the next member begins: behind zero bytes, and behind what zstd skips.
pub(super) fn past_padding(store: &Handle<'_>, mut left: Range<u64>, codec: Codec) -> io::Result<u64> {
    loop {
        left.start = store.past(left.clone(), 0)?;
        let mut head = [0; 8];
        if codec != Codec::Zstd || !store.read_head(&left, &mut head)? || !is_skippable(&head) {
            return Ok(left.start);
        }
        let length = 8 + u64::from(Fields(&head).le32(4).unwrap_or_default());
        if length > left.end - left.start {
            return Err(bad("it is cut off"));
        }
        left.start += length;
    }
}

/// A frame of zstd's that holds something else than data.
pub(super) fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::store::Store;
    use std::process::Command;

    fn unpacked(bytes: &[u8], codec: Codec) -> io::Result<Vec<u8>> {
        let store = Store::Memory(bytes.to_vec());
        let mut content = Vec::new();
        Members::new(Handle::Lent(&store), 0..store.len(), codec).read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn members_of_nothing_may_stand_between_others() {
        for (packer, codec) in [
            ("gzip", Codec::Gzip),
            ("xz", Codec::Xz),
            ("zstd -q", Codec::Zstd),
            ("bzip2", Codec::Bzip2),
        ] {
            let pack = format!("printf %s one | {packer} -c; {packer} -c </dev/null; printf %s two | {packer} -c");
            let run = Command::new("sh").args(["-c", &pack]).output().unwrap();
            assert_eq!(unpacked(&run.stdout, codec).unwrap(), b"onetwo", "{packer}");
            let nothing = Command::new("sh")
                .args(["-c", &format!("{packer} -c </dev/null")])
                .output();
            assert_eq!(Codec::recognise(&nothing.unwrap().stdout), Some(codec), "{packer}");
        }
    }

    /// `xz` writes an end mark; other packers the length, and some of them both.
    #[test]
    fn an_lzma_is_as_long_as_it_says() {
        let pack = "head -c 800 /dev/zero | xz -c --format=lzma";
        let run = Command::new("sh").args(["-c", pack]).output();
        let mut packed = run.unwrap().stdout;
        for (length, right) in [(u64::MAX, true), (800, true), (799, false), (801, false), (1, false)] {
            packed[5..13].copy_from_slice(&length.to_le_bytes());
            let content = unpacked(&packed, Codec::Lzma).ok();
            assert_eq!(content.is_some_and(|content| content == [0; 800]), right, "{length}");
        }
    }

    /// A frame of one block, which is not packed.
    #[test]
    fn a_frame_of_zstd_is_as_long_as_it_says() {
        let frame = |descriptor: u8, header: &[u8]| {
            let magic = [0x28, 0xb5, 0x2f, 0xfd, descriptor];
            unpacked(
                &[&magic[..], header, &[5 << 3 | 1, 0, 0], b"hello"].concat(),
                Codec::Zstd,
            )
            .ok()
        };
        let hello = Some(b"hello".to_vec());
        // In one segment, and with a window.
        assert_eq!(frame(0x20, &[5]), hello);
        assert_eq!(frame(0, &[0]), hello);
        assert_eq!(frame(0x80, &[0, 5, 0, 0, 0]), hello);
        for (descriptor, header) in [
            (0x20, &[6][..]),
            (0x20, &[4]),
            (0x80, &[0, 6, 0, 0, 0]),
            (0x80, &[0, 0, 0, 0, 0]),
            // A bit that is reserved.
            (0x28, &[5]),
        ] {
            assert_eq!(frame(descriptor, header), None, "{descriptor:x} {header:?}");
        }
    }
}
