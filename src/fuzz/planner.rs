//! The planner, and the engine that does what it planned, on flash of any shape.
//!
//! What must hold, whatever is planned: nothing outside of the target changes, no erase block is written twice, what stands behind
//! the image's end is kept where the plan says so, and doing it a second time does nothing.

use super::eaten::Eaten;

use crate::board::profile::Profile;
use crate::board::{Backend, Board, Health, Partition};
use crate::bytes::store::Store;
use crate::flash::{self, Policy, Target};
use crate::image::ubi::{HEADER, Layout};
use crate::image::{self, Reading};
use crate::layout::{Choice, Request, lay_out};
use crate::plan::{Destination, Method, Rest, Write};
use mtd_rs::map::OnChip;
use mtd_rs::{EraseRegion, Flash, Geometry, Map, MtdInfo, PartitionId, SimChip};
use std::ops::Range;

/// A write of any bytes to any place of flash of any shape.
pub fn write(input: &[u8]) {
    let mut input = Eaten(input);
    let geometry = shape(&mut input);
    let blocks: Vec<Range<u64>> = geometry.blocks().collect();
    let mut bad: Vec<u64> = Vec::new();
    if geometry.kind.is_nand() {
        let which = input.number(4);
        bad.extend(
            blocks
                .iter()
                .enumerate()
                .filter(|(at, _)| which >> (at % 32) & 1 == 1)
                .map(|(_, block)| block.start),
        );
    }
    let method = method(&mut input);
    let first = blocks[input.below(blocks.len())].start;
    // A UBI takes all of its partition.
    let offset = if matches!(method, Method::Ubi(_)) { 0 } else { first };
    let mut length = input.below(geometry.size as usize + 2 * geometry.erase_size as usize) as u64;
    if matches!(method, Method::Ubi(_)) {
        length -= length % u64::from(geometry.erase_size);
    }
    let start = u64::from(input.number(1) as u8);
    let to = Destination {
        id: PartitionId::Mtd(0),
        name: "target".to_owned(),
        size: geometry.size,
        erase_size: geometry.erase_size,
        bad: bad.clone(),
    };
    let mut write = Write::new(to, &geometry, offset, start..start + length).by(method, &geometry);
    write.order.boot = input.number(1) & 1 == 1;
    write.order.recovery = input.number(1) & 1 == 1;
    if planned(&write, &geometry, &bad) == length {
        done(&write, &geometry, &mut input);
    }
}

fn shape(input: &mut Eaten<'_>) -> Geometry {
    let erase_size = 1024 << input.below(4);
    let count = 1 + input.below(20) as u64;
    match input.below(3) {
        0 => Geometry::nor(count * u64::from(erase_size), erase_size),
        1 => Geometry::nand(count * u64::from(erase_size), erase_size, 512, 16),
        // A NOR whose first blocks are small ones.
        _ => {
            let small = 1 + input.below(4) as u32;
            let mut geometry = Geometry::nor(
                (u64::from(small) * 512 + count * u64::from(erase_size)).max(1),
                erase_size,
            );
            geometry.regions = vec![
                EraseRegion {
                    offset: 0,
                    erase_size: 512,
                    blocks: small,
                },
                EraseRegion {
                    offset: u64::from(small) * 512,
                    erase_size,
                    blocks: count as u32,
                },
            ];
            geometry
        }
    }
}

fn method(input: &mut Eaten<'_>) -> Method {
    match input.below(8) {
        0 => Method::Ubi(Layout {
            volume_header: 64,
            data: 128,
            image_seq: 7,
            needed: 0,
        }),
        other => Method::Blocks {
            leave_blank: other & 1 == 1,
            rest: [Rest::Keep, Rest::Blank, Rest::Zero][other % 3],
        },
    }
}

/// The plan by itself; answers how many bytes of the image find a place.
fn planned(write: &Write, geometry: &Geometry, bad: &[u64]) -> u64 {
    let all: Vec<Range<u64>> = geometry.blocks().collect();
    let mut end = write.range.start;
    let mut at = write.source.start;
    let mut count = 0;
    for step in write.blocks(geometry) {
        assert!(step.block.start >= end, "a block twice, or in another order: {step:?}");
        assert!(all.contains(&step.block), "no erase block: {step:?}");
        assert!(!bad.contains(&step.block.start), "a bad block: {step:?}");
        assert!(step.block.end <= geometry.size, "outside of the target: {step:?}");
        assert_eq!(step.image.start, at, "the image in its order: {step:?}");
        assert!(
            step.image.end - step.image.start <= step.block.end - step.block.start,
            "{step:?}"
        );
        assert!(step.bytes() <= step.block.end - step.block.start, "{step:?}");
        (end, at) = (step.block.end, step.image.end);
        count += 1;
    }
    assert!(at <= write.source.end);
    assert_eq!((write.range.end, write.erase_blocks), (end, count));
    at - write.source.start
}

/// Does it on a chip whose partition is in the middle, and looks at everything.
fn done(write: &Write, geometry: &Geometry, input: &mut Eaten<'_>) {
    let mut bytes = Noise(u32::from(input.number(1) as u8) + 1);
    let image: Vec<u8> = (0..write.source.end).map(|at| bytes.next(at)).collect();
    let old: Vec<u8> = (0..geometry.size).map(|at| bytes.next(at)).collect();
    let chip = SimChip::in_memory(geometry);
    chip.load(0, &old);
    for block in &write.to.bad {
        chip.make_bad(*block);
    }
    let was = chip.contents(0..geometry.size);
    let store = Store::Memory(image.clone());
    let run = || {
        let flash: Box<dyn Flash> = Box::new(chip.whole("target"));
        let target = Target {
            write: write.clone(),
            up_to_date: Vec::new(),
            flash,
        };
        flash::write(vec![target], &store, Policy::default(), &mut |_| ())
            .and_then(|written| written.verify(&store, &mut |_| ()))
            .unwrap()
    };
    let first = run();
    assert!(
        first.tally.unchanged + first.tally.erased <= write.erase_blocks,
        "{:?}",
        first.tally
    );
    let now = chip.contents(0..geometry.size);
    let steps: Vec<_> = write.blocks(geometry).collect();
    let range = |range: &Range<u64>| range.start as usize..range.end as usize;
    for block in geometry
        .blocks()
        .filter(|block| !steps.iter().any(|step| step.block == *block))
    {
        assert!(
            now[range(&block)] == was[range(&block)],
            "a block that is not in the plan changed: {block:?}"
        );
        assert_eq!(chip.erases_of(block.start), 0, "{block:?}");
    }
    for step in &steps {
        let (new, before) = (&now[range(&step.block)], &was[range(&step.block)]);
        let wanted = &image[range(&step.image)];
        let (head, tail) = new.split_at(wanted.len());
        if let Method::Ubi(_) = write.method {
            assert!(wanted.is_empty() || head[HEADER..] == wanted[HEADER..], "{step:?}");
            continue;
        }
        assert!(head == wanted, "not the image: {step:?}");
        match write.method.rest().byte() {
            Some(byte) => assert!(tail.iter().all(|is| *is == byte), "the rest: {step:?}"),
            None => assert!(tail == &before[wanted.len()..], "the tail was not kept: {step:?}"),
        }
    }
    let erases: Vec<u32> = steps.iter().map(|step| chip.erases_of(step.block.start)).collect();
    assert!(
        erases.iter().all(|erases| *erases <= 1),
        "a block was erased twice: {erases:?}"
    );
    let programs = chip.counters().programs;
    let again = run();
    assert_eq!(
        (again.tally.erased, chip.counters().programs),
        (0, programs),
        "the second time it does nothing"
    );
    assert!(chip.contents(0..geometry.size) == now);
}

/// Bytes of which each run has others; some of them blank, as flash often is.
struct Noise(u32);

impl Noise {
    fn next(&mut self, at: u64) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match at / 300 % 4 {
            0 => 0xff,
            _ => (self.0 >> 24) as u8,
        }
    }
}

/// Any image over any partitions that are named.
pub fn layout(input: &[u8]) {
    let mut input = Eaten(input);
    let count = 1 + input.below(4);
    let mut at = 0;
    let partitions: Vec<(Partition, u64)> = (0..count)
        .map(|index| {
            let geometry = shape(&mut input);
            let which = if geometry.kind.is_nand() { input.number(4) } else { 0 };
            let bad = geometry
                .blocks()
                .enumerate()
                .filter(|(at, _)| which >> (at % 32) & 1 == 1)
                .map(|(_, block)| block.start)
                .collect();
            let offset = at;
            at += geometry.size.next_multiple_of(8192);
            let partition = Partition {
                id: PartitionId::Mtd(index as u32),
                // Of two with one name nobody can say which is meant.
                name: ["kernel", "rootfs", "config", "kernel"][(index + input.below(2)) % 4].to_owned(),
                geometry,
                bad,
                writable: true,
                keep: None,
                holds: Vec::new(),
                recovery: input.below(4) == 0,
                fixed_offset: input.below(4) == 0,
                fixed_length: input.below(4) == 0,
                loads: None,
                health: Health::default(),
                volume: None,
            };
            (partition, offset)
        })
        .collect();
    let parts: Vec<Choice> = (0..input.below(4))
        .map(|_| Choice::from(["kernel", "rootfs", "config", "mtd0", "mtd1", "none"][input.below(6)]))
        .collect();
    let reading = Reading {
        room: 1 << 20,
        ..Reading::default()
    };
    let Ok((store, image)) = image::open(Store::Memory(input.0.to_vec()), String::new(), &reading) else {
        return;
    };
    let board = board(partitions);
    let request = Request {
        parts: &parts,
        slot: None,
    };
    let Ok(Ok(laid_out)) = lay_out(&board, &image, &store, &request) else {
        return;
    };
    let mut taken: Vec<(PartitionId, Range<u64>)> = Vec::new();
    for placed in &laid_out.placed {
        let write = &placed.write;
        let partition = board.get(write.to.id).unwrap();
        let fits = planned(write, &partition.geometry, &partition.bad);
        assert!(
            write.source.end <= store.len(),
            "bytes that the image does not have: {write:?}"
        );
        assert_eq!(fits, write.length(), "it is longer than its partition: {write:?}");
        let meets = |(id, range): &(PartitionId, Range<u64>)| {
            *id == write.to.id && range.start < write.range.end && write.range.start < range.end
        };
        assert!(
            !taken.iter().any(meets),
            "erase blocks that are planned twice: {:?}",
            laid_out.placed
        );
        taken.push((write.to.id, write.range.clone()));
    }
}

fn board(partitions: Vec<(Partition, u64)>) -> Board {
    let device = |(partition, offset): &(Partition, u64)| OnChip {
        info: MtdInfo::new(
            crate::plan::told::number(partition.id),
            &partition.name,
            partition.geometry.clone(),
        ),
        chip: "flash".into(),
        offset: Some(*offset),
    };
    Board {
        map: Map::new(partitions.iter().map(device), Vec::new()),
        profile: Profile::find("generic").unwrap(),
        remark: None,
        suspects: Vec::new(),
        partitions: partitions.into_iter().map(|(partition, _)| partition).collect(),
        names: Vec::new(),
        hardware: Default::default(),
        compat: "1.0".into(),
        backend: Backend::Linux,
    }
}
