//! A backup is complete, checked, and goes back where it came from.

use crate::fakebox;
use crate::simbox::{Run, SimBox, bytes, flasher, is_root, tool};
use serde_json::{Value, json};
use std::fs;

const MIB: usize = 1 << 20;

#[test]
fn a_backup_holds_every_partition_and_its_sums_are_those_of_sha256sum() {
    let sim = SimBox::new("qnap-ts219");
    let chip = bytes(16 * MIB, 1);
    sim.fill(&chip);
    let dir = sim.dir.path().join("backup");
    sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
    let copy = |name: &str| fs::read(dir.join(name)).unwrap();
    assert_eq!(copy("mtd0.U-Boot.bin"), chip[..0x80000]);
    assert_eq!(copy("mtd4.U-Boot Config.bin"), chip[0x80000..0xc0000]);
    assert_eq!(copy("mtd5.NAS Config.bin"), chip[0xc0000..2 * MIB]);
    assert_eq!(copy("mtd1.Kernel.bin"), chip[2 * MIB..4 * MIB]);
    assert_eq!(copy("mtd2.RootFS1.bin"), chip[4 * MIB..13 * MIB]);
    assert_eq!(copy("mtd3.RootFS2.bin"), chip[13 * MIB..]);
    tool(
        "sh",
        &[
            "-c",
            &format!("cd '{}' && sha256sum --strict -c SHA256SUMS", dir.display()),
        ],
    );
}

#[test]
fn restore_brings_a_box_back_except_what_is_kept() {
    let sim = SimBox::new("qnap-ts219");
    let good = bytes(16 * MIB, 2);
    sim.fill(&good);
    let dir = sim.dir.path().join("backup");
    let dir = dir.to_str().unwrap();
    sim.run("backup", &[dir]).exits(0);
    let spoilt = bytes(16 * MIB, 3);
    sim.fill(&spoilt);
    sim.run("restore", &["-y", dir]).exits(0);
    let after = sim.flash();
    assert_eq!(after[2 * MIB..], good[2 * MIB..]);
    assert_eq!(
        after[..2 * MIB],
        spoilt[..2 * MIB],
        "boot loader and settings are left alone"
    );

    sim.run("restore", &["-y", "--part", "NAS Config", "--force", "settings", dir])
        .exits(0);
    let after = sim.flash();
    assert_eq!(after[0xc0000..], good[0xc0000..]);
    assert_eq!(after[..0xc0000], spoilt[..0xc0000]);
}

#[test]
fn windows_onto_the_same_bytes_are_restored_once() {
    let sim = SimBox::new("tplink-wdr3600");
    let good = bytes(8 * MIB, 4);
    sim.fill(&good);
    let dir = sim.dir.path().join("backup");
    let dir = dir.to_str().unwrap();
    sim.run("backup", &[dir]).exits(0);
    sim.fill(&bytes(8 * MIB, 5));
    sim.run("restore", &["-y", dir]).exits(0);
    assert_eq!(sim.flash()[0x20000..0x7f0000], good[0x20000..0x7f0000]);
}

/// What the checks `unused` of a restore say.
fn unused(run: &Run) -> Vec<String> {
    let events = run.events();
    let of = events
        .iter()
        .filter(|event| event["event"] == "check" && event["name"] == "unused");
    of.map(|event| {
        assert_eq!(event["status"], "warn");
        event["text"].as_str().unwrap().to_owned()
    })
    .collect()
}

/// A backup of a box with that chip, and the box with another content and these changes of its profile.
fn restored(board: &str, size: usize, change: impl Fn(&mut Value)) -> (SimBox, Vec<u8>, String) {
    let sim = SimBox::changed(board, change);
    let good = bytes(size, 10);
    sim.fill(&good);
    let dir = sim.dir.path().join("backup").to_str().unwrap().to_owned();
    sim.run("backup", &[&dir]).exits(0);
    sim.fill(&bytes(size, 11));
    (sim, good, dir)
}

fn add(profile: &mut Value, partition: Value) {
    profile["partitions"].as_array_mut().unwrap().push(partition);
}

#[test]
fn what_a_restore_leaves_out_is_named_with_the_reason() {
    let (sim, good, dir) = restored("tplink-wdr3600", 8 * MIB, |_| ());
    let run = sim.run("restore", &["-y", "--format", "json", &dir]).exits(0);
    let said = unused(&run);
    for (text, part) in said.iter().zip(["u-boot", "kernel", "rootfs", "art"]) {
        assert!(
            text.starts_with(&format!("of the backup, \"{part}\" is not written: ")),
            "{said:?}"
        );
    }
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said[0].contains("protected") && said[3].contains("protected"),
        "{said:?}"
    );
    assert!(said[1].ends_with("covered by \"firmware\"") && said[2].ends_with("covered by \"firmware\""));
    assert_eq!(sim.flash()[0x20000..0x7f0000], good[0x20000..0x7f0000]);
    let text = sim.run("restore", &["-y", &dir]).exits(0).out;
    assert!(text.contains("\"u-boot\" is not written"), "{text}");
}

/// A chip that contains the boot loader goes back in pieces, without the boot loader.
#[test]
fn a_whole_chip_is_not_restored_over_the_boot_loader() {
    let whole = serde_json::json!({"mtd": 6, "name": "spi0.0", "offset": 0, "size": 16 * MIB});
    let (sim, good, dir) = restored("qnap-ts219", 16 * MIB, |profile| add(profile, whole.clone()));
    let spoilt = sim.flash();
    let said = unused(&sim.run("restore", &["-y", "--format", "json", &dir]).exits(0));
    let chip = said
        .iter()
        .find(|text| text.contains("\"spi0.0\""))
        .expect("the chip is named");
    assert!(chip.contains("protected: it contains mtd0 \"U-Boot\""), "{said:?}");
    assert_eq!(said.len(), 4, "boot loader, two of settings, the chip: {said:?}");
    let after = sim.flash();
    assert_eq!(after[2 * MIB..], good[2 * MIB..]);
    assert_eq!(after[..2 * MIB], spoilt[..2 * MIB]);
}

#[test]
fn a_whole_chip_without_anything_protected_covers_its_partitions() {
    let (sim, good, dir) = restored("generic", 16 * MIB, |profile| {
        profile["partitions"][0] = serde_json::json!({"mtd": 0, "name": "all", "offset": 0, "size": 16 * MIB});
    });
    let said = unused(&sim.run("restore", &["-y", "--format", "json", &dir]).exits(0));
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said.iter().all(|text| text.ends_with("covered by \"all\"")), "{said:?}");
    assert!(sim.flash() == good);
}

/// What covers others and is itself left out covers nothing.
#[test]
fn partitions_within_one_that_nobody_can_write_are_restored_themselves() {
    let (sim, good, dir) = restored("generic", 16 * MIB, |profile| {
        let all = serde_json::json!({"mtd": 0, "name": "all", "offset": 0, "size": 16 * MIB, "read_only": true});
        profile["partitions"][0] = all;
    });
    let said = unused(&sim.run("restore", &["-y", "--format", "json", &dir]).exits(0));
    assert_eq!(said, ["of the backup, \"all\" is not written: read-only"]);
    assert!(sim.flash()[0x40000..] == good[0x40000..]);
}

/// What is not said to lie elsewhere is written or refused.
#[test]
fn a_backup_of_partitions_that_may_share_bytes_is_refused() {
    if !is_root() {
        return;
    }
    let parts = [("kernel", 1 << 20), ("rootfs", 6 << 20), ("firmware", 7 << 20)];
    let mut number = 0;
    let devices = parts.map(|(name, size)| {
        number += 1;
        fakebox::mtd(number - 1, name, size, 0).anywhere()
    });
    let old = fakebox::FakeBox::new("3.18.23\n", &devices);
    let dir = tempfile::tempdir().unwrap();
    let mut sums = String::new();
    for (index, (name, size)) in parts.into_iter().enumerate() {
        let copy = bytes(size as usize, 12);
        let file = format!("mtd{index}.{name}.bin");
        fs::write(dir.path().join(&file), &copy).unwrap();
        let sum = tool("sha256sum", &[dir.path().join(&file).to_str().unwrap()]).stdout;
        sums.push_str(&format!("{}  {file}\n", String::from_utf8_lossy(&sum[..64])));
    }
    fs::write(dir.path().join("SHA256SUMS"), sums).unwrap();
    let plan = old
        .run(&["restore", "-n", "--format", "json", dir.path().to_str().unwrap()])
        .exits(78)
        .json();
    let checks = plan["checks"].as_array().unwrap();
    let overlap = checks.iter().find(|check| check["name"] == "overlap").unwrap();
    assert!(
        overlap["text"].as_str().unwrap().contains("may share bytes"),
        "{overlap}"
    );
    assert!(
        !checks.iter().any(|check| check["name"] == "unused"),
        "nothing was left out in silence: {plan}"
    );
    assert_eq!(plan["writes"].as_array().unwrap().len(), 3);
}

/// Renames partitions of a simulated box, by their places in the list.
fn rename(sim: &SimBox, change: impl Fn(&mut Value)) {
    let path = sim.path().join("board.json");
    let mut profile: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut profile["partitions"]);
    fs::write(&path, profile.to_string()).unwrap();
}

/// Names that a file cannot hold, and names that two have: the number tells which one is meant, as long as the box is numbered as
/// it was; else it must be certain.
#[test]
fn a_copy_that_may_be_of_two_partitions_is_that_of_its_number() {
    for (name, other) in [("a/b", "a_b"), ("a/b", "a\u{1}b"), ("data", "data")] {
        // The second and the third have the same length.
        let (sim, good, dir) = restored("generic", 16 * MIB, |profile| {
            let all = &mut profile["partitions"];
            (all[2]["name"], all[2]["size"]) = (name.into(), MIB.into());
            (all[3]["name"], all[3]["offset"], all[3]["size"]) = (other.into(), (8 * MIB).into(), MIB.into());
            // A simulated box has no two of one name; a real one may.
            if name == other {
                all[3]["name"] = "another".into();
            }
        });
        if name == other {
            fs::rename(format!("{dir}/mtd3.another.bin"), format!("{dir}/mtd3.data.bin")).unwrap();
            let sums = fs::read_to_string(format!("{dir}/SHA256SUMS")).unwrap();
            fs::write(format!("{dir}/SHA256SUMS"), sums.replace("another", "data")).unwrap();
            rename(&sim, |all| all[3]["name"] = "da/ta".into());
            // The other copy is of none that is here, so the numbers are not those of then.
            sim.run("restore", &["-y", &dir]).exits(78);
            continue;
        }
        sim.run("restore", &["-y", "--part", "mtd2,mtd3", &dir]).exits(0);
        let flash = sim.flash();
        for at in [0x5_0000, 8 * MIB] {
            assert!(flash[at..at + MIB] == good[at..at + MIB], "{name} {other}");
        }
        // Numbered otherwise, either may be meant.
        rename(&sim, |all| {
            for index in [2, 3] {
                all[index]["mtd"] = (all[index]["mtd"].as_u64().unwrap() + 5).into();
            }
        });
        let before = sim.flash();
        let run = sim.run("restore", &["-y", "--part", "env", &dir]).exits(78);
        assert!(
            run.err.contains("may be mtd7") && run.err.contains("or mtd8"),
            "{run:?}"
        );
        assert!(sim.flash() == before);
    }
}

/// Qualcomm's partitions have a colon in their names, which FAT and NTFS take in none. The backup goes back, also one whose files
/// are called like the partitions.
#[test]
fn a_backup_can_lie_on_a_stick_whatever_the_partitions_are_called() {
    let (sim, good, dir) = restored("generic", 16 * MIB, |profile| {
        profile["partitions"][2]["name"] = "0:APPS|?*".into();
    });
    let restores = || {
        sim.run("restore", &["-y", "--part", "0:APPS|?*", &dir]).exits(0);
        let at = 0x5_0000..0x5_0000 + MIB;
        assert!(sim.flash()[at.clone()] == good[at]);
    };
    let file = |name: &str| format!("{dir}/{name}");
    assert!(fs::exists(file("mtd2.0_APPS___.bin")).unwrap());
    restores();
    let sums = fs::read_to_string(file("SHA256SUMS")).unwrap();
    fs::write(file("SHA256SUMS"), sums.replace("0_APPS___", "0:APPS|?*")).unwrap();
    fs::rename(file("mtd2.0_APPS___.bin"), file("mtd2.0:APPS|?*.bin")).unwrap();
    sim.fill(&bytes(16 * MIB, 12));
    restores();
}

/// A copy that is shorter than its partition would leave the rest of what is there behind it: it was cut off, or comes from a box
/// whose partitions are smaller. One of NAND may lack the blocks that were bad then.
#[test]
fn a_copy_that_is_not_all_of_its_partition_is_refused() {
    let (sim, _, dir) = restored("generic", 16 * MIB, |_| ());
    let before = sim.flash();
    let file = |name: &str| format!("{dir}/{name}");
    let whole = fs::read(file("mtd2.kernel.bin")).unwrap();
    for length in [0, MIB, whole.len() - 1] {
        fs::write(file("mtd2.kernel.bin"), &whole[..length]).unwrap();
        tool("sh", &["-c", &format!("cd '{dir}' && sha256sum mtd* >SHA256SUMS")]);
        let run = sim.run("restore", &["-y", &dir]).exits(78);
        assert!(
            run.err.contains("refused by check size: the copy of mtd2 \"kernel\""),
            "{run:?}"
        );
        assert!(sim.flash() == before);
    }
    // One file of it.
    let run = sim.run("restore", &["-y", &file("mtd2.kernel.bin")]).exits(66);
    assert!(
        run.err.contains("it is a file") && run.err.contains("PARTITION=FILE"),
        "{run:?}"
    );
}

/// What was bad is left out of a copy, and the chip that it goes back to may have other bad blocks, or none.
#[test]
fn a_copy_of_nand_may_lack_bad_blocks_and_no_part_of_one() {
    let sim = SimBox {
        dir: tempfile::TempDir::new().unwrap(),
    };
    let profile = json!({
        "id": "nand", "name": "nand", "cpu": {"arch": "arm", "order": "little"}, "signs": {}, "ram": "64M", "accepts": [],
        "chip": {"kind": "nand", "size": "4M", "erase_size": "16K", "write_size": 512, "oob_size": 16},
        "partitions": [{"mtd": 0, "name": "root", "offset": 0, "size": "4M"}],
    });
    let profile = sim.file("nand.json", profile.to_string().as_bytes());
    flasher(&["sim", "create", &profile, sim.path().to_str().unwrap()]).exits(0);
    fs::write(sim.path().join("flash.bin.bad"), "0x4000\n").unwrap();
    let dir = sim.dir.path().join("backup").to_str().unwrap().to_owned();
    sim.run("backup", &[&dir]).exits(0);
    fs::write(sim.path().join("flash.bin.bad"), "").unwrap();
    sim.run("restore", &["-n", &dir]).exits(0);
    let file = format!("{dir}/mtd0.root.bin");
    let copy = fs::read(&file).unwrap();
    assert_eq!(copy.len(), 4 * MIB - (16 << 10));
    fs::write(&file, &copy[..copy.len() - 512]).unwrap();
    tool("sh", &["-c", &format!("cd '{dir}' && sha256sum mtd* >SHA256SUMS")]);
    let run = sim.run("restore", &["-n", &dir]).exits(78);
    assert!(run.err.contains("refused by check size"), "{run:?}");
}

/// The same command again after an update that failed half-way: the copies of the old firmware stay.
#[test]
fn a_backup_is_never_overwritten_by_a_second_run() {
    let sim = SimBox::new("generic");
    let old = bytes(16 * MIB, 13);
    sim.fill(&old);
    let dir = sim.dir.path().join("backup");
    let path = dir.to_str().unwrap();
    // A part of it first, then the rest.
    sim.run("backup", &["--part", "kernel", path]).exits(0);
    let image = sim.file("image", &bytes(MIB, 14));
    let run = sim.apply(&["--part", "rootfs", "--backup", path, &image]).exits(0);
    assert!(run.out.contains("copies of \\\"kernel\\\" already"), "{run:?}");
    for _ in 0..2 {
        sim.fill(&bytes(16 * MIB, 15));
        let run = sim.apply(&["--part", "rootfs", "--backup", path, &image]).exits(0);
        assert!(run.out.contains("kept as they are"), "{run:?}");
        let run = sim.run("backup", &[path]).exits(0);
        assert!(
            run.out.contains("\"rootfs\"") && run.out.contains("kept as they are"),
            "{run:?}"
        );
        assert_eq!(
            sim.run("backup", &["--format", "json", path]).json()["kept"][3],
            "rootfs"
        );
        assert!(fs::read(dir.join("mtd2.kernel.bin")).unwrap() == old[0x5_0000..0x35_0000]);
        assert!(fs::read(dir.join("mtd3.rootfs.bin")).unwrap() == old[0x35_0000..0xe5_0000]);
    }
    assert!(fs::read(dir.join("mtd4.config.bin")).unwrap() == old[0xe5_0000..]);
    tool(
        "sh",
        &[
            "-c",
            &format!("cd '{path}' && sha256sum --strict -c SHA256SUMS && [ $(wc -l <SHA256SUMS) = 5 ]"),
        ],
    );
    // Of another box, or damaged, or with no list: none of them is touched, and no update begins.
    sim.fill(&bytes(16 * MIB, 20));
    let before = sim.flash();
    let copy = dir.join("mtd2.kernel.bin");
    let good = fs::read(&copy).unwrap();
    for content in [&good[1..], &bytes(good.len(), 16)] {
        fs::write(&copy, content).unwrap();
        let run = sim.apply(&["--part", "rootfs", "--backup", path, &image]).exits(71);
        assert!(
            run.out.contains("never overwritten") && run.out.contains("mtd2.kernel.bin"),
            "{run:?}"
        );
        assert!(fs::read(&copy).unwrap() == *content);
    }
    fs::write(&copy, &good).unwrap();
    fs::remove_file(dir.join("SHA256SUMS")).unwrap();
    sim.run("backup", &[path]).exits(71);
    assert!(fs::read(&copy).unwrap() == good);
    assert!(sim.flash() == before);
}

/// A backup that was broken off is none: the next run begins anew.
#[test]
fn a_backup_that_was_broken_off_is_made_again() {
    let sim = SimBox::new("generic");
    let old = bytes(16 * MIB, 17);
    sim.fill(&old);
    let dir = sim.dir.path().join("backup");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(".flasher-unfinished"), "").unwrap();
    fs::write(dir.join("mtd2.kernel.bin"), "half").unwrap();
    sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
    assert!(fs::read(dir.join("mtd2.kernel.bin")).unwrap() == old[0x5_0000..0x35_0000]);
    assert!(!dir.join(".flasher-unfinished").exists());
}

/// Copies as people make them: `for n in 0 1 2 3 4; do cat /dev/mtd$n >mtd$n; done`, with a list of their own or without.
#[test]
fn copies_by_hand_are_restored_and_what_is_not_used_is_named() {
    let sim = SimBox::new("generic");
    let good = bytes(16 * MIB, 18);
    sim.fill(&good);
    let dir = sim.dir.path().join("hand");
    for names in [
        ["mtd0", "mtd1", "mtd2", "mtd3", "mtd4"],
        [
            "mtdblock0.img",
            "mtd1_env",
            "mtd2-kernel.bin",
            "mtd3_rootfs.img",
            "mtd4.bin",
        ],
    ] {
        for list in [false, true] {
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            let ends = [0, 0x4_0000, 0x5_0000, 0x35_0000, 0xe5_0000, 16 * MIB];
            for (index, name) in names.iter().enumerate() {
                fs::write(dir.join(name), &good[ends[index]..ends[index + 1]]).unwrap();
            }
            if list {
                tool(
                    "sh",
                    &["-c", &format!("cd '{}' && sha256sum ./mtd* >SHA256SUMS", dir.display())],
                );
            }
            fs::write(dir.join("mtd7"), "of another box").unwrap();
            fs::write(dir.join("notes.txt"), "mine").unwrap();
            let spoilt = bytes(16 * MIB, 19);
            sim.fill(&spoilt);
            let run = sim
                .run("restore", &["-y", "--format", "json", dir.to_str().unwrap()])
                .exits(0);
            let said = unused(&run);
            for word in ["\"mtd7\"", "\"notes.txt\"", "\"u-boot\" is not written"] {
                assert!(said.iter().any(|text| text.contains(word)), "{word}: {said:?}");
            }
            assert!(sim.flash()[0x4_0000..] == good[0x4_0000..]);
            assert!(sim.flash()[..0x4_0000] == spoilt[..0x4_0000], "the boot loader");
        }
    }
    // One that is called as another, one that is too short, and two of one.
    for (name, content) in [
        ("mtd3_kernel", &good[0x35_0000..0xe5_0000]),
        ("mtd3", &good[..100]),
        ("mtdblock4", &good[0xe5_0000..]),
    ] {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("mtd4"), &good[0xe5_0000..]).unwrap();
        fs::write(dir.join(name), content).unwrap();
        let before = sim.flash();
        sim.run("restore", &["-y", dir.to_str().unwrap()]).exits(65);
        assert!(sim.flash() == before);
    }
}

#[test]
fn a_backup_that_is_not_what_its_sums_say_is_refused() {
    let sim = SimBox::new("generic");
    let dir = sim.dir.path().join("backup");
    let path = dir.to_str().unwrap();
    sim.run("backup", &[path]).exits(0);
    let before = sim.flash();
    fs::write(dir.join("mtd2.kernel.bin"), bytes(3 * MIB, 6)).unwrap();
    sim.run("restore", &["-y", path]).exits(65);
    fs::remove_file(dir.join("mtd2.kernel.bin")).unwrap();
    sim.run("restore", &["-y", path]).exits(66);
    fs::remove_file(dir.join("SHA256SUMS")).unwrap();
    sim.run("restore", &["-y", path]).exits(66);
    sim.run("restore", &["-y", "--part", "rootfs", path]).exits(66);
    assert!(sim.flash() == before);
}

#[test]
fn a_backup_of_another_box_is_refused() {
    let sim = SimBox::new("generic");
    let dir = sim.dir.path().join("backup");
    sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
    let other = SimBox::new("qnap-ts109");
    let before = other.flash();
    other.run("restore", &["-y", dir.to_str().unwrap()]).exits(78);
    assert!(other.flash() == before);
}

#[test]
fn apply_can_make_the_backup_first() {
    let sim = SimBox::new("generic");
    let old = bytes(16 * MIB, 7);
    sim.fill(&old);
    let dir = sim.dir.path().join("backup");
    let image = sim.file("image", &bytes(MIB, 8));
    sim.apply(&["--part", "kernel", "--backup", dir.to_str().unwrap(), &image])
        .exits(0);
    assert_eq!(fs::read(dir.join("mtd2.kernel.bin")).unwrap(), old[0x50000..0x350000]);
}

#[test]
fn a_backup_that_cannot_be_written_stops_the_update() {
    let sim = SimBox::new("generic");
    let before = sim.flash();
    let image = sim.file("image", &bytes(MIB, 9));
    sim.apply(&["--part", "kernel", "--backup", "/dev/null/backup", &image])
        .exits(71);
    assert!(sim.flash() == before);
}

/// `cat /dev/mtdblock1 >mtd1`, as Debian's instructions for these boxes have it.
#[test]
fn copies_that_were_made_by_hand_go_back_if_their_lengths_are_right() {
    let sim = SimBox::new("qnap-ts219");
    let chip = bytes(16 * MIB, 9);
    let dir = sim.dir.path().join("by-hand");
    fs::create_dir(&dir).unwrap();
    let path = dir.to_str().unwrap();
    let places = [
        (0, 0, 512 << 10),
        (1, 2 * MIB, 2 * MIB),
        (2, 4 * MIB, 9 * MIB),
        (3, 13 * MIB, 3 * MIB),
        (4, 512 << 10, 256 << 10),
        (5, 768 << 10, 1280 << 10),
    ];
    for (mtd, offset, length) in places {
        fs::write(dir.join(format!("mtd{mtd}")), &chip[offset..offset + length]).unwrap();
    }
    let run = sim.run("restore", &["-y", path]).exits(0);
    assert!(
        run.out.contains("made by hand"),
        "that nothing vouches for them is said: {run:?}"
    );
    assert!(sim.flash()[2 * MIB..] == chip[2 * MIB..]);
    assert!(
        sim.flash()[..2 * MIB].iter().all(|byte| *byte == 0xff),
        "what is kept is kept"
    );
    // A boot loader wants a checksum, which these do not have.
    let writable = SimBox::changed("qnap-ts219", |profile| {
        profile["partitions"][0]["read_only"] = false.into()
    });
    let options = ["-y", "--part", "U-Boot", "--force", "bootloader", path];
    assert!(writable.run("restore", &options).exits(78).err.contains("checksum"));

    let sim = SimBox::new("qnap-ts219");
    let before = sim.flash();
    fs::write(dir.join("mtd1"), &chip[..2 * MIB - 1]).unwrap();
    let run = sim.run("restore", &["-y", path]).exits(65);
    assert!(
        run.err.contains("2,097,151 bytes") && run.err.contains("Kernel"),
        "{run:?}"
    );
    fs::remove_file(dir.join("mtd1")).unwrap();
    fs::write(dir.join("mtd3.bin"), &chip[13 * MIB..]).unwrap();
    let run = sim.run("restore", &["-y", path]).exits(65);
    assert!(run.err.contains("copies of the same partition"), "{run:?}");
    assert!(sim.flash() == before);
    // Those of a box whose partitions are others.
    fs::remove_file(dir.join("mtd3.bin")).unwrap();
    SimBox::new("qnap-ts219-resized")
        .run("restore", &["-y", path])
        .exits(65);
}

/// A directory that was touched since, or that never was what it looks like: nothing waits, nothing is read without end, nothing is
/// written that no list vouches for.
#[test]
fn spoilt_directories_are_refused_before_anything_is_written() {
    let sim = SimBox::new("generic");
    let whole = sim.dir.path().join("whole");
    sim.run("backup", &[whole.to_str().unwrap()]).exits(0);
    sim.fill(&bytes(16 * MIB, 21));
    let before = sim.flash();
    let dir = sim.dir.path().join("spoilt");
    let path = dir.to_str().unwrap();
    let shell = |script: &str| tool("sh", &["-ec", &format!("cd '{path}'; {script}")]);
    for (exit, script) in [
        // A list that is there and cannot be read is not one that is missing.
        (66, "cp mtd2.kernel.bin mtd2; ln -sf nowhere SHA256SUMS"),
        (66, "cp mtd2.kernel.bin mtd2; rm SHA256SUMS; mkdir SHA256SUMS"),
        (66, "rm SHA256SUMS; mkfifo SHA256SUMS"),
        (66, "ln -sf /dev/zero SHA256SUMS"),
        (66, "rm mtd2.kernel.bin; mkfifo mtd2.kernel.bin"),
        (66, "rm mtd2.kernel.bin; mkdir mtd2.kernel.bin"),
        (66, "ln -sf /dev/zero mtd2.kernel.bin"),
        (66, "ln -sf nowhere mtd2.kernel.bin"),
        (65, "truncate -s -1 mtd2.kernel.bin"),
        (65, "truncate -s 0 mtd2.kernel.bin"),
        // Longer than RAM, with nothing in it.
        (78, "truncate -s 64G mtd2.kernel.bin"),
        (65, "grep kernel SHA256SUMS >x; cat x >>SHA256SUMS"),
        (65, "sed -i 's/^[0-9a-f]*/0123/' SHA256SUMS"),
        (65, "sed -i 's/  .*//' SHA256SUMS"),
        (65, "md5sum mtd*.bin >SHA256SUMS"),
        (65, ">SHA256SUMS"),
        (65, "gzip mtd*.bin; sha256sum *.gz >SHA256SUMS"),
        (66, "gzip mtd*.bin; rm SHA256SUMS"),
        (65, "sed -i -n 's,  mtd2,  ../whole/mtd2,p' SHA256SUMS"),
        // The copy of one partition under the name of another.
        (66, "mv mtd2.kernel.bin mtd3.rootfs.bin"),
        (65, "cp mtd2.kernel.bin mtd3.rootfs.bin"),
    ] {
        let _ = fs::remove_dir_all(&dir);
        tool("cp", &["-a", whole.to_str().unwrap(), path]);
        shell(script);
        let run = sim.run("restore", &["-y", path]);
        assert_eq!(run.exit, exit, "{script}: {run:?}");
        assert!(run.err.contains("spoilt") || exit == 78, "{script}: {run:?}");
        assert!(sim.flash() == before, "{script}");
    }
    // Lines that another system's editor has ended, and what lies beside the copies.
    let _ = fs::remove_dir_all(&dir);
    tool("cp", &["-a", whole.to_str().unwrap(), path]);
    shell("sed -i 's/$/\\r/' SHA256SUMS; mkdir sub; ln -s nowhere dangling; mkfifo fifo");
    let run = sim.run("restore", &["-y", "--format", "json", path]).exits(0);
    let said = unused(&run);
    for name in ["\"sub\"", "\"dangling\"", "\"fifo\""] {
        assert!(said.iter().any(|text| text.contains(name)), "{name}: {said:?}");
    }
    // By hand, with gaps: what is there goes back, and what is no file is named.
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    shell("cp ../whole/mtd2.kernel.bin mtd2; mkdir mtd3; ln -s nowhere mtd4; cp ../whole/mtd1* mtd1.gz");
    sim.fill(&bytes(16 * MIB, 22));
    let before = sim.flash();
    let run = sim
        .run("restore", &["-y", "--format", "json", "--force=content", path])
        .exits(0);
    let said = unused(&run);
    for name in ["\"mtd3\"", "\"mtd4\"", "\"mtd1.gz\""] {
        assert!(said.iter().any(|text| text.contains(name)), "{name}: {said:?}");
    }
    let after = sim.flash();
    assert!(after[..0x5_0000] == before[..0x5_0000] && after[0x35_0000..] == before[0x35_0000..]);
}

/// Copies of two boxes in one directory could not be restored to either.
#[test]
fn a_backup_is_not_mixed_with_that_of_another_box() {
    let one = SimBox::new("generic");
    let dir = one.dir.path().join("backup");
    let path = dir.to_str().unwrap();
    one.run("backup", &[path]).exits(0);
    let list = fs::read(dir.join("SHA256SUMS")).unwrap();
    let other = SimBox::new("qnap-ts109");
    let run = other.run("backup", &[path]).exits(71);
    assert!(run.err.contains("another directory"), "{run:?}");
    assert!(fs::read(dir.join("SHA256SUMS")).unwrap() == list);
    assert!(!dir.join(".flasher-unfinished").exists());
    one.run("restore", &["-y", path]).exits(0);
}

/// A list with one copy twice is one that `restore` refuses.
#[test]
fn a_partition_that_is_named_twice_is_copied_once() {
    let sim = SimBox::of_anything("qnap-ts219");
    let dir = sim.path().join("copies");
    let dir = dir.to_str().unwrap();
    let run = sim.run("backup", &["--part", "Kernel,mtd1,Kernel", dir]).exits(0);
    assert!(run.out.starts_with("1 partition, 2 MiB"), "{run:?}");
    sim.run("restore", &["-n", dir]).exits(0);
}
