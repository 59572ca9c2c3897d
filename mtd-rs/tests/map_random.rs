//! The map against the truth, on boxes made up at random: true layouts are shown as the kernel shows them, with and without the
//! facts that some kernels leave out.
#![allow(clippy::unwrap_used)]

mod common;

use common::layout::{Layout, Mtd, mtd};
use mtd_rs::{Area, Map, Overlap, PartitionId};

/// xorshift64*, so that every run makes the same boxes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

const BLOCK: u64 = 0x1_0000;

/// A device, and where it really lies: chip and first byte.
struct True {
    shown: Mtd,
    chip: u64,
    start: u64,
}

struct Truth {
    devices: Vec<True>,
}

impl Truth {
    /// `master` says whether whole chips are listed, and where their partitions are shown then.
    fn new(random: &mut Random, master: Master) -> Truth {
        let mut truth = Truth { devices: Vec::new() };
        for chip in 0..1 + random.below(2) {
            let size = BLOCK * (4 << random.below(3));
            let home = format!("platform/spi0.{chip}");
            let listed = master != Master::Hidden && random.chance(2);
            let above = listed.then(|| truth.add(mtd(0, "chip", size).on(&home), chip, 0));
            let parent = above.filter(|_| master == Master::Above);
            let whole = Inside {
                chip,
                home: &home,
                parent,
                depth: 0,
            };
            truth.partitions(random, whole, (0, size));
            // A chip without partitions is always listed.
            if truth.devices.iter().all(|it| it.chip != chip) {
                truth.add(mtd(0, "chip", size).on(&home), chip, 0);
            }
        }
        truth
    }

    fn add(&mut self, shown: Mtd, chip: u64, start: u64) -> u32 {
        let index = self.devices.len() as u32;
        self.devices.push(True {
            shown: Mtd { index, ..shown },
            chip,
            start,
        });
        index
    }

    /// Partitions in bytes of a chip that begin at `base`; each may have its own.
    fn partitions(&mut self, random: &mut Random, inside: Inside<'_>, bytes: (u64, u64)) {
        let (base, size) = bytes;
        let mut at = 0;
        let mut inner = Vec::new();
        while at < size && !random.chance(8) {
            // Sometimes a hole, and sometimes they overlap, which the kernel takes.
            let hole = if random.chance(5) { BLOCK } else { 0 };
            let start = at + hole.min(size - at);
            let length = BLOCK * (1 + random.below((size - start).div_ceil(BLOCK).max(1)));
            let length = length.min(size - start);
            if length == 0 {
                break;
            }
            let name = ["boot", "kernel", "fs", "data"][random.below(4) as usize];
            let mut shown = mtd(0, name, length).at(start).on(inside.home);
            shown.parent = inside.parent;
            let index = self.add(shown, inside.chip, base + start);
            if inside.depth < 3 && random.chance(3) {
                inner.push((index, base + start, length));
            }
            at = if random.chance(12) { start } else { start + length };
            if self.devices.len() > 14 {
                break;
            }
        }
        for (index, start, length) in inner {
            let within = Inside {
                parent: Some(index),
                depth: inside.depth + 1,
                ..inside
            };
            self.partitions(random, within, (start, length));
        }
    }

    fn share(&self, a: (usize, (u64, u64)), b: (usize, (u64, u64))) -> bool {
        let bytes = |(index, (from, to)): (usize, (u64, u64))| {
            let it = &self.devices[index];
            (it.chip, it.start + from, it.start + to)
        };
        let (a, b) = (bytes(a), bytes(b));
        a.0 == b.0 && a.1.max(b.1) < a.2.min(b.2)
    }

    fn shown(&self) -> Vec<Mtd> {
        self.devices.iter().map(|it| it.shown.clone()).collect()
    }

    /// Whether the sizes of a chip's devices, or their offsets, read as a table without nesting that fills a chip, although they
    /// are none: what nests would then need a hole of its very size. That the map takes for the table.
    fn looks_plain(&self) -> bool {
        let chips = self.devices.iter().map(|it| it.chip).max().unwrap_or(0);
        (0..=chips).any(|chip| {
            let of: Vec<&True> = self.devices.iter().filter(|it| it.chip == chip).collect();
            of.iter().map(|it| it.shown.size).sum::<u64>().is_power_of_two()
        })
    }
}

/// Where partitions are made.
#[derive(Clone, Copy)]
struct Inside<'a> {
    chip: u64,
    /// The chip's place in the device tree.
    home: &'a str,
    /// The device that is shown above them.
    parent: Option<u32>,
    /// How deep they nest.
    depth: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Master {
    Hidden,
    Above,
    Beside,
}

/// Compares whole devices and some parts of them. Answers how often the map did not know.
fn compare(truth: &Truth, map: &Map, random: &mut Random, exact: bool) -> (u32, u32) {
    let (mut doubts, mut asked) = (0, 0);
    for a in 0..truth.devices.len() {
        for b in 0..truth.devices.len() {
            let mut part = |index: usize, whole: bool| {
                let size = truth.devices[index].shown.size;
                if whole {
                    return (0, size);
                }
                let from = random.below(size);
                (from, from + 1 + random.below(size - from))
            };
            for whole in [true, false] {
                let (x, y) = (part(a, whole), part(b, whole));
                let area = |index: usize, (from, to)| Area {
                    id: PartitionId::Mtd(truth.devices[index].shown.index),
                    range: from..to,
                };
                let answer = map.overlap(&area(a, x), &area(b, y));
                assert_eq!(answer, map.overlap(&area(b, y), &area(a, x)));
                let shared = truth.share((a, x), (b, y));
                let context = || format!("mtd{a} {x:x?} and mtd{b} {y:x?} of {:#?}", truth.shown());
                assert!(!shared || answer != Overlap::No, "{}", context());
                if exact {
                    let expected = if shared { Overlap::Yes } else { Overlap::No };
                    assert_eq!(answer, expected, "{}", context());
                }
                doubts += u32::from(answer == Overlap::Maybe);
                asked += 1;
            }
        }
    }
    (doubts, asked)
}

#[test]
fn where_all_is_shown_the_map_is_the_truth() {
    let mut random = Random(0x5eed_0001);
    for _ in 0..50 {
        let master = [Master::Hidden, Master::Above, Master::Beside][random.below(3) as usize];
        let truth = Truth::new(&mut random, master);
        let map = Layout::new(truth.shown()).map();
        compare(&truth, &map, &mut random, true);
    }
}

#[test]
fn where_offsets_are_not_shown_nothing_shared_is_called_apart() {
    let mut random = Random(0x5eed_0002);
    let mut doubts = (0, 0);
    for round in 0..80 {
        let truth = Truth::new(&mut random, Master::Hidden);
        if truth.looks_plain() {
            continue;
        }
        let mut shown = truth.shown();
        for it in &mut shown {
            it.parent = None;
        }
        let layout = Layout::new(shown);
        let layout = if round % 2 == 0 {
            layout.without_offsets()
        } else {
            layout.without_sysfs()
        };
        let (unknown, asked) = compare(&truth, &layout.map(), &mut random, false);
        doubts = (doubts.0 + unknown, doubts.1 + asked);
    }
    assert!(doubts.1 > 2000, "{doubts:?}");
}

#[test]
fn where_parents_are_not_shown_nothing_shared_is_called_apart() {
    let mut random = Random(0x5eed_0003);
    let mut doubts = (0, 0);
    for _ in 0..50 {
        let truth = Truth::new(&mut random, Master::Beside);
        if truth.looks_plain() {
            continue;
        }
        // Offsets from the partition that it lies in, or from the chip, as OpenWrt's splitters have it.
        let flat = random.chance(2);
        let mut shown = truth.shown();
        for (it, known) in shown.iter_mut().zip(&truth.devices) {
            it.parent = None;
            if flat && it.offset.is_some() {
                it.offset = Some(known.start);
            }
        }
        let map = Layout::new(shown).release("4.4.60").map();
        let (unknown, asked) = compare(&truth, &map, &mut random, false);
        doubts = (doubts.0 + unknown, doubts.1 + asked);
    }
    assert!(doubts.1 > 2000 && doubts.0 * 2 < doubts.1, "{doubts:?}");
}

#[test]
fn damaged_facts_are_never_the_end() {
    let mut random = Random(0x5eed_0004);
    for _ in 0..25 {
        let mut shown = Truth::new(&mut random, Master::Above).shown();
        for it in &mut shown {
            match random.below(6) {
                0 => it.offset = None,
                1 => it.offset = Some(u64::MAX - random.below(9)),
                2 => it.size = 0,
                3 => (it.size, it.erase) = (u64::MAX - random.below(9), 0),
                4 => it.erase = 0,
                _ => {}
            }
        }
        let map = Layout::new(shown).map();
        for id in map.ids() {
            for other in map.overlapping(id) {
                assert!(map.overlapping(other).contains(&id), "{id} and {other}");
            }
            let _ = (map.place(id), map.chip(id), map.parent(id), map.children(id));
        }
    }
}
