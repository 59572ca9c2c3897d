//! Two slots: the one that does not run is written, verified, and only then booted.

use crate::env::{made, profile, put, sim};
use crate::simbox::{SimBox, bytes};
use serde_json::{Value, json};
use std::fs;

const BLOCK: usize = 16 << 10;
const ENV: usize = 2 * BLOCK;
/// Where the slots begin on the chip; each has two partitions of 4 blocks.
const SLOTS: [usize; 2] = [8 * BLOCK, 16 * BLOCK];

fn two_slots() -> Value {
    let mut profile = profile(false);
    profile["slots"] = json!([
        {"name": "A", "partitions": ["kernel-a", "rootfs-a"], "environment": ["slot=a", "tries=3"]},
        {"name": "B", "partitions": ["kernel-b", "rootfs-b"], "environment": ["slot=b", "tries=3"]},
    ]);
    profile["accepts"] = json!([{"format": "squashfs", "parts": ["rootfs-a"]}]);
    profile
}

pub fn booting(slot: &str) -> SimBox {
    let sim = sim(&two_slots());
    put(
        &sim,
        ENV,
        &made(&format!("slot={slot}\ntries=0\nbootcmd=run x\n"), &["-r"]),
    );
    sim
}

/// Changes the environment as its boot loader does.
pub fn boot(sim: &SimBox, slot: &str) {
    put(
        sim,
        ENV,
        &made(&format!("slot={slot}\ntries=0\nbootcmd=run x\n"), &["-r"]),
    );
}

fn value(sim: &SimBox, name: &str) -> String {
    sim.run("env", &[name]).exits(0).out.trim().to_owned()
}

#[test]
fn the_slot_that_does_not_run_is_written_and_boots_then() {
    for (runs, other, names, at) in [("a", "B", "kernel-b,rootfs-b", 1), ("b", "A", "kernel-a,rootfs-a", 0)] {
        let sim = booting(runs);
        let before = sim.flash();
        let image = bytes(8 * BLOCK, 5);
        let path = sim.file("image", &image);

        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        assert_eq!(devices["slots"]["inactive"], other);
        let plan = sim
            .run("plan", &["--format", "json", "--part", names, &path])
            .exits(0)
            .json();
        assert_eq!(plan["slot"]["written"], other);
        assert_eq!(plan["route"], "in-place");
        assert!(sim.flash() == before, "a plan touches nothing");

        let result = sim.apply(&["--part", names, &path]).exits(0).json();
        assert_eq!(result["harm"], "written");
        let after = sim.flash();
        assert!(after[SLOTS[at]..][..8 * BLOCK] == image[..]);
        let mut rest = after.clone();
        rest[SLOTS[at]..][..8 * BLOCK].copy_from_slice(&before[SLOTS[at]..][..8 * BLOCK]);
        rest[ENV..ENV + 6 * BLOCK].copy_from_slice(&before[ENV..ENV + 6 * BLOCK]);
        assert!(rest == before, "the slot that runs and everything else is as it was");
        assert_eq!(value(&sim, "slot"), other.to_lowercase());
        assert_eq!(value(&sim, "tries"), "3");
        assert_eq!(value(&sim, "bootcmd"), "run x");
        let status = sim.run("status", &["--format", "json"]).exits(0).json();
        assert_eq!(
            (status["result"].as_str(), status["slot"].as_str()),
            (Some("ok"), Some(other))
        );
    }
}

/// A squashfs whose superblock says so many bytes; `content` looks at no more.
pub fn squashfs() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let [root, to] = ["root", "to"].map(|name| dir.path().join(name));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), bytes(20_000, 9)).unwrap();
    crate::simbox::tool(
        "mksquashfs",
        &[root.to_str().unwrap(), to.to_str().unwrap(), "-quiet", "-no-progress"],
    );
    fs::read(to).unwrap()
}

/// A box whose slots are a root each, of which A boots.
pub fn of_roots() -> SimBox {
    let mut profile = two_slots();
    for slot in profile["slots"].as_array_mut().unwrap() {
        slot["partitions"].as_array_mut().unwrap().remove(0);
    }
    let sim = sim(&profile);
    put(&sim, ENV, &made("slot=a\n", &["-r"]));
    sim
}

#[test]
fn an_image_is_compared_with_the_slot_that_boots() {
    let sim = of_roots();
    let path = sim.file("image", &squashfs());
    let verify = |args: &[&str], exit| {
        let mut all = vec!["--format", "json"];
        all.extend(args);
        sim.run("verify", &all).exits(exit).json()
    };
    // The slot that an update would be written to says nothing of what boots, whatever is in it.
    for (slot, other_at) in [("B", 12), ("A", 20)] {
        put(&sim, other_at * BLOCK, &bytes(BLOCK, 3));
        sim.apply(&[&path]).exits(0);
        let said = verify(&[&path], 0);
        assert_eq!(
            (&said["same"], &said["slot"], &said["boots"]),
            (&true.into(), &slot.into(), &slot.into())
        );
    }
    // The boot loader has gone back.
    boot(&sim, "b");
    let said = verify(&[&path], 1);
    assert_eq!((&said["same"], &said["slot"]), (&false.into(), &"B".into()));
    // One that is named is compared, and it is told that it does not boot.
    let said = sim
        .run("verify", &["--format", "json", "--part", "rootfs-a", &path])
        .exits(0);
    assert_eq!(
        (&said.json()["slot"], &said.json()["boots"]),
        (&"A".into(), &"B".into())
    );
    assert!(said.err.contains("slot A is compared; slot B boots"), "{said:?}");
    // Nobody knows which boots.
    boot(&sim, "c");
    let run = sim.run("verify", &[&path]).exits(78);
    assert!(run.err.contains("which slot boots cannot be told"), "{run:?}");
    let said = verify(&["--part", "rootfs-a", &path], 0);
    assert_eq!((&said["slot"], said.get("boots")), (&"A".into(), None));
}

#[test]
fn an_image_finds_the_slot_by_itself_and_a_second_time_there_is_nothing_to_do() {
    let sim = of_roots();
    let image = squashfs();
    let path = sim.file("image", &image);
    for (slot, at) in [("b", 20), ("a", 12)] {
        sim.apply(&[&path]).exits(0);
        assert_eq!(value(&sim, "slot"), slot);
        assert!(sim.flash()[at * BLOCK..][..image.len()] == image[..]);
        let before = sim.flash();
        let again = sim.apply(&[&path]).exits(0).json();
        assert_eq!(again["code"], "nothing-to-do", "slot {slot} runs and has it");
        assert!(sim.flash() == before);
        // So that the other slot is one that does not have it.
        put(&sim, if slot == "b" { 12 } else { 20 } * BLOCK, &bytes(BLOCK, 3));
        if slot == "b" {
            sim.run("env", &["slot"]).exits(0);
            put(&sim, 20 * BLOCK, &bytes(BLOCK, 4));
        }
    }
}

#[test]
fn the_slot_that_runs_is_never_written_unless_forced_and_half_a_firmware_does_not_boot() {
    let sim = booting("a");
    let before = sim.flash();
    let whole = sim.file("whole", &bytes(8 * BLOCK, 5));
    let half = sim.file("half", &bytes(4 * BLOCK, 6));
    for (names, image) in [
        ("kernel-a,rootfs-a", &whole),
        ("kernel-b", &half),
        ("rootfs-a,rootfs-b", &whole),
    ] {
        let result = sim.apply(&["--part", names, image]).exits(78).json();
        assert_eq!(result["code"], "slot", "{names}");
        assert!(sim.flash() == before, "{names}");
    }
    // What is in no slot has nothing to do with them.
    sim.apply(&["--part", "data", &whole]).exits(0);
    assert_eq!(value(&sim, "slot"), "a");
    sim.apply(&["--part", "kernel-a", "--force=slot", &half]).exits(0);
    assert_eq!(value(&sim, "slot"), "a", "what runs needs no switch");
    sim.apply(&["--part", "kernel-b", "--force=slot", &half]).exits(0);
    assert_eq!(value(&sim, "slot"), "b");
}

#[test]
fn without_a_whole_environment_that_names_a_slot_nothing_is_written() {
    for text in ["", "slot=c\n", "other=1\n"] {
        let sim = sim(&two_slots());
        if !text.is_empty() {
            put(&sim, ENV, &made(text, &["-r"]));
        }
        let before = sim.flash();
        let path = sim.file("image", &bytes(8 * BLOCK, 5));
        let result = sim.apply(&["--part", "kernel-b,rootfs-b", &path]).exits(78).json();
        assert_eq!(result["code"], "slot", "{text:?}");
        assert!(sim.flash() == before);
        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        assert!(devices["slots"]["problem"].is_string(), "{devices}");
        sim.run("status", &[]).exits(0);
    }
}

/// The slot that runs is that, by whatever partition it is reached.
#[test]
fn a_partition_over_the_slot_that_runs_is_refused_as_the_slot_is() {
    let sim = booting("a");
    let path = sim.path().join("board.json");
    let mut profile = two_slots();
    let window = json!({"mtd": 20, "name": "both", "offset": SLOTS[0], "size": 16 * BLOCK});
    profile["partitions"].as_array_mut().unwrap().push(window);
    fs::write(path, profile.to_string()).unwrap();
    let image = sim.file("image", &bytes(BLOCK, 6));
    let before = sim.flash();
    let result = sim.apply(&["--part", "both", &image]).exits(78).json();
    assert_eq!(result["code"], "slot");
    assert!(sim.flash() == before);
}

/// Kept files replace what boots, or what would, no more than an image does.
#[test]
fn files_are_not_kept_in_a_slot() {
    let sim = booting("a");
    let (image, file) = (sim.file("image", &bytes(8 * BLOCK, 5)), sim.file("file", b"mine"));
    let before = sim.flash();
    for place in ["raw:kernel-a", "raw:rootfs-a"] {
        let args = [
            "--part",
            "kernel-b,rootfs-b",
            "--keep",
            &file,
            "--keep-to",
            place,
            &image,
        ];
        let result = sim.apply(&args).exits(78).json();
        assert_eq!(result["code"], "keep", "{place}");
    }
    assert!(sim.flash() == before);
}

/// The copy of a chip has a part for each slot, and says what of it lies in no partition.
#[test]
fn the_copy_of_a_chip_is_divided_as_the_chip_is() {
    let sim = booting("a");
    let path = sim.path().join("board.json");
    let mut profile = two_slots();
    profile["partitions"].as_array_mut().unwrap().pop();
    fs::write(path, profile.to_string()).unwrap();
    let mut chip = sim.flash();
    let root = squashfs();
    chip[20 * BLOCK..][..root.len()].copy_from_slice(&root);
    chip[24 * BLOCK..].fill(0xff);
    chip[30 * BLOCK] = 0;
    let image = sim.file("chip", &chip);
    let plan = |args: &[&str], exit| {
        let mut all = vec!["--format", "json"];
        all.extend(args);
        sim.run("plan", &all).exits(exit).json()
    };
    let both = plan(&[&image], 78);
    assert!(
        both.to_string().contains("slot A runs, and would be overwritten"),
        "{both}"
    );
    assert!(both.to_string().contains("0x60000 to 0x7ffff"), "{both}");
    let other = plan(&["--part", "kernel-b,rootfs-b", &image], 0);
    assert_eq!(other["slot"]["written"], "B");
    sim.apply(&["--part", "kernel-b,rootfs-b", &image]).exits(0);
    assert!(sim.flash()[SLOTS[1]..24 * BLOCK] == chip[SLOTS[1]..24 * BLOCK]);
}

/// Kernels write the names of partitions in other cases than profiles: the slot is the same.
#[test]
fn a_slot_is_known_by_its_names_in_whichever_case() {
    let sim = booting("a");
    let path = sim.path().join("board.json");
    let mut profile = two_slots();
    profile["slots"][0]["partitions"] = json!(["Kernel-A", "RootFS-A"]);
    profile["slots"][1]["partitions"] = json!(["KERNEL-B", "ROOTFS-B"]);
    fs::write(path, profile.to_string()).unwrap();
    let image = sim.file("image", &bytes(8 * BLOCK, 5));
    let before = sim.flash();
    let result = sim.apply(&["--part", "kernel-a,rootfs-a", &image]).exits(78).json();
    assert_eq!(result["code"], "slot");
    assert!(sim.flash() == before);
    sim.apply(&["--part", "kernel-b,rootfs-b", &image]).exits(0);
    assert_eq!(value(&sim, "slot"), "b");
}

#[test]
fn slots_that_are_no_pair_are_no_profile() {
    let changes: [fn(&mut Value); 6] = [
        |slots| slots[1]["partitions"] = json!(["KERNEL-A", "rootfs-b"]),
        |slots| drop(slots.as_array_mut().unwrap().pop()),
        |slots| slots[1]["partitions"] = json!(["kernel-b"]),
        |slots| slots[1]["partitions"] = json!(["kernel-a", "rootfs-b"]),
        |slots| slots[1]["environment"] = json!(["slot=a"]),
        |slots| slots[1]["environment"] = json!([]),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let sim = booting("a");
        let path = sim.path().join("board.json");
        let mut profile = two_slots();
        change(&mut profile["slots"]);
        fs::write(path, profile.to_string()).unwrap();
        let run = sim.run("devices", &[]).exits(64);
        assert!(run.err.contains("slots"), "{number}: {run:?}");
    }
}
