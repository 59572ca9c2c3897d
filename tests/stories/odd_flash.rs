//! Flash that is damaged, hostile or new to us in the kernel's own words: it is listed where it can be, and not written.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, M, NEW};
use crate::simbox::{SimBox, is_root};
use serde_json::json;

/// What is neither NOR nor NAND, or does not say, would be written as if it had no bad blocks.
#[test]
fn flash_of_a_kind_that_is_not_known_is_not_written() {
    if !is_root() {
        return;
    }
    let first = mtd(0, "kernel", M, 0);
    let path = "devices/platform/soc/spi0.0/mtd/mtd0/type";
    for (kind, refused) in [("nor", false), ("phase-change", true), ("", true)] {
        let plan = FakeBox::new(NEW, &[first]).sys(path, kind).plan("kernel", &[]);
        assert_eq!(plan.refused().contains(&"writable"), refused, "{kind}: {}", plan.json);
        assert!(
            !refused || plan.says("writable").contains("what kind of flash"),
            "{kind}"
        );
    }
}

#[test]
fn sizes_that_make_no_sense_are_shown_and_refused() {
    if !is_root() {
        return;
    }
    let odd = FakeBox::new(
        NEW,
        &[
            mtd(0, "kernel", 512 * K, 0),
            mtd(1, "out of reach", 0, 0),
            mtd(2, "no erase size", M, M).erase_size(0),
            mtd(3, "odd", M + 4096, 2 * M),
        ],
    );
    let devices = odd.devices();
    assert_eq!(devices.json["partitions"].as_array().unwrap().len(), 4);
    assert_eq!(devices.place("mtd1").2, [""; 0], "what is empty shares nothing");
    assert!(odd.plan("kernel", &[]).refused().is_empty());
    for (part, check) in [
        ("mtd1", "size"),
        ("mtd2", "aligned"),
        ("mtd2", "writable"),
        ("odd", "aligned"),
    ] {
        let plan = odd.plan(part, &[]);
        assert!(plan.refused().contains(&check), "{part}: {}", plan.json);
    }
    let path = "devices/platform/soc/spi0.0/mtd/mtd0/writesize";
    for (page, refused) in [("0", true), ("131072", true), ("3", true), ("256", false)] {
        let kernel = FakeBox::new(NEW, &[mtd(0, "kernel", 512 * K, 0)]).sys(path, page);
        let plan = kernel.plan("kernel", &[]);
        assert_eq!(plan.refused().contains(&"writable"), refused, "{page}: {}", plan.json);
        let told = plan
            .says("writable")
            .contains(&format!("erase blocks of 65536 and pages of {page} bytes"));
        assert_eq!(told, refused, "{page}: {}", plan.json);
    }
}

/// One of the two is wrong, and we would write by it.
#[test]
fn a_box_whose_lists_contradict_each_other_is_refused() {
    if !is_root() {
        return;
    }
    let listed = "dev:    size   erasesize  name\nmtd0: 00100000 00010000 \"kernel\"\n";
    let odd =
        |size: u64, more: &str| FakeBox::new(NEW, &[mtd(0, "kernel", size, 0)]).proc("mtd", &format!("{listed}{more}"));
    odd(M, "").run(&["devices"]).exits(0);
    let other = "mtd1: 00100000 00010000 \"rootfs\"\n";
    for (shown, device) in [(odd(2 * M, ""), "mtd0 \"kernel\""), (odd(M, other), "mtd1")] {
        let run = shown.run(&["devices"]).exits(71);
        let told = format!("list {device}: /proc/mtd and sysfs disagree about it");
        assert!(run.err.contains(&told), "{run:?}");
        assert!(run.err.contains("next:  compare cat /proc/mtd with"), "{run:?}");
    }
    let run = odd(M, "mtd1: what\n").without_sysfs().run(&["devices"]).exits(71);
    assert!(run.err.contains("report it, with what this file says"), "{run:?}");
}

/// `block2mtd` makes such a device of a disk, and going through its blocks would take hours. What lies beside it is as before.
#[test]
fn a_device_of_too_many_erase_blocks_is_shown_and_left_alone() {
    if !is_root() {
        return;
    }
    for size in [(1 << 38) + K, 1 << 63] {
        let disk = mtd(1, "disk", size, 0).anywhere().on("virtual");
        let devices = [mtd(0, "kernel", M, 0), disk];
        let odd = FakeBox::new(NEW, &devices).sys("module/block2mtd/parameters/block2mtd", "");
        let odd = odd.sys("devices/virtual/mtd/mtd1/type", "ram");
        let shown = odd.devices();
        assert_eq!(
            (&shown.of("mtd1")["size"], &shown.of("mtd1")["writable"]),
            (&json!(size), &json!(false))
        );
        assert_eq!(shown.place("mtd0").3, ["mtd1"], "it may be made of the flash beside it");
        assert!(odd.plan("kernel", &[]).refused().is_empty());
        let plan = odd.plan("disk", &[]);
        assert!(plan.refused().contains(&"writable"), "{}", plan.json);
        assert!(
            plan.says("writable").contains("more than 4,194,304 erase blocks"),
            "{}",
            plan.json
        );
        assert!(!plan.says("writable").contains("pages"), "{}", plan.json);
        let image = odd.etc_path("image");
        let verify = odd
            .etc("image", b"anything")
            .run(&["verify", "--part", "disk", image.to_str().unwrap()]);
        assert!(verify.exits(78).err.contains("neither written nor compared"));
    }
    let volume = FakeBox::new(NEW, &[mtd(0, "ubi", 4 * M, 0)])
        .ubi(0, "rootfs")
        .sys("class/ubi/ubi0_0/reserved_ebs", "4194305");
    let plan = volume.plan("ubi0:rootfs", &[]);
    assert!(
        plan.says("writable").contains("more than 4,194,304 erase blocks"),
        "{}",
        plan.json
    );
}

/// Nobody who backs up his flash wants a disk in it.
#[test]
fn a_device_of_too_many_erase_blocks_is_no_part_of_a_backup_unless_it_is_named() {
    let sim = SimBox::changed("generic", |profile| {
        profile["chip"] = json!({ "kind": "nor", "size": 16 * M, "erase_size": 1 });
        profile["partitions"] = json!([
            { "mtd": 0, "name": "kernel", "offset": 0, "size": 64 * K },
            { "mtd": 1, "name": "disk", "offset": M, "size": 15 * M },
        ]);
    });
    let copies = |name: &str, more: &[&str]| {
        let dir = sim.dir.path().join(name);
        let run = sim.run("backup", &[&["--format", "json", dir.to_str().unwrap()], more].concat());
        let run = run.exits(0);
        let files = ["mtd0.kernel.bin", "mtd1.disk.bin"].map(|file| dir.join(file).exists());
        (files, run.json(), run.err)
    };
    let (files, told, warned) = copies("all", &[]);
    assert_eq!((files, &told["left_out"]), ([true, false], &json!(["disk"])));
    assert!(warned.contains("mtd1 \"disk\" is left out of the backup"), "{warned}");
    assert!(warned.contains("flasher backup --part mtd1 copies it"), "{warned}");
    let (files, told, warned) = copies("named", &["--part", "mtd1"]);
    assert_eq!(
        (files, &told["left_out"], warned.as_str()),
        ([false, true], &json!(null), "")
    );
    assert_eq!(told["size"], 15 * M);
}
