//! Bad blocks: counted before the start, and in nobody's way unknowingly.

use crate::simbox::{Run, SimBox, bytes, read, tool};
use serde_json::Value;
use std::fs;

const BLOCK: usize = 16 << 10;

/// A ThinCan whose erase blocks with these numbers are bad; its partition `boot` has the first 256, `root` follows.
fn thincan(bad: &[usize], change: impl FnOnce(&mut Value)) -> SimBox {
    let sim = SimBox::changed("thincan", change);
    let list: String = bad.iter().map(|block| format!("{:#x}\n", block * BLOCK)).collect();
    fs::write(sim.path().join("flash.bin.bad"), list).unwrap();
    sim
}

/// A squashfs with noise in it, filled up with zeros.
fn squashfs(length: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("root"), dir.path().join("squashfs"));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("noise"), bytes(length - 4096, 1)).unwrap();
    let flags = ["-noappend", "-quiet", "-no-xattrs"];
    tool(
        "mksquashfs",
        &[&[root.to_str().unwrap(), out.to_str().unwrap()][..], &flags].concat(),
    );
    let mut image = read(&out);
    assert!(image.len() <= length);
    image.resize(length, 0);
    image
}

#[track_caller]
fn refused(run: Run, check: &str, says: &str) {
    let run = run.exits(78);
    assert_eq!(run.json()["code"], check, "{run:?}");
    assert!(run.out.contains(says), "{says}: {run:?}");
}

#[test]
fn a_squashfs_over_a_bad_block_is_refused_unless_that_check_is_forced() {
    let image = squashfs(10 * BLOCK);
    let sim = thincan(&[4], |_| ());
    let path = sim.file("image", &image);
    let before = sim.flash();
    refused(sim.apply(&["--part", "boot", &path]), "fixed-offset", "0x10000");
    assert!(sim.flash() == before);
    sim.apply(&["--part", "boot", "--force=fixed-offset", &path]).exits(0);
    let flash = sim.flash();
    assert!(flash[..4 * BLOCK] == image[..4 * BLOCK] && flash[5 * BLOCK..11 * BLOCK] == image[4 * BLOCK..]);
    // Behind the content no bad block moves anything.
    let sim = thincan(&[10, 200], |_| ());
    sim.apply(&["--part", "boot", &sim.file("image", &image)]).exits(0);
}

#[test]
fn what_passes_over_bad_blocks_when_it_is_read_may_do_so_when_it_is_written() {
    let sim = thincan(&[4], |_| ());
    let image = bytes(10 * BLOCK, 2);
    let path = sim.file("image", &image);
    sim.apply(&["--part", "boot", &path]).exits(0);
    let flash = sim.flash();
    assert!(flash[5 * BLOCK..11 * BLOCK] == image[4 * BLOCK..]);
    // Unless the profile says that the boot loader does not.
    let sim = thincan(&[4], |profile| profile["partitions"][0]["fixed_offset"] = true.into());
    let path = sim.file("image", &image);
    refused(
        sim.apply(&["--part", "boot", &path]),
        "fixed-offset",
        "boot loader of this box",
    );
}

#[test]
fn a_copy_of_several_partitions_has_everything_at_fixed_offsets() {
    let image = bytes((256 + 20) * BLOCK, 3);
    let sim = thincan(&[256 + 7], |_| ());
    let path = sim.file("image", &image);
    let run = sim.apply(&["--part", "boot,root", &path]);
    refused(run, "fixed-offset", "a copy of several partitions");
    let sim = thincan(&[256 + 20], |_| ());
    sim.apply(&["--part", "boot,root", &sim.file("image", &image)]).exits(0);
}

#[test]
fn a_chip_with_too_many_bad_blocks_is_refused_with_the_numbers() {
    let image = bytes(255 * BLOCK, 4);
    let sim = thincan(&[3, 9, 11], |_| ());
    let path = sim.file("image", &image);
    refused(
        sim.apply(&["--part", "boot", &path]),
        "size",
        "3 of its 256 erase blocks are bad",
    );
    let sim = thincan(&[3], |_| ());
    let path = sim.file("image", &image);
    let plan = sim.run("plan", &["--format", "json", "--part", "boot", &path]);
    assert_eq!(plan.exits(0).json()["writes"][0]["spare"], 0);
}

/// UBI does not attach when its volumes do not find their blocks.
#[test]
fn an_ubi_needs_a_good_block_for_each_of_its_volumes_and_four_more() {
    let ubi = |sim: &SimBox| {
        let ini = "[v]\nmode=ubi\nvol_id=0\nvol_type=dynamic\nvol_name=data\nvol_size=3840000\n";
        let (ini, out) = (
            sim.file("ini", ini.as_bytes()),
            sim.dir.path().join("ubi").to_str().unwrap().to_owned(),
        );
        tool("ubinize", &["-o", &out, "-p", "16KiB", "-m", "512", &ini]);
        assert_eq!(read(out.as_ref()).len(), 2 * BLOCK);
        out
    };
    // 3,840,000 bytes are 250 blocks of 15,360.
    let sim = thincan(&[3, 9], |_| ());
    let path = ubi(&sim);
    let plan = sim
        .run("plan", &["--format", "json", "--part", "boot", &path])
        .exits(0)
        .json();
    assert_eq!(plan["writes"][0]["spare"], 0);
    sim.apply(&["--part", "boot", &path]).exits(0);
    let sim = thincan(&[3, 9, 11], |_| ());
    let path = ubi(&sim);
    refused(
        sim.apply(&["--part", "boot", &path]),
        "bad-blocks",
        "253 good erase blocks and 3 bad ones, the volumes of the ubi need 254: 1 too few",
    );
}

#[test]
fn devices_says_which_blocks_are_bad_and_how_many_are_good() {
    let sim = thincan(&[3, 9], |_| ());
    let report = sim.run("devices", &["--format", "json"]).exits(0).json();
    let boot = &report["partitions"][0];
    assert_eq!(boot["bad_at"], serde_json::json!([3 * BLOCK, 9 * BLOCK]));
    assert_eq!(
        (boot["bad_blocks"].as_u64(), boot["good_blocks"].as_u64()),
        (Some(2), Some(254))
    );
    let text = sim.run("devices", &[]).exits(0).out;
    assert!(text.contains("2 bad blocks, 254 good"), "{text}");
}
