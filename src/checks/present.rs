//! What a partition holds now, by its first bytes: the survey of the flash reads all of it later, and only where nothing else
//! stands against the update.

#![forbid(unsafe_code)]

use crate::base::format::Format;
use crate::base::machine::Role;
use crate::board::{Board, Partition};
use crate::bytes::store::Store;
use crate::image::content;
use mtd_rs::Flash;
use std::ops::Range;

/// Bytes that are looked at.
const HEAD: u64 = 8 << 10;
/// Erase blocks that are looked at for a header of UBI's: the first of them may be blank.
const BLOCKS: usize = 8;

/// What was found in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its format.
    pub format: Format,
    /// What that is for.
    pub role: Role,
    /// As [`content::Content::magic`].
    pub magic: Option<u32>,
    /// Names of the volumes, of a UBI that is attached.
    pub volumes: Vec<String>,
}

/// What the partition holds now; `None` for nothing that is known. One that cannot be read holds nothing that is known: the
/// survey, which reads the same bytes, ends the run then.
pub fn present(board: &Board, partition: &Partition) -> Option<Present> {
    let volumes: Vec<_> = board
        .partitions
        .iter()
        .filter(|volume| board.is_on(volume, partition))
        .map(|volume| volume.name.clone())
        .collect();
    if !volumes.is_empty() {
        return Some(Present {
            format: Format::Ubi,
            role: Role::Filesystem,
            magic: None,
            volumes,
        });
    }
    let mut flash = board.open(partition).ok()?;
    let mut blocks = partition.good_blocks();
    let mut first = None;
    // No volume of UBI's has another UBI in it.
    let most = if partition.volume.is_some() { 1 } else { BLOCKS };
    for block in blocks.by_ref().take(most) {
        let head = read(&mut *flash, &block)?;
        if head.starts_with(b"UBI#") {
            return Some(Present {
                format: Format::Ubi,
                role: Role::Filesystem,
                magic: None,
                volumes,
            });
        }
        first.get_or_insert(head);
    }
    let head = first?;
    let length = head.len() as u64;
    let content = content::look(&Store::Memory(head), 0..length).ok()??;
    Some(Present {
        format: content.format,
        role: content.role,
        magic: content.magic,
        volumes,
    })
}

/// The first bytes of a block.
fn read(flash: &mut dyn Flash, block: &Range<u64>) -> Option<Vec<u8>> {
    let held = flash.holds().unwrap_or(u64::MAX).saturating_sub(block.start);
    let mut head = vec![0; HEAD.min(block.end - block.start).min(held) as usize];
    flash.read(block.start, &mut head).ok()?;
    Some(head)
}
