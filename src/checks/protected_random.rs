//! Random boards and random writes: no byte that is protected is ever within a write without its check.
//!
//! What is true of a board is drawn first – where each partition lies – and only a part of it is told to the map.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use super::{of_partition, verdict};
use crate::board::profile::{Profile, Protection};
use crate::board::{Backend, Board, Health, Partition};
use crate::plan::{Check, Status, Write};
use mtd_rs::map::OnChip;
use mtd_rs::{Geometry, Map, MtdInfo, PartitionId};
use std::ops::Range;

const BLOCK: u64 = 0x1_0000;
const BLOCKS: u64 = 64;
const CHIPS: [&str; 2] = ["spi0.0", "spi1.0"];

/// xorshift64*: the same boards in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// A range of whole erase blocks within these.
    fn within(&mut self, blocks: Range<u64>) -> Range<u64> {
        let start = blocks.start + self.below(blocks.end - blocks.start);
        start..start + 1 + self.below(blocks.end - start)
    }
}

/// Where a partition really lies, in erase blocks of its chip, and why it is protected.
struct Truth {
    chip: usize,
    blocks: Range<u64>,
    keep: Option<Protection>,
}

/// Some partitions: on one chip or two, side by side, nested, the whole chip among them.
fn draw(random: &mut Random) -> Vec<Truth> {
    let chips = 1 + random.below(2);
    let mut all: Vec<Truth> = Vec::new();
    for _ in 0..2 + random.below(7) {
        let chip = random.below(chips) as usize;
        let inside = all
            .iter()
            .filter(|other| other.chip == chip)
            .map(|other| other.blocks.clone());
        let inside: Vec<_> = inside.collect();
        let blocks = match random.below(4) {
            0 => 0..BLOCKS,
            1 if !inside.is_empty() => {
                let outer = inside[random.below(inside.len() as u64) as usize].clone();
                random.within(outer)
            }
            _ => random.within(0..BLOCKS),
        };
        let keep = match random.below(5) {
            0 => Some(Protection::Bootloader),
            1 => Some(Protection::Settings),
            _ => None,
        };
        all.push(Truth { chip, blocks, keep });
    }
    all
}

/// The board that somebody sees: of those in `hidden` the position is not known.
fn board(truth: &[Truth], hidden: &[bool]) -> Board {
    let geometry = |truth: &Truth| Geometry::nor((truth.blocks.end - truth.blocks.start) * BLOCK, BLOCK as u32);
    let devices = truth
        .iter()
        .zip(hidden)
        .enumerate()
        .map(|(index, (truth, hidden))| OnChip {
            info: MtdInfo::new(index as u32, &format!("part{index}"), geometry(truth)),
            chip: CHIPS[truth.chip].into(),
            offset: (!hidden).then_some(truth.blocks.start * BLOCK),
        });
    let map = Map::new(devices, Vec::new());
    let partition = |(index, truth): (usize, &Truth)| Partition {
        id: PartitionId::Mtd(index as u32),
        name: format!("part{index}"),
        geometry: geometry(truth),
        bad: Vec::new(),
        writable: true,
        keep: truth.keep,
        holds: Vec::new(),
        recovery: false,
        fixed_offset: false,
        fixed_length: false,
        loads: None,
        health: Health::default(),
        volume: None,
    };
    Board {
        profile: Profile::find("generic").unwrap(),
        remark: None,
        suspects: Vec::new(),
        partitions: truth.iter().enumerate().map(partition).collect(),
        map,
        names: Vec::new(),
        hardware: Default::default(),
        compat: "1.0".into(),
        backend: Backend::Linux,
    }
}

/// Whether bytes of a partition with this protection lie within these blocks of a chip.
fn hit(truth: &[Truth], keep: Protection, chip: usize, blocks: &Range<u64>) -> bool {
    truth.iter().any(|other| {
        other.keep == Some(keep)
            && other.chip == chip
            && other.blocks.start < blocks.end
            && blocks.start < other.blocks.end
    })
}

fn failed(checks: &[Check], keep: Protection) -> bool {
    checks
        .iter()
        .any(|check| check.name == keep.check() && check.status == Status::Fail && check.forceable)
}

/// One write of whole erase blocks somewhere in a partition, and the blocks of the chip that it really takes.
fn write(random: &mut Random, board: &Board, truth: &Truth, index: usize) -> (Write, Range<u64>) {
    let blocks = random.within(truth.blocks.clone());
    let partition = &board.partitions[index];
    let offset = (blocks.start - truth.blocks.start) * BLOCK;
    // The last block need not be filled: it is erased all the same.
    let length = (blocks.end - blocks.start) * BLOCK - random.below(BLOCK);
    (
        Write::new(partition.into(), &partition.geometry, offset, 0..length),
        blocks,
    )
}

#[test]
fn protected_bytes_are_never_written_without_their_check() {
    let mut random = Random(0x5eed_b0a2);
    let (mut hits, mut doubts) = (0, 0);
    for round in 0..2000 {
        let truth = draw(&mut random);
        let hidden: Vec<bool> = truth.iter().map(|_| round % 2 == 0 && random.one_in(3)).collect();
        let board = board(&truth, &hidden);
        for _ in 0..4 {
            let index = random.below(truth.len() as u64) as usize;
            let (write, blocks) = write(&mut random, &board, &truth[index], index);
            let checks = of_partition(&board, &write, &board.partitions[index]);
            for (keep, other) in [
                (Protection::Bootloader, Protection::Settings),
                (Protection::Settings, Protection::Bootloader),
            ] {
                let touched = hit(&truth, keep, truth[index].chip, &blocks);
                let refused = failed(&checks, keep);
                assert!(
                    refused || !touched,
                    "round {round}: {write:?} reaches {keep:?}: {checks:?}"
                );
                let known = !hidden.contains(&true);
                assert!(touched || !refused || !known, "round {round}: {write:?}: {checks:?}");
                hits += u32::from(touched);
                doubts += u32::from(refused && !touched);
                // It yields to its own name and to no other.
                let (forced, _) = verdict(checks.clone(), &[keep.check()]);
                assert!(!failed(&forced, keep));
                assert_eq!(failed(&forced, other), failed(&checks, other));
                let (forced, _) = verdict(checks.clone(), &[other.check()]);
                assert_eq!(failed(&forced, keep), refused);
            }
            let (_, valid) = verdict(checks, &[Protection::Bootloader.check(), Protection::Settings.check()]);
            assert!(valid, "round {round}: nothing else stands against it");
        }
    }
    assert!(hits > 1000 && doubts > 100, "{hits} hits, {doubts} doubts");
}

/// The partition of the record is no way round either.
#[test]
fn a_record_is_kept_neither_in_what_is_written_nor_in_what_is_protected() {
    let part = |blocks: Range<u64>, keep| Truth { chip: 0, blocks, keep };
    let truth = [
        part(0..4, Some(Protection::Bootloader)),
        part(8..32, None),
        part(10..11, None),
    ];
    let named = |hidden: &[bool], index: usize| {
        let mut board = board(&truth, hidden);
        board.partitions[index].name = "flasher".into();
        board
    };
    let areas = |board: &Board, index: u32| [board.map.whole(PartitionId::Mtd(index))];
    let board = named(&[false; 3], 2);
    assert_eq!(
        board.record_beside([]).map(|partition| partition.id),
        Some(PartitionId::Mtd(2))
    );
    assert!(board.record_beside(areas(&board, 0)).is_some());
    assert!(board.record_beside(areas(&board, 1)).is_none(), "it lies within");
    assert!(board.record_beside(areas(&board, 2)).is_none(), "it is the one");
    let board = named(&[false, false, true], 2);
    assert!(board.record_partition().is_none(), "it may be the boot loader's");
}
