//! What would fit where a CRC is wrong: another size, or the other header. It is said, never used.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::units::Fields;
use crate::board::Board;
use crate::env::copies::read_file;
use crate::env::{Medium, Place, Spot};

/// How far it is looked for, in bytes.
const REACH: u64 = 256 << 10;
/// Sizes that are tried: powers of two, and multiples of this.
const STEP: u64 = 4 << 10;

/// What makes a CRC right, as the end of a sentence.
pub(super) fn fits(board: &Board, place: &Place) -> Option<String> {
    place.spots.iter().find_map(|spot| {
        let bytes = raw(board, spot)?;
        let (size, header) = find(&bytes, (spot.size, place.header()))?;
        let mut text = match size == spot.size {
            true => "; it is right".to_owned(),
            false => format!("; it is right with SIZE {size:#x} instead of {:#x}", spot.size),
        };
        match (header == place.header(), header) {
            (true, _) => (),
            (false, 5) => {
                text.push_str(" with a byte of flags, as where there are two copies: name the other one, too")
            }
            (false, _) => text.push_str(" without a byte of flags, as where there is one copy: name this one alone"),
        }
        Some(text)
    })
}

/// Size and header with which the CRC of these bytes is right, other than those that were tried.
fn find(bytes: &[u8], tried: (u64, usize)) -> Option<(u64, usize)> {
    let powers = (8..=18).map(|power| 1 << power);
    let steps = (1..=REACH / STEP).map(|step| step * STEP);
    let mut sizes: Vec<u64> = powers.chain(steps).chain([tried.0]).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let both = sizes.into_iter().flat_map(|size| [(size, 4), (size, 5)]);
    both.filter(|both| *both != tried).find(|(size, header)| {
        let Some(copy) = usize::try_from(*size).ok().and_then(|size| bytes.get(..size)) else {
            return false;
        };
        // What is blank has no CRC.
        let sum = Some(CRC32.checksum(&copy[*header..]));
        Fields(copy).le32(0) == sum || Fields(copy).be32(0) == sum
    })
}

/// What lies from the copy's beginning on; nothing where that cannot be read.
fn raw(board: &Board, spot: &Spot) -> Option<Vec<u8>> {
    if let Medium::File(path) = &spot.medium {
        let length = std::fs::metadata(path).ok()?.len();
        let left = length.saturating_sub(spot.offset.unsigned_abs());
        return read_file(path, spot.offset, left.min(REACH)).ok();
    }
    let partition = spot.of(board).ok()?;
    let mut flash = board.open(partition).ok()?;
    let start = spot.blocks.start + spot.lead();
    let end = flash.holds().unwrap_or(partition.geometry.size).min(start + REACH);
    let mut bytes = vec![0; end.checked_sub(start)? as usize];
    flash.read(start, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(size: usize, header: usize) -> Vec<u8> {
        let mut data = b"a=1\0\0".to_vec();
        data.resize(size - header, 0);
        let mut copy = CRC32.checksum(&data).to_le_bytes().to_vec();
        copy.resize(header, 1);
        copy.extend(data);
        copy.resize(REACH as usize, 0xff);
        copy
    }

    #[test]
    fn another_size_and_the_other_header_are_found() {
        for (size, header) in [(0x2000, 4), (0x2000, 5), (0x3000, 4), (0x100, 5), (0x4_0000, 4)] {
            assert_eq!(find(&copy(size, header), (0x1000, 4)), Some((size as u64, header)));
        }
        assert_eq!(find(&copy(0x1000, 5), (0x1000, 4)), Some((0x1000, 5)));
        assert_eq!(find(&vec![0xff; REACH as usize], (0x1000, 4)), None);
        assert_eq!(find(&[], (0x1000, 4)), None);
    }
}
