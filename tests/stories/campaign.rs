//! Thousands of scripted faults: the verdict never says what the flash contradicts, a second run completes after a power
//! cut, and neighbours never change.

use crate::engine::{target, write_to};
use crate::simbox::bytes;
use flasher::base::code::Code;
use flasher::base::error::Harm;
use flasher::base::outcome::Stopped;
use flasher::bytes::store::Store;
use flasher::flash::{self, Policy, Verified};
use flasher::plan::Write;
use mtd_rs::{Fault, Flash, Geometry, SimChip};
use std::collections::BTreeMap;

const BLOCK: u64 = 16 << 10;
const PAGE: u64 = 512;
/// Blocks of the partition, and of its neighbours on either side.
const BLOCKS: u64 = 6;
const NEIGHBOUR: u64 = 2 * BLOCK;
const SIZE: u64 = BLOCKS * BLOCK;
const CASES: u64 = 2400;

/// A generator that gives the same campaign on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) % sides
    }
}

struct Case {
    chip: SimChip,
    nand: bool,
    old: Vec<u8>,
    new: Vec<u8>,
    write: Write,
    policy: Policy,
}

impl Case {
    fn deal(dice: &mut Dice) -> Case {
        let nand = dice.roll(2) == 1;
        let whole = SIZE + 2 * NEIGHBOUR;
        let chip = match nand {
            true => SimChip::nand(whole, BLOCK as u32, PAGE as u32, 16),
            false => SimChip::nor(whole, BLOCK as u32),
        };
        let chip = chip.build().unwrap();
        let old = bytes(whole as usize, dice.roll(1000));
        chip.load(0, &old);
        // Sometimes all of it, sometimes a few blocks change; the end is anywhere, and on NAND a spare block remains.
        let room = if nand { SIZE - BLOCK } else { SIZE };
        let length = room - dice.roll(BLOCK);
        let start = NEIGHBOUR as usize;
        let mut new = old[start..start + length as usize].to_vec();
        let changed = dice.roll(1 << BLOCKS) | 1 << dice.roll(BLOCKS - 1);
        for (index, block) in new.chunks_mut(BLOCK as usize).enumerate() {
            if changed >> index & 1 == 1 {
                block.copy_from_slice(&bytes(block.len(), 5000 + index as u64));
            }
        }
        let boot = dice.roll(2) == 1;
        let write = write_to(&Geometry::nor(SIZE, BLOCK as u32), length, boot);
        let policy = Policy {
            keep_old: dice.roll(3) * 3 * BLOCK,
            mark_bad: nand && dice.roll(2) == 1,
        };
        Case {
            chip,
            nand,
            old,
            new,
            write,
            policy,
        }
    }

    fn fault(&self, dice: &mut Dice) -> Fault {
        let block = NEIGHBOUR + dice.roll(BLOCKS) * BLOCK;
        let offset = NEIGHBOUR + dice.roll(SIZE);
        let times = [1, 2, 4, u32::MAX][dice.roll(4) as usize];
        match dice.roll(7) {
            0 => Fault::EraseFails { block, times },
            1 => Fault::ProgramFails { offset, times },
            // A bit that reads wrong again and again, and then right, is beyond what reading twice can find.
            2 => {
                let times = [1, 2, u32::MAX][dice.roll(3) as usize];
                Fault::FlipOnRead {
                    offset,
                    bit: dice.roll(8) as u8,
                    times,
                }
            }
            3 => Fault::StuckBit {
                offset,
                bit: dice.roll(8) as u8,
            },
            4 => Fault::ReadFails { offset, times },
            5 if self.nand => Fault::Uncorrectable { offset, times },
            _ => Fault::PowerCutAfter {
                operations: dice.roll(40),
            },
        }
    }

    fn run(&self, policy: Policy) -> Result<Verified, Stopped> {
        let range = NEIGHBOUR..NEIGHBOUR + SIZE;
        let flash: Box<dyn Flash> = Box::new(self.chip.partition("mtd1 \"test\"", range, true));
        let mut write = self.write.clone();
        // Blocks that the run before marked bad are in the map that the next one begins with.
        let mut look = self.chip.partition("look", NEIGHBOUR..NEIGHBOUR + SIZE, false);
        write.to.bad = (0..BLOCKS)
            .map(|n| n * BLOCK)
            .filter(|block| look.is_bad(*block).unwrap())
            .collect();
        let image = Store::Memory(self.new.clone());
        flash::write(vec![target(&write, flash)], &image, policy, &mut |_| ())?.verify(&image, &mut |_| ())
    }

    /// What the good blocks hold from the beginning.
    fn written(&self) -> Vec<u8> {
        let mut look = self.chip.partition("look", NEIGHBOUR..NEIGHBOUR + SIZE, false);
        let mut content = Vec::new();
        for block in (0..BLOCKS).map(|n| n * BLOCK) {
            if !look.is_bad(block).unwrap() {
                content.extend(self.chip.contents(NEIGHBOUR + block..NEIGHBOUR + block + BLOCK));
            }
        }
        content.truncate(self.new.len());
        content
    }

    /// What is on the chip, but for bits that always read wrong: what their cells hold makes no difference.
    fn chip(&self, faults: &[Fault]) -> Vec<u8> {
        let mut all = self.chip.contents(0..SIZE + 2 * NEIGHBOUR);
        for fault in faults {
            if let Fault::StuckBit { offset, .. }
            | Fault::FlipOnRead {
                offset,
                times: u32::MAX,
                ..
            } = *fault
            {
                all[offset as usize] = self.old[offset as usize];
            }
        }
        all
    }

    /// Runs, and holds the verdict against the chip.
    #[track_caller]
    fn judge(&self, faults: &[Fault], what: &str) -> Result<Verified, Stopped> {
        let before = self.chip(faults);
        let result = self.run(self.policy);
        let after = self.chip(faults);
        let inside = NEIGHBOUR as usize..(NEIGHBOUR + SIZE) as usize;
        assert!(
            after[..inside.start] == self.old[..inside.start],
            "{what}: the neighbour in front changed"
        );
        assert!(
            after[inside.end..] == self.old[inside.end..],
            "{what}: the neighbour behind changed"
        );
        match &result {
            Ok(_) => assert!(self.written() == self.new, "{what}: said to be written"),
            Err(stopped) if stopped.failure.harm == Harm::Untouched => {
                let differs = inside.clone().find(|at| after[*at] != before[*at]);
                assert_eq!(differs, None, "{what}: said to be untouched: {}", stopped.failure);
            }
            Err(stopped) => assert_eq!(stopped.failure.harm, Harm::Partly, "{what}"),
        }
        result
    }
}

fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::EraseFails { .. } => "erase fails",
        Fault::ProgramFails { .. } => "program fails",
        Fault::FlipOnRead { .. } => "flip",
        Fault::Uncorrectable { .. } => "uncorrectable",
        Fault::ReadFails { .. } => "read fails",
        Fault::PowerCutAfter { .. } => "power cut",
        Fault::StuckBit { .. } => "stuck bit",
        _ => panic!("a fault without a name here: {fault:?}"),
    }
}

#[test]
fn no_fault_makes_the_verdict_a_lie() {
    let mut dice = Dice(0x5eed);
    let (mut written, mut stopped, mut cuts, mut back) = (0, 0, 0, 0);
    // How often each kind of fault was dealt, on NOR and on NAND; and how often one alone made the engine try again.
    let mut met: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let mut again: BTreeMap<&str, u32> = BTreeMap::new();
    for number in 0..CASES {
        let case = Case::deal(&mut dice);
        let faults: Vec<Fault> = (0..=dice.roll(2)).map(|_| case.fault(&mut dice)).collect();
        faults.iter().for_each(|fault| case.chip.inject(*fault));
        let what = format!("case {number}, {faults:?}, {:?}", case.policy);
        let result = case.judge(&faults, &what);
        faults
            .iter()
            .for_each(|fault| met.entry(kind(fault)).or_default()[usize::from(case.nand)] += 1);
        let tally = match &result {
            Ok(verified) => verified.tally,
            Err(stopped) => stopped.tally,
        };
        if let ([only], true) = (faults.as_slice(), tally.retried > 0) {
            *again.entry(kind(only)).or_default() += 1;
        }
        match &result {
            Ok(_) => written += 1,
            Err(end) if end.failure.code == Code::RolledBack => back += 1,
            Err(_) => stopped += 1,
        }
        // After each power cut the next run goes on; without a lasting fault one of them completes.
        let lasting = faults.iter().any(|fault| !matches!(fault, Fault::PowerCutAfter { .. }));
        let mut last = result;
        while !case.chip.power() {
            cuts += 1;
            case.chip.restore_power();
            last = case.judge(&faults, &format!("{what}, run {cuts}"));
        }
        assert!(
            last.is_ok() || lasting,
            "{what}: no later run completes: {:?}",
            last.err()
        );
    }
    println!("{CASES} cases: {written} written, {back} rolled back, {stopped} stopped, {cuts} power cuts");
    println!("dealt on NOR and NAND: {met:?}; tried again because of one alone: {again:?}");
    for (kind, [nor, nand]) in &met {
        assert!(
            *nand > 100 && (*nor > 100 || *kind == "uncorrectable"),
            "{kind}: {nor} {nand}"
        );
    }
    assert_eq!(met.len(), 7);
    for kind in ["erase fails", "program fails", "flip", "stuck bit", "uncorrectable"] {
        assert!(again.get(kind).is_some_and(|count| *count > 5), "{kind}: {again:?}");
    }
    // Every kind of end was met often, or the campaign says nothing.
    assert!(
        written > 400 && stopped > 400 && cuts > 100 && back > 100,
        "{written} {stopped} {cuts} {back}"
    );
}

/// Not at random moments but at every one there is, of plans that change some blocks and of those that change all.
#[test]
fn a_power_cut_at_every_operation_is_told_truly_and_made_good() {
    let mut dice = Dice(0xc0_ffee);
    let mut cuts = [0, 0];
    for plan in 0..30 {
        dice.roll(2);
        let seed = dice.0;
        for operations in 0.. {
            let case = Case::deal(&mut Dice(seed));
            case.chip.inject(Fault::PowerCutAfter { operations });
            let what = format!("plan {plan}, after {operations}, {:?}", case.policy);
            let result = case.judge(&[], &what);
            if case.chip.power() {
                assert!(result.is_ok(), "{what}: {:?}", result.err());
                break;
            }
            assert!(result.is_err(), "{what}: said to be written without power");
            cuts[usize::from(case.nand)] += 1;
            case.chip.restore_power();
            let second = case.judge(&[], &what);
            assert!(second.is_ok(), "{what}: the second run: {:?}", second.err());
        }
    }
    println!("{} power cuts on NOR, {} on NAND", cuts[0], cuts[1]);
    assert!(cuts.iter().all(|cuts| *cuts > 60), "{cuts:?}");
}
