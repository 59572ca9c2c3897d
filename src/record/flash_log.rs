//! A log of records in the first erase block of a partition of its own. Appending costs no erase until
//! the block is full, and a record that was cut off by a power cut is passed over.

#![forbid(unsafe_code)]

use crate::base::checksum::CRC32;
use crate::base::error::{Failure, Result};
use crate::base::units::Fields;
use crate::board::{Board, Partition, Proof};
use mtd_rs::Flash;

const MAGIC: &[u8; 4] = b"flsR";
/// Magic, length, CRC-32 of the text.
const HEADER: usize = 12;
/// Bytes of a slot on flash with smaller pages.
const SLOT: u32 = 2048;

fn slot_size(partition: &Partition) -> u64 {
    SLOT.max(partition.geometry.write_size).into()
}

/// The first good block of the record's partition, if a slot fits into it: of DataFlash none does.
fn block(board: &Board) -> Option<(&Partition, std::ops::Range<u64>)> {
    let partition = board.record_partition()?;
    let block = partition.good_blocks().next()?;
    (block.end - block.start >= slot_size(partition)).then_some((partition, block))
}

/// Appends the record; `false` where there is no partition for it or no proof that it is free.
pub fn save(board: &Board, text: &str, proof: Option<&Proof>) -> Result<bool> {
    let (Some((partition, block)), Some(proof)) = (block(board), proof) else {
        return Ok(false);
    };
    let mut flash = board.open_writable(partition, proof)?;
    let size = slot_size(partition);
    if HEADER + text.len() > size as usize {
        return Err(Failure::system("the record is too long for its slot"));
    }
    let mut slot = vec![0xff; size as usize];
    slot[..4].copy_from_slice(MAGIC);
    slot[4..8].copy_from_slice(&(text.len() as u32).to_be_bytes());
    slot[8..HEADER].copy_from_slice(&CRC32.checksum(text.as_bytes()).to_be_bytes());
    slot[HEADER..HEADER + text.len()].copy_from_slice(text.as_bytes());

    if is_foreign(&mut *flash, &block, size)? {
        return Err(Failure::system(format_args!(
            "{} holds something that is not a record, which stays",
            partition.label()
        )));
    }
    flash.unlock(block.clone()).map_err(Failure::system)?;
    if let Some(at) = blank_slot(&mut *flash, &block, size)?
        && put(&mut *flash, at, &slot).is_ok()
    {
        return Ok(true);
    }
    flash.erase(block.start).map_err(Failure::system)?;
    // Where it cannot be put, an older record must not stand for it.
    put(&mut *flash, block.start, &slot).inspect_err(|_| drop(flash.erase(block.start)))?;
    Ok(true)
}

/// Programs a slot and reads it back.
fn put(flash: &mut dyn Flash, at: u64, slot: &[u8]) -> Result<()> {
    flash.program(at, slot).map_err(Failure::system)?;
    let mut found = vec![0; slot.len()];
    flash.read(at, &mut found).map_err(Failure::system)?;
    match found == slot {
        true => Ok(()),
        false => Err(Failure::system(format_args!(
            "{}: the record at 0x{at:x} is not what was written",
            flash.label()
        ))),
    }
}

fn slots(block: &std::ops::Range<u64>, size: u64) -> impl DoubleEndedIterator<Item = u64> {
    let start = block.start;
    (0..(block.end - block.start) / size).map(move |index| start + index * size)
}

/// Whether the record's partition can keep one: it is blank, or what is there are records. `false` where it cannot be read.
pub fn can_keep(board: &Board) -> bool {
    let Some((partition, block)) = block(board) else {
        return false;
    };
    let foreign = board
        .open(partition)
        .and_then(|mut flash| is_foreign(&mut *flash, &block, slot_size(partition)));
    foreign.is_ok_and(|foreign| !foreign)
}

/// Whether somebody else's bytes are there: a partition may be called like ours and be used for other things.
fn is_foreign(flash: &mut dyn Flash, block: &std::ops::Range<u64>, size: u64) -> Result<bool> {
    let mut buffer = vec![0; size as usize];
    let mut foreign = false;
    for at in slots(block, size) {
        flash.read(at, &mut buffer).map_err(Failure::system)?;
        // One that a power cut broke off begins like the others, or is among them.
        if buffer.starts_with(MAGIC) {
            return Ok(false);
        }
        foreign |= buffer.iter().any(|byte| *byte != 0xff);
    }
    Ok(foreign)
}

/// The first slot behind everything that was ever programmed: NAND takes pages in ascending order only.
fn blank_slot(flash: &mut dyn Flash, block: &std::ops::Range<u64>, size: u64) -> Result<Option<u64>> {
    let mut buffer = vec![0; size as usize];
    let mut blank = None;
    for at in slots(block, size).rev() {
        flash.read(at, &mut buffer).map_err(Failure::system)?;
        match buffer.iter().all(|byte| *byte == 0xff) {
            true => blank = Some(at),
            false => break,
        }
    }
    Ok(blank)
}

/// The newest record that is whole.
pub fn load(board: &Board) -> Option<String> {
    let (partition, block) = block(board)?;
    let mut flash = board.open(partition).ok()?;
    let size = slot_size(partition);
    let mut buffer = vec![0; size as usize];
    for at in slots(&block, size).rev() {
        flash.read(at, &mut buffer).ok()?;
        if let Some(text) = read_slot(&buffer) {
            return Some(text);
        }
    }
    None
}

fn read_slot(slot: &[u8]) -> Option<String> {
    let length = Fields(slot.strip_prefix(MAGIC)?).be32(0)? as usize;
    let text = slot.get(HEADER..HEADER.checked_add(length)?)?;
    let whole = Fields(slot).be32(8) == Some(CRC32.checksum(text));
    whole.then(|| String::from_utf8(text.to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::board::lock::Lock;
    use crate::board::profile::Profile;
    use crate::board::selector::Where;

    /// A simulated box whose last partition is called `flasher`.
    fn board(dir: &std::path::Path) -> Board {
        let mut profile = Profile::find("generic").unwrap();
        profile.partitions[4].name = "flasher".into();
        let file = dir.join("profile.json");
        std::fs::write(&file, serde_json::to_string(&profile).unwrap()).unwrap();
        let sim = dir.join("box");
        crate::board::sim::create(file.to_str().unwrap(), &sim).unwrap();
        Board::discover(&Where {
            sim: Some(sim),
            board: None,
        })
        .unwrap()
    }

    #[test]
    fn the_newest_whole_record_is_found_also_after_the_block_was_full() {
        let dir = tempfile::tempdir().unwrap();
        let board = board(dir.path());
        let proof = Proof::Sim(Lock::of_sim(&dir.path().join("box")).unwrap());
        assert_eq!(load(&board), None);
        for number in 0..80 {
            let text = format!("record {number}");
            assert!(save(&board, &text, Some(&proof)).unwrap());
            assert_eq!(load(&board), Some(text));
        }
        assert!(!save(&board, "unproved", None).unwrap());
    }

    /// An older record does not stand for one that could not be written.
    #[test]
    fn a_record_that_cannot_be_put_behind_the_others_takes_their_place_or_ends_them() {
        for (times, found) in [(1, Some("new")), (u32::MAX, None)] {
            let dir = tempfile::tempdir().unwrap();
            let board = board(dir.path());
            let proof = Proof::Sim(Lock::of_sim(&dir.path().join("box")).unwrap());
            assert!(save(&board, "old", Some(&proof)).unwrap());
            let (partition, block) = block(&board).unwrap();
            let (mtd_rs::Place::Known(extents), crate::board::Backend::Sim(sim)) =
                (board.map.place(partition.id), &board.backend)
            else {
                panic!("a simulated partition has a place");
            };
            let first = extents[0].range.start + block.start;
            let chip = sim.chip();
            let fails = |offset, times| chip.inject(mtd_rs::Fault::ProgramFails { offset, times });
            fails(first + u64::from(SLOT), 1);
            fails(first, times - 1);
            assert_eq!(save(&board, "new", Some(&proof)).is_ok(), found.is_some());
            assert_eq!(load(&board).as_deref(), found);
        }
    }

    /// One of DataFlash has no room for a slot, and the next one is somebody else's.
    #[test]
    fn a_block_that_is_smaller_than_a_slot_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = board(dir.path());
        let proof = Proof::Sim(Lock::of_sim(&dir.path().join("box")).unwrap());
        let id = board.record_partition().unwrap().id;
        let partition = board
            .partitions
            .iter_mut()
            .find(|partition| partition.id == id)
            .unwrap();
        partition.geometry.erase_size = SLOT / 2;
        assert!(!can_keep(&board) && !save(&board, "record", Some(&proof)).unwrap());
        assert_eq!(load(&board), None);
    }

    #[test]
    fn what_somebody_else_keeps_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let board = board(dir.path());
        let proof = Proof::Sim(Lock::of_sim(&dir.path().join("box")).unwrap());
        let (partition, block) = block(&board).unwrap();
        assert!(can_keep(&board));
        let mut flash = board.open_writable(partition, &proof).unwrap();
        let text = vec![0x55; SLOT as usize];
        flash.erase(block.start).unwrap();
        flash.program(block.start + u64::from(SLOT), &text).unwrap();
        drop(flash);
        assert!(!can_keep(&board));
        assert!(save(&board, "record", Some(&proof)).is_err());
        let mut now = vec![0; text.len()];
        let mut flash = board.open(partition).unwrap();
        flash.read(block.start + u64::from(SLOT), &mut now).unwrap();
        assert!(now == text);
    }

    #[test]
    fn a_record_that_was_cut_off_is_passed_over() {
        let mut slot = vec![0xff; 64];
        slot[..4].copy_from_slice(MAGIC);
        slot[4..8].copy_from_slice(&5u32.to_be_bytes());
        slot[8..12].copy_from_slice(&CRC32.checksum(b"whole").to_be_bytes());
        slot[12..17].copy_from_slice(b"whole");
        assert_eq!(read_slot(&slot).unwrap(), "whole");
        slot[16] = 0xff;
        assert_eq!(read_slot(&slot), None);
        slot[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(read_slot(&slot), None);
    }
}
