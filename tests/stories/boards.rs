//! The built-in boards of QNAP and Synology: names, sizes, physical order; and a profile of the user's own. The numbers
//! are written down here once more, from Linux's device trees and board files.

use crate::containers::pack;
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use std::path::Path;

/// Partition, mtd number, offset on the chip, size.
type Row = (&'static str, u64, u64, u64);

const TS109: [Row; 6] = [
    ("U-Boot", 0, 0x780000, 0x80000),
    ("Kernel", 1, 0, 0x200000),
    ("RootFS1", 2, 0x200000, 0x400000),
    ("RootFS2", 3, 0x600000, 0x100000),
    ("U-Boot Config", 4, 0x760000, 0x20000),
    ("NAS Config", 5, 0x700000, 0x60000),
];
const TS219: [Row; 6] = [
    ("U-Boot", 0, 0, 0x80000),
    ("Kernel", 1, 0x200000, 0x200000),
    ("RootFS1", 2, 0x400000, 0x900000),
    ("RootFS2", 3, 0xd00000, 0x300000),
    ("U-Boot Config", 4, 0x80000, 0x40000),
    ("NAS Config", 5, 0xc0000, 0x140000),
];
const DS213J: [Row; 6] = [
    ("RedBoot", 0, 0, 0xc0000),
    ("zImage", 1, 0xc0000, 0x2d0000),
    ("rd.gz", 2, 0x390000, 0x440000),
    ("vendor", 3, 0x7d0000, 0x10000),
    ("RedBoot Config", 4, 0x7e0000, 0x10000),
    ("FIS Directory", 5, 0x7f0000, 0x10000),
];

#[test]
fn partitions_are_where_the_real_boxes_have_them() {
    for (board, rows) in [
        ("qnap-ts109", TS109),
        ("qnap-ts219", TS219),
        ("synology-ds213j", DS213J),
    ] {
        let sim = SimBox::new(board);
        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        assert_eq!(devices["board"], board);
        let chip = bytes(sim.flash().len(), 1);
        sim.fill(&chip);
        let dir = sim.dir.path().join("backup");
        sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
        for (index, (name, mtd, offset, size)) in rows.into_iter().enumerate() {
            let partition = &devices["partitions"][index];
            assert_eq!(
                (&partition["name"], &partition["mtd"]),
                (&name.into(), &mtd.into()),
                "{board}"
            );
            assert_eq!(partition["size"], size, "{board} {name}");
            let copy = std::fs::read(dir.join(format!("mtd{mtd}.{name}.bin"))).unwrap();
            assert!(
                copy == chip[offset as usize..(offset + size) as usize],
                "{board} {name}"
            );
        }
    }
}

#[test]
fn every_board_makes_a_box_that_can_be_written() {
    for (board, part) in [
        ("qnap-ts109", "RootFS1"),
        ("qnap-ts219", "RootFS1"),
        ("qnap-ts219-resized", "RootFS1"),
        ("synology-ds213j", "rd.gz"),
        ("tplink-wdr3600", "rootfs"),
        ("thincan", "root"),
        ("generic", "rootfs"),
    ] {
        let sim = SimBox::of_anything(board);
        let path = sim.file("image", &bytes(700_000, 2));
        sim.apply(&["--part", part, &path]).exits(0);
        sim.run("verify", &["--part", part, &path]).exits(0);
    }
}

#[test]
fn a_profile_of_the_users_own() {
    let base = SimBox::changed("generic", |profile| {
        profile["id"] = "my-router".into();
        profile["partitions"][3]["name"] = "system".into();
    });
    let profile = base.path().join("board.json");
    let dir = base.dir.path().join("mine");
    flasher(&["sim", "create", profile.to_str().unwrap(), dir.to_str().unwrap()]).exits(0);
    let devices = flasher(&["devices", "--format", "json", "--sim", dir.to_str().unwrap()])
        .exits(0)
        .json();
    assert_eq!(
        (&devices["board"], &devices["partitions"][3]["name"]),
        (&"my-router".into(), &"system".into())
    );
    std::fs::write(&profile, "{\"id\": \"broken\"}").unwrap();
    flasher(&["sim", "create", profile.to_str().unwrap(), "/nonexistent/x"]).exits(64);
}

/// A partition of a device tree: label, offset, size, whether the kernel makes it read-only.
type InTree = (String, u64, u64, bool);

/// The strings that name the machine, and the partitions of the only flash that has some, as `dtc` prints them.
fn tree(path: &Path) -> (Vec<String>, Vec<InTree>) {
    let text =
        String::from_utf8(tool("dtc", &["-q", "-I", "dtb", "-O", "dts", path.to_str().unwrap()]).stdout).unwrap();
    let value = |line: &str, name: &str| {
        let rest = line.trim().strip_prefix(name)?.strip_prefix(" = ")?;
        Some(rest.trim_end_matches(';').to_owned())
    };
    let strings = |value: String| -> Vec<String> {
        let plain = value.replace("\\0", "\", \"");
        plain
            .split(", ")
            .map(|word| word.trim_matches('"').to_owned())
            .collect()
    };
    let compatible = text.lines().find_map(|line| value(line, "compatible")).map(strings);
    let mut partitions = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.trim().starts_with("partition@") {
            continue;
        }
        let inside: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "};").collect();
        let of = |name: &str| inside.iter().find_map(|line| value(line, name));
        let numbers = of("reg").unwrap();
        let mut numbers = numbers
            .trim_matches(['<', '>'])
            .split(' ')
            .map(|number| u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap());
        partitions.push((
            strings(of("label").unwrap()).remove(0),
            numbers.next().unwrap(),
            numbers.next().unwrap(),
            inside.iter().any(|line| line.trim() == "read-only;"),
        ));
    }
    (compatible.unwrap(), partitions)
}

#[test]
fn the_profiles_of_kirkwood_boxes_are_linuxs_device_trees() {
    let trees = crate::processors::debian().join("usr/lib");
    let trees = crate::processors::only(trees, "linux-image-");
    let boxes = [
        ("qnap-ts219", "ts219-6281 ts219-6282 ts419-6281 ts419-6282"),
        ("seagate-goflexnet", "goflexnet"),
        ("seagate-dockstar", "dockstar"),
        ("cloudengines-pogoe02", "pogo_e02"),
        ("zyxel-nsa310", "nsa310 nsa310a nsa320 nsa325"),
        ("dlink-dns320", "dns320 dns325"),
        (
            "buffalo-linkstation",
            "linkstation-lsvl linkstation-lsqvl linkstation-lswvl lsxhl lschlv2",
        ),
        (
            "netgear-readynas-duo-v2",
            "netgear_readynas_duo_v2 netgear_readynas_nv+_v2",
        ),
        ("iomega-iconnect", "iconnect"),
        ("linksys-ea4500", "linksys-viper"),
    ];
    let mut compared = 0;
    for (id, names) in boxes {
        let text = read(Path::new(&format!(
            "{}/src/board/profiles/{id}.json",
            env!("CARGO_MANIFEST_DIR")
        )));
        let signs: Vec<String> = {
            let profile: serde_json::Value = serde_json::from_slice(&text).unwrap();
            serde_json::from_value(profile["signs"]["compatible"].clone()).unwrap()
        };
        let sim = SimBox::new(id);
        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        let known: Vec<InTree> = devices["partitions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|partition| {
                (
                    partition["name"].as_str().unwrap().to_owned(),
                    partition["offset"].as_u64().unwrap(),
                    partition["size"].as_u64().unwrap(),
                    !partition["writable"].as_bool().unwrap(),
                )
            })
            .collect();
        for name in names.split(' ') {
            let (compatible, partitions) = tree(&trees.join(format!("kirkwood-{name}.dtb")));
            assert!(
                compatible.iter().any(|name| signs.contains(name)),
                "{id}: {compatible:?}"
            );
            assert_eq!(known.len(), partitions.len(), "{id}");
            for (label, offset, size, read_only) in partitions {
                let same = |known: &&InTree| (&known.0, known.1, known.2) == (&label, offset, size);
                let known = known.iter().find(same);
                let known = known.unwrap_or_else(|| panic!("{id}: {name} has {label} at {offset:#x}, {size:#x}"));
                // Older kernels than this tree make more of them read-only.
                assert!(known.3 || !read_only, "{id}: {name}: {label}");
                compared += 1;
            }
        }
    }
    assert!(compared > 90, "{compared}");
}

/// What the boot loader and the box itself need is kept on every one of them.
#[test]
fn every_built_in_board_keeps_its_boot_loader_and_settings() {
    let dir = format!("{}/src/board/profiles", env!("CARGO_MANIFEST_DIR"));
    let mut boards = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let profile: serde_json::Value = serde_json::from_slice(&read(&entry.unwrap().path())).unwrap();
        let id = profile["id"].as_str().unwrap();
        if ["generic", "thincan"].contains(&id) {
            continue;
        }
        boards += 1;
        let sim = SimBox::new(id);
        let path = sim.file("image", &bytes(3000, 1));
        for kind in ["bootloader", "settings"] {
            let kept = |partition: &&serde_json::Value| partition["keep"] == kind;
            let kept: Vec<_> = profile["partitions"].as_array().unwrap().iter().filter(kept).collect();
            // Some have their environment within the boot loader's partition.
            assert!(!kept.is_empty() || kind == "settings", "{id} keeps no {kind}");
            for partition in kept {
                let run = sim
                    .apply(&["--part", partition["name"].as_str().unwrap(), &path])
                    .exits(78);
                let failed = |check: &&serde_json::Value| check["name"] == kind && check["status"] == "fail";
                assert!(run.events().iter().find(failed).is_some(), "{id}: {run:?}");
            }
        }
    }
    assert!(boards >= 20, "{boards}");
}

/// `bootm KERNEL RAMDISK` of U-Boot takes a ramdisk by its uImage header, and resets the box where there is none. flash-kernel's
/// database has a `U-Boot-Initrd-Address` for such boxes, and none for a QNAP, whose `initrd=` takes the bare archive.
#[test]
fn where_bootm_takes_a_ramdisk_it_is_one_with_a_header() {
    for (board, part) in [
        ("dlink-dns320", "ramdisk"),
        ("dlink-dns323", "File System"),
        ("netgear-readynas-duo-v2", "minirootfs"),
        ("iomega-iconnect", "initrd"),
    ] {
        let sim = SimBox::new(board);
        let cpio = [b"070701".as_slice(), &bytes(20_000, 6)].concat();
        let bare = pack(&sim.file("initrd", &cpio), "gzip", &["-kn"]);
        let run = sim.apply(&["--part", part, &bare]).exits(78);
        assert!(run.out.contains("it holds uimage ramdisk"), "{board}: {run:?}");
        let header = sim.dir.path().join("header");
        let (kind, header) = ("-A arm -O linux -T ramdisk -C gzip -n x -d", header.to_str().unwrap());
        tool("mkimage", &kind.split(' ').chain([&*bare, header]).collect::<Vec<_>>());
        sim.apply(&["--part", part, header]).exits(0);
    }
}

/// `bootcmd=nand read.e 0xa00000 0x100000 0x300000;nand read.e 0xf00000 0x600000 0x300000;bootm 0xa00000 0xf00000` (mkfw of Alt-F): of
/// what is longer U-Boot says `Bad Data CRC`.
#[test]
fn what_is_longer_than_the_boot_loader_loads_is_refused() {
    let sim = SimBox::new("dlink-dns320");
    let made = |length: usize, kind: &str| {
        let (data, image) = (sim.file("data", &bytes(length - 64, 4)), sim.dir.path().join(kind));
        let image = image.to_str().unwrap().to_owned();
        let flags = ["-A", "arm", "-O", "linux", "-T", kind, "-C", "none", "-n", "x", "-d"];
        tool("mkimage", &[&flags[..], &[&data, &image]].concat());
        image
    };
    for (part, kind) in [("uImage", "kernel"), ("ramdisk", "ramdisk")] {
        let before = sim.flash();
        let long = made((3 << 20) + 1, kind);
        let run = sim.apply(&["--part", part, "--force=content", &long]).exits(78);
        assert_eq!(run.json()["code"], "size", "{run:?}");
        assert!(
            run.out.contains("the boot loader loads 3,145,728 of them: 1 too many"),
            "{run:?}"
        );
        assert!(sim.flash() == before);
        sim.apply(&["--part", part, "--force=content,size", &long]).exits(0);
        // What was booted there goes back.
        let copies = sim.dir.path().join(format!("copies of {part}"));
        let copies = copies.to_str().unwrap();
        sim.run("backup", &["--part", part, copies]).exits(0);
        sim.fill(&before);
        sim.run("restore", &["-y", copies]).exits(0);
        sim.apply(&["--part", part, "--force=content", &made(3 << 20, kind)])
            .exits(0);
    }
    for loads in [0, (5 << 20) + 1, u64::MAX] {
        let dir = tempfile::tempdir().unwrap();
        let profile = read(&sim.path().join("board.json"));
        let mut profile: serde_json::Value = serde_json::from_slice(&profile).unwrap();
        let parts = profile["partitions"].as_array_mut().unwrap();
        let part = parts.iter_mut().find(|part| part["name"] == "uImage").unwrap();
        part["loads"] = loads.into();
        let path = dir.path().join("p.json");
        std::fs::write(&path, profile.to_string()).unwrap();
        let box_dir = dir.path().join("box");
        let run = flasher(&["sim", "create", path.to_str().unwrap(), box_dir.to_str().unwrap()]);
        assert!(
            run.err.contains("the boot loader loads nothing, or more than there is"),
            "{run:?}"
        );
    }
    let long = made((5 << 20) + 1, "kernel");
    let run = sim
        .apply(&["--part", "uImage", "--force=content,size", &long])
        .exits(78);
    assert_eq!(run.json()["code"], "size", "never where it does not fit: {run:?}");
}
