//! An update of a slot that is broken off anywhere, by power or by the chip: what boots is whole, and what is said of it
//! is true. From the first erase of the slot to the last byte of the environment, in all of its layouts.

use crate::env::{BLOCK, ENV, Judge, SIZE, made, profile, put, sim};
use crate::simbox::{SimBox, bytes, flasher};
use crate::simrun::{self, End};
use flasher::base::check_id::CheckId;
use flasher::base::code::Code;
use flasher::base::error::Harm;
use flasher::cli::Apply;
use flasher::flash::{OnFault, Policy};
use mtd_rs::Fault;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Where the slots begin on the chip, and how many bytes each has: a kernel and a root of two blocks.
const A: usize = 8 * BLOCK;
const B: usize = 12 * BLOCK;
const SLOT: usize = 4 * BLOCK;
const NAMES: [&str; 2] = ["kernel-b", "rootfs-b"];

/// A box whose slot A boots; `turn` says which of two copies of the environment says so.
fn booting_a(nand: bool, copies: usize, turn: usize) -> SimBox {
    let mut profile = profile(nand);
    let partition = |mtd: usize, name: &str, at: usize, blocks: usize| json!({"mtd": mtd, "name": name, "offset": at * BLOCK, "size": blocks * BLOCK});
    profile["partitions"] = json!([
        partition(0, "boot", 0, 2),
        partition(1, "env", 2, 6),
        partition(2, "kernel-a", 8, 2),
        partition(3, "rootfs-a", 10, 2),
        partition(4, "kernel-b", 12, 2),
        partition(5, "rootfs-b", 14, 2),
        partition(6, "data", 16, 16),
    ]);
    profile["slots"] = json!([
        {"name": "A", "partitions": ["kernel-a", "rootfs-a"], "environment": ["slot=a", "tries=3"]},
        {"name": "B", "partitions": NAMES, "environment": ["slot=b", "tries=3"]},
    ]);
    profile["environment"].as_array_mut().unwrap().truncate(copies);
    let sim = sim(&profile);
    let options: &[&str] = if copies == 2 { &["-r"] } else { &[] };
    put(&sim, ENV, &made("slot=a\ntries=0\nkept=yes\n", options));
    if turn == 1 {
        set(&sim, "turn=1");
    }
    sim
}

fn set(sim: &SimBox, assignment: &str) {
    flasher(&["env", "set", assignment, "--sim", sim.path().to_str().unwrap()]).exits(0);
}

/// `apply --part kernel-b,rootfs-b` with these faults on the chip.
fn update(sim: &SimBox, image: &[u8], faults: &[Fault], policy: Policy) -> End {
    let options = Apply {
        parts: NAMES.map(Into::into).to_vec(),
        force: vec![CheckId::OneCopy],
        on_fault: OnFault {
            rollback: false,
            mark_bad: false,
        },
        ..Apply::default()
    };
    simrun::update(sim, (options, image), faults, policy)
}

/// Every file of the box, to begin again from.
fn snapshot(sim: &SimBox) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(sim.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn go_back(sim: &SimBox, files: &BTreeMap<PathBuf, Vec<u8>>) {
    snapshot(sim).keys().for_each(|path| fs::remove_file(path).unwrap());
    files
        .iter()
        .for_each(|(path, content)| fs::write(path, content).unwrap());
}

/// Everything that no update of slot B may change.
fn elsewhere(chip: &[u8]) -> [&[u8]; 3] {
    [&chip[..ENV], &chip[ENV + 6 * BLOCK..B], &chip[B + SLOT..]]
}

/// The slot that the environment names; our own reading and that of `fw_printenv` are the same.
#[track_caller]
fn boots(sim: &SimBox, copies: usize) -> String {
    let said = Judge::new(copies).agrees(sim);
    assert!(said.contains(&"kept=yes".into()), "{said:?}");
    let slot = said.iter().find_map(|line| line.strip_prefix("slot="));
    slot.unwrap().to_owned()
}

fn apply(sim: &SimBox, image: &str) -> Value {
    sim.apply(&["--part", "kernel-b,rootfs-b", "--force=one-copy", image])
        .exits(0)
        .json()
}

#[test]
fn a_power_cut_at_any_operation_leaves_a_slot_that_boots_whole_and_a_second_run_completes() {
    let image = bytes(SLOT - 1000, 5);
    let (mut old, mut new) = (0, 0);
    for (nand, turn) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let sim = booting_a(nand, 2, turn);
        let path = sim.file("image", &image);
        let start = snapshot(&sim);
        let before = sim.flash();
        for operations in 0.. {
            go_back(&sim, &start);
            let what = format!("nand {nand}, copy {turn}, after {operations}");
            let end = update(&sim, &image, &[Fault::PowerCutAfter { operations }], Policy::default());
            let after = sim.flash();
            assert!(
                elsewhere(&after) == elsewhere(&before),
                "{what}: slot A or a neighbour changed"
            );
            let slot = boots(&sim, 2);
            let whole = after[B..B + image.len()] == image[..];
            match slot.as_str() {
                "a" => old += 1,
                "b" => {
                    assert!(whole, "{what}: a slot boots that is not whole");
                    assert_eq!(sim.run("env", &["tries"]).exits(0).out, "3\n", "{what}");
                    new += 1;
                }
                other => panic!("{what}: slot {other}"),
            }
            if end.power {
                assert!(end.result.is_ok() && slot == "b", "{what}: said to be done");
                break;
            }
            // The same command again, after the boot loader has started what the environment names.
            let again = apply(&sim, &path);
            let code = if slot == "b" { "nothing-to-do" } else { "written" };
            assert_eq!(again["code"], code, "{what}");
            let after = sim.flash();
            assert_eq!(boots(&sim, 2), "b", "{what}");
            assert!(after[B..B + image.len()] == image[..], "{what}");
            assert!(elsewhere(&after) == elsewhere(&before), "{what}");
        }
    }
    println!("{old} times the old slot, {new} times the new one");
    // An erase and a program for each block of the slot, and those of a copy; on NOR the other's flags too.
    assert!(old > 30 && new >= 4, "{old} {new}");
}

/// Where there is one copy only nobody can promise that it is always whole; it is written last, when asked for by name.
#[test]
fn with_one_copy_a_power_cut_before_the_switch_leaves_the_old_slot_and_one_during_it_is_told_and_mended() {
    let image = bytes(SLOT - 1000, 5);
    for nand in [false, true] {
        let sim = booting_a(nand, 1, 0);
        let path = sim.file("image", &image);
        let copy = sim.dir.path().join("backup");
        let copy = copy.to_str().unwrap();
        sim.run("backup", &[copy]).exits(0);
        let refused = sim.apply(&["--part", "kernel-b,rootfs-b", &path]).exits(78).json();
        assert_eq!(refused["code"], "one-copy");
        let start = snapshot(&sim);
        let before = sim.flash();
        let mut lost = 0;
        for operations in 0.. {
            go_back(&sim, &start);
            let what = format!("nand {nand}, after {operations}");
            let end = update(&sim, &image, &[Fault::PowerCutAfter { operations }], Policy::default());
            let after = sim.flash();
            assert!(elsewhere(&after) == elsewhere(&before), "{what}");
            if end.power {
                assert!(end.result.is_ok() && boots(&sim, 1) == "b", "{what}");
                break;
            }
            let env = ENV..ENV + 6 * BLOCK;
            let whole = after[B..B + image.len()] == image[..];
            if after[env.clone()] != before[env] {
                assert!(whole, "{what}: switched before the slot was whole");
            }
            if sim.run("env", &[]).exit != 0 {
                lost += 1;
                // Nothing is done that relies on it, until it is back.
                let refused = sim.apply(&["--part", "kernel-b,rootfs-b", &path]).exits(78).json();
                assert_eq!(refused["code"], "slot", "{what}");
                assert!(sim.flash() == after, "{what}");
                sim.run("restore", &["-y", "--part", "env", copy]).exits(0);
            }
            // Cut in the middle of its block the copy, which is the first half of that, is whole.
            let code = if boots(&sim, 1) == "b" {
                "nothing-to-do"
            } else {
                "written"
            };
            assert_eq!(apply(&sim, &path)["code"], code, "{what}");
            assert_eq!(boots(&sim, 1), "b", "{what}");
        }
        assert!(
            (1..=2).contains(&lost),
            "nand {nand}: {lost} for the erase and the program of the only copy"
        );
    }
}

#[test]
fn a_slot_that_cannot_be_written_is_never_switched_to() {
    let image = bytes(SLOT - 1000, 5);
    for (nand, copies) in [(false, 2), (true, 2), (false, 1), (true, 1)] {
        let sim = booting_a(nand, copies, 0);
        let start = snapshot(&sim);
        let before = sim.flash();
        for block in (B..B + SLOT).step_by(BLOCK).map(|at| at as u64) {
            let times = u32::MAX;
            for fault in [
                Fault::EraseFails { block, times },
                Fault::ProgramFails {
                    offset: block + 700,
                    times,
                },
                Fault::ReadFails {
                    offset: block + 700,
                    times,
                },
            ] {
                for keep_old in [0, 1 << 30] {
                    go_back(&sim, &start);
                    let policy = Policy {
                        keep_old,
                        mark_bad: false,
                    };
                    let what = format!("nand {nand}, {copies} copies, {fault:?}, keep {keep_old}");
                    let failure = update(&sim, &image, &[fault], policy).result.expect_err(&what);
                    let after = sim.flash();
                    assert!(elsewhere(&after) == elsewhere(&before), "{what}");
                    let env = ENV..ENV + 6 * BLOCK;
                    assert!(after[env.clone()] == before[env], "{what}: the environment changed");
                    match failure.harm {
                        Harm::Untouched => assert!(after == before, "{what}: {failure}"),
                        _ => {
                            assert_eq!(failure.code, Code::Inactive, "{what}");
                            let said = failure.to_string();
                            assert!(said.contains("slot A was not touched and boots"), "{what}: {said}");
                        }
                    }
                    let status = sim.run("status", &["--format", "json"]).exits(0).json();
                    assert_ne!(status["result"], "ok", "{what}");
                    assert_eq!(boots(&sim, copies), "a", "{what}");
                }
            }
        }
    }
}

/// The last step on NOR clears the flags of the copy that was in use. Which copy the boot loader takes where that failed
/// depends on their order, and so does what is said.
#[test]
fn a_switch_that_fails_is_never_said_to_be_done_nor_one_that_is_done_to_have_failed() {
    let image = bytes(SLOT - 1000, 5);
    let (mut done, mut failed, mut lost) = (0, 0, 0);
    for (nand, copies, turn) in [
        (false, 2, 0),
        (false, 2, 1),
        (true, 2, 0),
        (true, 2, 1),
        (false, 1, 0),
        (true, 1, 0),
    ] {
        let sim = booting_a(nand, copies, turn);
        let path = sim.file("image", &image);
        let start = snapshot(&sim);
        for at in [ENV, ENV + 2 * BLOCK] {
            let block = at as u64;
            for (number, offset) in [0, 4, SIZE as u64 - 1].into_iter().enumerate() {
                for times in [1, u32::MAX] {
                    let program = Fault::ProgramFails {
                        offset: block + offset,
                        times,
                    };
                    let erase = Fault::EraseFails { block, times };
                    for fault in [Some(program), (number == 0).then_some(erase)].into_iter().flatten() {
                        go_back(&sim, &start);
                        let what = format!("nand {nand}, {copies} copies, copy {turn}, {fault:?}");
                        let end = update(&sim, &image, &[fault], Policy::default());
                        let whole = sim.run("env", &[]).exit == 0;
                        match end.result {
                            Ok(_) => {
                                assert_eq!(boots(&sim, copies), "b", "{what}");
                                done += 1;
                            }
                            Err(failure) if whole => {
                                assert_eq!(boots(&sim, copies), "a", "{what}: {failure}");
                                assert!(failure.what.contains("does not boot yet"), "{what}: {failure}");
                                assert_eq!((failure.code, failure.harm), (Code::Inactive, Harm::Partly), "{what}");
                                apply(&sim, &path);
                                assert_eq!(boots(&sim, copies), "b", "{what}");
                                failed += 1;
                            }
                            Err(failure) => {
                                assert_eq!((copies, times), (1, u32::MAX), "{what}: {failure}");
                                assert!(failure.what.contains("its own defaults"), "{what}: {failure}");
                                assert_eq!(failure.harm, Harm::Partly, "{what}");
                                lost += 1;
                            }
                        }
                        let after = sim.flash();
                        assert!(
                            after[B..B + image.len()] == image[..],
                            "{what}: the slot was written before"
                        );
                        assert!(after[A..B] == bytes(32 * BLOCK, 1)[A..B], "{what}: slot A");
                    }
                }
            }
        }
    }
    println!("{done} switched, {failed} not, {lost} lost their only copy");
    assert!(done > 20 && failed > 4 && lost > 2, "{done} {failed} {lost}");
}
