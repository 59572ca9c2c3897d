//! UBI images on NAND, written as `ubiformat` does: made by the real `ubinize`, and looked at field by field with what
//! `drivers/mtd/ubi/ubi-media.h` says, not with what flasher thinks of it.

use crate::engine::{run, run_with, write_to};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use flasher::base::error::Harm;
use flasher::bytes::store::Store;
use flasher::flash::Policy;
use flasher::image::content;
use flasher::plan::{Method, Write};
use mtd_rs::{Fault, Flash, Geometry, SimChip};
use std::fs;

const BLOCK: usize = 16 << 10;
const PAGE: usize = 512;
/// Where `ubinize` puts data of such flash: behind two pages of headers.
const DATA: usize = 2 * PAGE;
const BLOCKS: usize = 24;
const BAD: [usize; 2] = [1, 6];

/// UBI's CRC-32: the polynomial of Ethernet, bit by bit, begun with all ones and not inverted at the end.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Counter, offsets and image number of an erase counter header, if it is one.
fn ec_header(block: &[u8]) -> Option<(u64, u32, u32, u32)> {
    let whole = &block[..4] == b"UBI#" && block[4] == 1 && be32(block, 60) == crc(&block[..60]);
    let padding = block[5..8].iter().chain(&block[28..60]).all(|byte| *byte == 0);
    let counter = u64::from_be_bytes(block[8..16].try_into().unwrap());
    (whole && padding).then(|| (counter, be32(block, 16), be32(block, 20), be32(block, 24)))
}

fn make_header(block: &mut [u8], counter: u64, seq: u32) {
    block[..64].fill(0);
    block[..5].copy_from_slice(b"UBI#\x01");
    block[8..16].copy_from_slice(&counter.to_be_bytes());
    block[16..20].copy_from_slice(&(PAGE as u32).to_be_bytes());
    block[20..24].copy_from_slice(&(DATA as u32).to_be_bytes());
    block[24..28].copy_from_slice(&seq.to_be_bytes());
    let sum = crc(&block[..60]);
    block[60..64].copy_from_slice(&sum.to_be_bytes());
}

/// An image of a volume with two blocks full of data, one that is used up to its first page only, and one more.
pub fn ubinize(seq: u32, seed: u64, args: &[&str], kind: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let leb = BLOCK - DATA;
    let mut volume = bytes(4 * leb, seed);
    volume[2 * leb + 100..3 * leb].fill(0xff);
    fs::write(path("volume"), volume).unwrap();
    let ini = format!(
        "[v]\nmode=ubi\nimage={}\nvol_id=3\nvol_type={kind}\nvol_name=rootfs\nvol_size=150KiB\n",
        path("volume")
    );
    fs::write(path("ini"), ini).unwrap();
    let (out, seq, ini) = (path("image"), seq.to_string(), path("ini"));
    let mut all = vec!["-o", &out, "-p", "16KiB", "-m", "512", "-Q", &seq];
    all.extend(args);
    all.push(&ini);
    tool("ubinize", &all);
    read(out.as_ref())
}

fn chip() -> SimChip {
    let chip = SimChip::nand((BLOCKS * BLOCK) as u64, BLOCK as u32, PAGE as u32, 16);
    let chip = chip.build().unwrap();
    BAD.iter().for_each(|block| chip.make_bad((block * BLOCK) as u64));
    chip
}

/// The counter that a block has before: the third block has a damaged header, the last is blank.
fn counter(block: usize) -> Option<u64> {
    (![2, BLOCKS - 1].contains(&block)).then_some(100 + 7 * block as u64)
}

/// A chip with an UBI that has been in use.
fn used_chip() -> SimChip {
    let chip = chip();
    for block in (0..BLOCKS - 1).filter(|block| !BAD.contains(block)) {
        let mut content = bytes(BLOCK, 900 + block as u64);
        make_header(&mut content, counter(block).unwrap_or(1 << 20), 0x01d);
        if counter(block).is_none() {
            content[30] ^= 1;
        }
        chip.load((block * BLOCK) as u64, &content);
    }
    chip
}

/// The plan that the image's bytes ask for.
fn planned(image: &Store, bad: &[u64]) -> Write {
    let content = content::look(image, 0..image.len()).unwrap().unwrap();
    assert_eq!(content.problem, None);
    let geometry = Geometry::nand((BLOCKS * BLOCK) as u64, BLOCK as u32, PAGE as u32, 64);
    let mut write = write_to(&geometry, image.len(), false);
    write.to.bad = bad.to_vec();
    write.by(Method::Ubi(content.ubi.unwrap()), &geometry)
}

fn bad_now(chip: &SimChip) -> Vec<u64> {
    let mut flash = chip.whole("look");
    let blocks = (0..BLOCKS).map(|block| (block * BLOCK) as u64);
    blocks.filter(|block| flash.is_bad(*block).unwrap()).collect()
}

/// What is wrong with the chip as home of this image, if anything; `seq` is the image's number.
fn wrong(chip: &SimChip, image: &[u8], seq: u32) -> Option<String> {
    let bad = bad_now(chip);
    let mut wanted = image.chunks(BLOCK);
    for block in (0..BLOCKS).filter(|block| !bad.contains(&((block * BLOCK) as u64))) {
        let at = (block * BLOCK) as u64;
        let content = chip.contents(at..at + BLOCK as u64);
        match ec_header(&content) {
            Some((_, volume, data, found)) if (volume, data, found) == (PAGE as u32, DATA as u32, seq) => (),
            other => return Some(format!("block {block} has the header {other:?}")),
        }
        let right = match wanted.next() {
            Some(wanted) => content[64..] == wanted[64..],
            None => content[64..].iter().all(|byte| *byte == 0xff),
        };
        if !right {
            return Some(format!("block {block} has other content"));
        }
    }
    wanted.next().map(|_| "the image does not fit".into())
}

#[test]
fn each_block_keeps_its_erase_counter_and_those_behind_the_image_hold_nothing_else() {
    let chip = used_chip();
    let image = ubinize(77, 1, &[], "dynamic");
    let used = image.len() / BLOCK;
    assert_eq!(used, 6, "two blocks of the volume table and four of data");
    let store = Store::Memory(image.clone());
    let write = planned(&store, &bad_now(&chip));
    let verified = run(&chip, &write, &store, &mut |_| ()).unwrap();
    assert_eq!(wrong(&chip, &image, 77), None);
    assert_eq!((verified.tally.erased, verified.tally.unchanged), (22, 0));
    let known: Vec<u64> = (0..BLOCKS).filter(|b| !BAD.contains(b)).filter_map(counter).collect();
    for block in (0..BLOCKS).filter(|block| !BAD.contains(block)) {
        let content = chip.contents((block * BLOCK) as u64..((block + 1) * BLOCK) as u64);
        let found = ec_header(&content).unwrap().0;
        match counter(block) {
            Some(before) => assert_eq!(found, before + 1, "block {block}"),
            // Block 2 is asked for when one block was erased already, the last when all were.
            None => {
                let mean = known.iter().sum::<u64>() / known.len() as u64;
                assert!(found.abs_diff(mean) <= 1, "block {block}: {found}, mean {mean}");
            }
        }
    }
    for block in BAD {
        assert_eq!(chip.erases_of((block * BLOCK) as u64), 0, "block {block} is bad");
    }
}

/// UBIFS writes to pages that it finds blank; a page that was programmed with 0xFF takes no second program.
#[test]
fn blank_pages_at_the_end_of_a_block_are_not_programmed() {
    let chip = used_chip();
    let store = Store::Memory(ubinize(5, 2, &[], "dynamic"));
    let _ = run(&chip, &planned(&store, &bad_now(&chip)), &store, &mut |_| ()).unwrap();
    let mut flash = chip.whole("ubifs");
    // The image's fifth block, behind two bad ones no longer; its headers and its first page of data are used.
    let partly = 5 * BLOCK;
    flash.program((partly + 3 * PAGE) as u64, &[7; PAGE]).unwrap();
    // A block without data: UBI puts the volume header on its second page.
    flash.program(((BLOCKS - 1) * BLOCK + PAGE) as u64, &[7; PAGE]).unwrap();
}

#[test]
fn the_same_image_again_erases_nothing_and_reads_each_block_once_and_once_more_to_verify() {
    let chip = used_chip();
    let store = Store::Memory(ubinize(5, 2, &[], "static"));
    let write = planned(&store, &bad_now(&chip));
    let _ = run(&chip, &write, &store, &mut |_| ()).unwrap();
    chip.reset_counters();
    let verified = run(&chip, &write, &store, &mut |_| ()).unwrap();
    let counters = chip.counters();
    assert_eq!((counters.erases, counters.programs), (0, 0));
    assert_eq!((verified.tally.erased, verified.tally.unchanged), (0, 22));
    assert_eq!(counters.bytes_read, 2 * 22 * BLOCK as u64);
}

#[test]
fn a_block_whose_header_is_damaged_or_of_another_ubi_is_written_again() {
    let chip = used_chip();
    let image = ubinize(5, 2, &[], "static");
    let store = Store::Memory(image.clone());
    let write = planned(&store, &bad_now(&chip));
    let _ = run(&chip, &write, &store, &mut |_| ()).unwrap();
    // A flipped bit in a header; a block of an older image behind the end; data of UBI's own behind the end.
    let mut one = chip.contents(0..BLOCK as u64);
    one[62] ^= 1;
    chip.load(0, &one);
    let mut other = vec![0xff; BLOCK];
    make_header(&mut other, 40, 4);
    chip.load((20 * BLOCK) as u64, &other);
    chip.load((21 * BLOCK + DATA) as u64, &[1; PAGE]);
    let verified = run(&chip, &write, &store, &mut |_| ()).unwrap();
    assert_eq!(verified.tally.erased, 3);
    assert_eq!(wrong(&chip, &image, 5), None);
    let header = chip.contents((20 * BLOCK) as u64..(20 * BLOCK + 64) as u64);
    assert_eq!(ec_header(&header).unwrap().0, 41);
}

/// With the volume header in the second half of the first page, a page with the erase counter alone would stand in the
/// way of UBI's own second program.
#[test]
fn where_both_headers_share_a_page_blocks_behind_the_image_stay_blank() {
    let chip = used_chip();
    let image = ubinize(5, 2, &["-s", "256"], "static");
    assert_eq!(be32(&image, 16), 256);
    let store = Store::Memory(image.clone());
    let write = planned(&store, &bad_now(&chip));
    for erased in [21, 0] {
        let verified = run(&chip, &write, &store, &mut |_| ()).unwrap();
        // The last block is blank already.
        assert_eq!(verified.tally.erased, erased);
        assert!(chip.contents((12 * BLOCK) as u64..(BLOCKS * BLOCK) as u64) == vec![0xff; 12 * BLOCK]);
        let first = chip.contents(0..BLOCK as u64);
        assert_eq!(ec_header(&first), Some((101, 256, 512, 5)));
        assert!(first[64..] == image[64..BLOCK]);
    }
}

#[test]
fn a_power_cut_at_any_operation_is_made_good_by_a_second_run() {
    let image = ubinize(9, 3, &[], "dynamic");
    let store = Store::Memory(image.clone());
    let mut cuts = 0;
    for operations in 0.. {
        let chip = used_chip();
        let write = planned(&store, &bad_now(&chip));
        chip.inject(Fault::PowerCutAfter { operations });
        let Err(stopped) = run(&chip, &write, &store, &mut |_| ()) else {
            break;
        };
        cuts += 1;
        assert_eq!(stopped.failure.harm, Harm::Partly);
        chip.restore_power();
        let verified = run(&chip, &write, &store, &mut |_| ()).unwrap();
        assert_eq!(wrong(&chip, &image, 9), None, "after {operations}");
        assert!(verified.tally.unchanged >= operations / 2, "after {operations}");
        for block in (0..BLOCKS).filter(|block| counter(*block).is_some() && !BAD.contains(block)) {
            let at = (block * BLOCK) as u64;
            let found = ec_header(&chip.contents(at..at + 64)).unwrap().0;
            let before = counter(block).unwrap();
            let cut = operations / 2 == (0..block).filter(|block| !BAD.contains(block)).count() as u64;
            assert!(
                found == before + 1 || cut,
                "block {block} was erased {before} times and says {found}, after {operations}"
            );
        }
    }
    // An erase and a program for each good block.
    assert_eq!(cuts, 44);
}

#[test]
fn no_fault_makes_the_verdict_on_an_ubi_a_lie() {
    let image = ubinize(9, 3, &[], "dynamic");
    let store = Store::Memory(image.clone());
    let (mut written, mut back, mut stopped) = (0, 0, 0);
    let mut state = 0x5eed_u64;
    let mut roll = |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % sides
    };
    for number in 0..600 {
        let chip = used_chip();
        let before = chip.contents(0..(BLOCKS * BLOCK) as u64);
        let block = (roll(BLOCKS) * BLOCK) as u64;
        let offset = block + roll(BLOCK) as u64;
        let times = [1, 2, 4, u32::MAX][roll(4)];
        let fault = match roll(5) {
            0 => Fault::EraseFails { block, times },
            1 => Fault::ProgramFails { offset, times },
            2 => Fault::Uncorrectable { offset, times },
            3 => Fault::ReadFails { offset, times },
            _ => Fault::StuckBit { offset, bit: 3 },
        };
        chip.inject(fault);
        let policy = Policy {
            keep_old: [0, 1 << 30][roll(2)],
            mark_bad: roll(2) == 1,
        };
        let what = format!("case {number}, {fault:?}, {policy:?}");
        let write = planned(&store, &bad_now(&chip));
        match run_with(policy, &chip, &write, &store, &mut |_| ()) {
            Ok(_) => {
                assert_eq!(wrong(&chip, &image, 9), None, "{what}");
                written += 1;
            }
            Err(end) if end.failure.harm == Harm::Untouched => {
                assert!(chip.contents(0..before.len() as u64) == before, "{what}");
                back += 1;
            }
            Err(end) => {
                assert_eq!(end.failure.harm, Harm::Partly, "{what}");
                stopped += 1;
            }
        }
    }
    println!("{written} written, {back} put back, {stopped} stopped");
    assert!(written > 300 && back > 5 && stopped > 20, "{written} {back} {stopped}");
}

/// From the command line, over a chip with bad blocks; and what `backup` makes of it can be restored.
#[test]
fn apply_knows_an_ubi_and_a_backup_of_it_goes_back_with_the_counters_going_on() {
    let sim = SimBox::new("thincan");
    fs::write(sim.path().join("flash.bin.bad"), "0x4000\n0x10000\n").unwrap();
    let image = ubinize(21, 4, &[], "dynamic");
    let path = sim.file("image.ubi", &image);
    let plan = sim.run("plan", &["--format", "json", "--part", "boot", &path]).exits(0);
    let write = &plan.json()["writes"][0];
    assert_eq!(write["erase_blocks"], 254);
    assert_eq!(write["ubi"]["image_seq"], 21);
    sim.apply(&["--part", "boot", &path]).exits(0);
    let good = |sim: &SimBox| -> Vec<Vec<u8>> {
        let flash = sim.flash();
        let blocks = flash[..4 << 20].chunks(BLOCK).enumerate();
        blocks
            .filter(|(block, _)| ![1, 4].contains(block))
            .map(|(_, content)| content.to_vec())
            .collect()
    };
    for (block, content) in good(&sim).iter().enumerate() {
        assert_eq!(ec_header(content), Some((0, 512, 1024, 21)), "good block {block}");
        match image.chunks(BLOCK).nth(block) {
            Some(wanted) => assert!(content[64..] == wanted[64..]),
            None => assert!(content[64..].iter().all(|byte| *byte == 0xff)),
        }
    }
    let again = sim.apply(&["--part", "boot", &path]).exits(0).json();
    assert_eq!(again["code"], "nothing-to-do");
    sim.run("verify", &["--part", "boot", &path]).exits(0);

    let dir = sim.dir.path().join("backup");
    sim.run("backup", &["--part", "boot", dir.to_str().unwrap()]).exits(0);
    let other = sim.file("other.ubi", &ubinize(22, 5, &[], "dynamic"));
    sim.apply(&["--part", "boot", &other]).exits(0);
    sim.run("restore", &["-y", "--part", "boot", dir.to_str().unwrap()])
        .exits(0);
    for (block, content) in good(&sim).iter().enumerate() {
        assert_eq!(ec_header(content), Some((2, 512, 1024, 21)), "good block {block}");
        let wanted = image.chunks(BLOCK).nth(block);
        assert!(wanted.is_none_or(|wanted| content[64..] == wanted[64..]));
    }
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "ubi");
}
