//! Where a packing ends that is not unpacked here: the blocks of lz4 and lzop say how long they are. What is in them is not looked
//! at. (`doc/lz4_Frame_format.md` of lz4, `lib/decompress_unlz4.c` and `lib/decompress_unlzo.c` of Linux, `src/lzop.c` of lzop.)

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::bytes::store::Store;
use std::io;
use std::ops::Range;

/// lz4's magic number of the old kind, which kernels take, and the most bytes that 8 MiB are packed into (`LZ4_COMPRESSBOUND`).
const OLD: u32 = 0x184c_2102;
const OLD_BLOCK: u32 = (8 << 20) + (8 << 20) / 255 + 16;
/// lz4: a block that is stored as it is, and flags of a frame: sums of blocks and of all, its length, the number of a dictionary.
const STORED: u32 = 1 << 31;
const BLOCK_SUMS: u8 = 0x10;
const LENGTH: u8 = 8;
const SUM: u8 = 4;
const DICTIONARY: u8 = 1;
/// lzop: the version since which its header is longer; flags that there is more in it; sums of blocks, unpacked and packed.
const LONGER: u16 = 0x940;
const FILTER: u32 = 0x800;
const EXTRA: u32 = 0x40;
const UNPACKED_SUMS: [u32; 2] = [1, 0x100];
const PACKED_SUMS: [u32; 2] = [2, 0x200];

/// Bytes that are gone through in their order.
struct Bytes<'s> {
    store: &'s Store<'s>,
    left: Range<u64>,
}

impl Bytes<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        match count <= self.left.end - self.left.start {
            true => {
                self.left.start += count;
                Ok(())
            }
            false => Err(bad("it is cut off")),
        }
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let at = self.left.start;
        let mut bytes = [0; N];
        self.skip(N as u64)?;
        self.store.read_exact_at(at, &mut bytes).map(|()| bytes)
    }
}

/// Where the lz4 or lzop ends that begins here.
///
/// # Errors
/// `InvalidData` for one that is cut off or makes no sense, else those of reading.
pub(super) fn end(store: &Store, range: &Range<u64>, format: Format) -> io::Result<u64> {
    let mut bytes = Bytes {
        store,
        left: range.clone(),
    };
    let walked = match format {
        Format::Lzo => lzop(&mut bytes),
        _ => lz4(&mut bytes),
    };
    walked.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => bad(format_args!("the {} is damaged: {error}", format.as_str())),
        _ => error,
    })?;
    Ok(bytes.left.start)
}

fn lz4(bytes: &mut Bytes<'_>) -> io::Result<()> {
    if u32::from_le_bytes(bytes.take()?) == OLD {
        // Nothing marks the end. The magic number may come again.
        while bytes.left.end - bytes.left.start >= 4 {
            let length = u32::from_le_bytes(bytes.take()?);
            match length {
                OLD => (),
                1..=OLD_BLOCK => bytes.skip(length.into())?,
                _ => {
                    bytes.left.start -= 4;
                    break;
                }
            }
        }
        return Ok(());
    }
    let [flags, _] = bytes.take()?;
    if flags >> 6 != 1 {
        return Err(bad("its header makes no sense"));
    }
    let has = |flag: u8, length: u64| if flags & flag == 0 { 0 } else { length };
    bytes.skip(has(LENGTH, 8) + has(DICTIONARY, 4) + 1)?;
    loop {
        match u32::from_le_bytes(bytes.take()?) & !STORED {
            0 => return bytes.skip(has(SUM, 4)),
            length => bytes.skip(u64::from(length) + has(BLOCK_SUMS, 4))?,
        }
    }
}

fn lzop(bytes: &mut Bytes<'_>) -> io::Result<()> {
    bytes.skip(9)?;
    let longer = u16::from_be_bytes(bytes.take()?) >= LONGER;
    let if_longer = |length: u64| if longer { length } else { 0 };
    // The version of the library and the one that is needed, method and level.
    bytes.skip(2 + if_longer(2) + 1 + if_longer(1))?;
    let flags = u32::from_be_bytes(bytes.take()?);
    let has = |flag: u32| if flags & flag == 0 { 0 } else { 4 };
    // Permissions, time, the name and a sum.
    bytes.skip(has(FILTER) + 8 + if_longer(4))?;
    let [name] = bytes.take()?;
    bytes.skip(u64::from(name) + 4)?;
    if flags & EXTRA != 0 {
        let length = u32::from_be_bytes(bytes.take()?);
        bytes.skip(u64::from(length) + 4)?;
    }
    let sums = |flags: [u32; 2]| flags.into_iter().map(has).sum::<u64>();
    loop {
        let unpacked = u32::from_be_bytes(bytes.take()?);
        if unpacked == 0 {
            return Ok(());
        }
        let packed = u32::from_be_bytes(bytes.take()?);
        let sums = sums(UNPACKED_SUMS) + if packed < unpacked { sums(PACKED_SUMS) } else { 0 };
        match (1..=unpacked).contains(&packed) {
            true => bytes.skip(sums + u64::from(packed))?,
            false => return Err(bad("a block of it makes no sense")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    #[test]
    fn every_cut_is_seen_and_where_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let noise = (0..20_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8);
        let content: Vec<u8> = noise.chain(std::iter::repeat_n(7, 80_000)).collect();
        std::fs::write(dir.path().join("plain"), &content).unwrap();
        for (packer, format) in [
            ("lz4 -l", Format::Lz4),
            ("lz4 -B4", Format::Lz4),
            ("lz4 -B4 -BX --no-frame-crc", Format::Lz4),
            ("lz4 -B4 -BX --content-size", Format::Lz4),
            ("lzop", Format::Lzo),
            ("lzop -9 -F", Format::Lzo),
            ("lzop --crc32 -CC", Format::Lzo),
        ] {
            let script = format!("{packer} -c plain");
            let run = Command::new("sh").args(["-c", &script]).current_dir(&dir).output();
            let packed = run.unwrap().stdout;
            let end = |bytes: &[u8]| {
                let store = Store::Memory(bytes.to_vec());
                super::end(&store, &(0..store.len()), format)
            };
            let whole = packed.len();
            assert_eq!(end(&packed).unwrap(), whole as u64, "{packer}");
            let more = [&packed[..], b"07070 something else"].concat();
            assert_eq!(end(&more).unwrap(), whole as u64, "{packer}");
            for length in (1..whole).step_by(997).chain([whole - 1]) {
                let cut = end(&packed[..length]);
                assert!(
                    cut.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData),
                    "{packer} {length}"
                );
            }
        }
    }
}
