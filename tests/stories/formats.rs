//! FIT, TRX, UBI, OpenWrt's `sysupgrade` in both kinds, Synology's `.pat`, QNAP's packages, whole chips; and the
//! kernels that Debian ships for these boxes. Made by the real tools where there are any.

use crate::containers::{MIB, pack};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use crc::{CRC_32_ISO_HDLC, Crc};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// zlib's CRC-32 without its final inversion.
fn open_crc(bytes: &[u8]) -> u32 {
    !Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(bytes)
}

/// No bit of these ranges may change, and no cut at 4 KiB may pass.
#[track_caller]
fn is_checked(sim: &SimBox, part: &str, image: &[u8], bits: &[usize]) {
    let before = sim.flash();
    let refused = |what: &str, image: &[u8]| {
        let path = sim.file("image", image);
        let run = sim.apply(&["--part", part, "--force", "metadata", &path]);
        assert!([65, 78].contains(&run.exit), "{what}: {run:?}");
        assert!(sim.flash() == before, "{what}");
        let run = flasher(&["inspect", "--format", "json", &path]);
        assert!([0, 65].contains(&run.exit), "{what}: {run:?}");
        run.json();
    };
    for at in bits {
        let mut bad = image.to_vec();
        bad[*at] ^= 0x40;
        refused(&format!("bit at {at}"), &bad);
    }
    for length in (4096..image.len()).step_by(4096) {
        refused(&format!("cut at {length}"), &image[..length]);
    }
}

fn fit(sim: &SimBox, algorithms: [&str; 2], flags: &[&str]) -> Vec<u8> {
    sim.file("kernel", &bytes(30_000, 1));
    sim.file("ramdisk", &bytes(9_001, 2));
    let image = |name: &str, kind: &str, arch: &str, algorithm: &str| {
        format!(
            "{name} {{ description = \"{name}\"; data = /incbin/(\"{name}\"); type = \"{kind}\"; arch = \"{arch}\"; \
             os = \"linux\"; compression = \"none\"; load = <0x8000>; entry = <0x8000>; \
             hash-1 {{ algo = \"{algorithm}\"; }}; }};"
        )
    };
    let its = format!(
        "/dts-v1/; / {{ description = \"test\"; #address-cells = <1>; images {{ {} {} }}; \
         configurations {{ default = \"a\"; a {{ kernel = \"kernel\"; ramdisk = \"ramdisk\"; }}; }}; }};",
        image("kernel", "kernel", "arm", algorithms[0]),
        image("ramdisk", "ramdisk", "arm", algorithms[1]),
    );
    let its = sim.file("image.its", its.as_bytes());
    let out = sim.dir.path().join("image.itb");
    tool("mkimage", &[flags, &["-f", &its, out.to_str().unwrap()]].concat());
    read(&out)
}

#[test]
fn a_fit_with_any_wrong_bit_in_its_images() {
    let sim = SimBox::of_anything("qnap-ts219");
    // Inside the tree, and behind it.
    for flags in [&[][..], &["-E"]] {
        let image = fit(&sim, ["crc32", "sha256"], flags);
        let find = |part: &[u8]| image.windows(part.len()).position(|window| window == part).unwrap();
        let (kernel, ramdisk) = (find(&bytes(30_000, 1)), find(&bytes(9_001, 2)));
        let path = sim.file("good", &image);
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(report["format"], "fit");
        assert_eq!(report["parts"][0]["content"]["role"], "kernel");
        assert_eq!(report["parts"][0]["content"]["arch"], "arm");
        // In its header: where the list of reserved memory is, and from which version on the tree can be read.
        let header = [16, 24, 27];
        let bits = [kernel, kernel + 15_000, kernel + 29_999, ramdisk, ramdisk + 9_000];
        is_checked(&sim, "Kernel", &image, &[&header[..], &bits].concat());
        sim.apply(&["--part", "Kernel", &path]).exits(0);
    }
    // For another processor.
    let path = sim.file("good", &fit(&sim, ["crc32", "crc32"], &[]));
    let run = SimBox::of_anything("tplink-wdr3600")
        .apply(&["--part", "firmware", &path])
        .exits(78);
    assert!(run.out.contains("is for arm processors"), "{run:?}");
}

#[test]
fn a_trx_with_any_wrong_bit() {
    let sim = SimBox::new("generic");
    let mut body = 0x0001_0000u32.to_le_bytes().to_vec();
    for offset in [28u32, 10_000, 0] {
        body.extend(offset.to_le_bytes());
    }
    body.extend(bytes(30_000, 3));
    let mut image = b"HDR0".to_vec();
    image.extend((body.len() as u32 + 12).to_le_bytes());
    image.extend(open_crc(&body).to_le_bytes());
    image.extend(&body);
    let path = sim.file("good", &image);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "trx");
    is_checked(&sim, "kernel", &image, &[5, 9, 12, 20, 5_000, 30_027]);
    sim.apply(&["--part", "kernel", &path]).exits(0);
}

/// What the erase block and page sizes of a box want.
fn ubi(sim: &SimBox, block: &str, page: &str) -> Vec<u8> {
    let volume = sim.file("volume", &bytes(300_000, 4));
    let ini =
        format!("[rootfs]\nmode=ubi\nimage={volume}\nvol_id=0\nvol_type=static\nvol_name=rootfs\nvol_size=1MiB\n");
    let ini = sim.file("ubi.ini", ini.as_bytes());
    let out = sim.dir.path().join("image.ubi");
    tool("ubinize", &["-o", out.to_str().unwrap(), "-p", block, "-m", page, &ini]);
    read(&out)
}

#[test]
fn an_ubi_image_must_be_made_for_these_erase_blocks() {
    let sim = SimBox::new("thincan");
    let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
    let partition = devices["partitions"].as_array().unwrap().last().unwrap();
    let (name, block) = (
        partition["name"].as_str().unwrap(),
        partition["erase_size"].as_u64().unwrap(),
    );
    let page = partition["write_size"].as_u64().unwrap().to_string();
    let image = ubi(&sim, &block.to_string(), &page);
    let path = sim.file("good", &image);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "ubi");
    assert_eq!(report["parts"][0]["content"]["erase_size"], block);
    sim.run("plan", &["--part", name, &path]).exits(0);
    let block = block as usize;
    let before = sim.flash();
    for at in [8, 16, block + 9, image.len() - block + 20] {
        let mut bad = image.clone();
        bad[at] ^= 1;
        sim.apply(&["--part", name, &sim.file("bad", &bad)]).exits(65);
    }
    sim.apply(&["--part", name, &sim.file("cut", &image[..image.len() - 4096])])
        .exits(65);
    let other = ubi(&sim, &(block * 2).to_string(), &page);
    let run = sim.apply(&["--part", name, &sim.file("other", &other)]).exits(78);
    assert!(run.out.contains("made for erase blocks of"), "{run:?}");
    assert!(sim.flash() == before);
}

/// fwtool's trailer, written from its header file and nothing of ours.
pub fn trailer(image: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    image.extend(payload);
    let crc = open_crc(image);
    image.extend(0x4657_7830u32.to_be_bytes());
    image.extend(crc.to_be_bytes());
    image.extend([kind, 0, 0, 0]);
    image.extend((payload.len() as u32 + 16).to_be_bytes());
}

pub fn metadata(image: &mut Vec<u8>, devices: &str, compat: &str) {
    let json = format!(
        "{{\"metadata_version\":\"1.1\",\"compat_version\":\"{compat}\",\"supported_devices\":[{devices}],\
         \"version\":{{\"dist\":\"OpenWrt\",\"version\":\"23.05\",\"board\":\"x\"}}}}"
    );
    trailer(image, 1, &[&[0; 8], json.as_bytes()].concat());
}

const WDR3600: &str = "\"tplink,tl-wdr3600-v1\",\"tl-wdr3600\"";

#[test]
fn openwrt_metadata_decides_and_is_not_written() {
    let sim = SimBox::new("tplink-wdr3600");
    let firmware = bytes(300_000, 5);
    let mut image = firmware.clone();
    metadata(&mut image, WDR3600, "1.0");
    // A signature behind it, as builders add it.
    trailer(&mut image, 0, b"untrusted comment: signed by key 0\nRWQ=\n");
    let path = sim.file("sysupgrade", &image);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "openwrt-sysupgrade");
    assert_eq!(report["metadata"]["supported_devices"][1], "tl-wdr3600");
    assert_eq!(report["boards"][0], "tplink-wdr3600");
    sim.apply(&[&path]).exits(0);
    let flash = sim.flash();
    assert!(flash[0x20000..0x20000 + firmware.len()] == firmware);
    assert!(
        flash[0x20000 + firmware.len()..].iter().all(|byte| *byte == 0xff),
        "metadata was written"
    );
    // The whole file is what has the checksum that people publish.
    let sum = report["sha256"].as_str().unwrap();
    sim.apply(&["--sha256", sum, &path]).exits(0);
    let before = sim.flash();
    for at in [
        0,
        150_000,
        300_004,
        300_050,
        image.len() - 20,
        image.len() - 11,
        image.len() - 13,
    ] {
        let mut bad = image.clone();
        bad[at] ^= 2;
        let run = sim.apply(&[&sim.file("bad", &bad)]);
        // Without its magic a trailer is none, and without metadata nothing says where the image goes.
        assert!([65, 78].contains(&run.exit), "bit at {at}: {run:?}");
    }
    assert!(sim.flash() == before);
    // Packed with the metadata behind the packed image, as it is for PCs, and with it inside.
    let packed = read(Path::new(&pack(
        &sim.file("firmware", &bytes(300_000, 6)),
        "gzip",
        &["-k"],
    )));
    let mut outside = packed;
    metadata(&mut outside, WDR3600, "1.0");
    sim.apply(&[&sim.file("outside", &outside)]).exits(0);
    assert!(sim.flash()[0x20000..0x20000 + 300_000] == bytes(300_000, 6));
    sim.apply(&[&pack(&path, "xz", &["-k"])]).exits(0);
    assert!(sim.flash() == before);
}

/// `tests/artifacts/metadata.json` of fwtool (openwrt/fwtool, e5666ed), with its line end.
const ARCHER: &str = concat!(
    "{  \"metadata_version\": \"1.0\", \"supported_devices\":[\"tplink,archer-c7-v5\",\"archer-c7-v5\"], ",
    "\"version\": { \"dist\": \"OpenWrt\", \"version\": \"SNAPSHOT\", \"revision\": \"r11215+4-bba6646b5cba\", ",
    "\"target\": \"ath79/generic\", \"board\": \"tplink_archer-c7-v5\" } }\n"
);

/// What fwtool's own `tests/cram/test_fwtool.t` does with 512 KiB of noise: metadata, a signature of 516 bytes, and both;
/// without them the image is what it was. Its signature is a binary of OpenWrt's, of which only the length matters here.
#[test]
fn the_cases_of_fwtools_own_tests() {
    let sim = SimBox::of_anything("tplink-wdr3600");
    let noise = bytes(512 << 10, 21);
    let signature = bytes(516, 22);
    let info = [&[0; 8], ARCHER.as_bytes()].concat();
    assert_eq!(ARCHER.len(), 244);
    for (kinds, known) in [
        (&[][..], false),
        (&[1], true),
        (&[0], false),
        (&[1, 0], true),
        (&[0, 1], true),
    ] {
        let mut image = noise.clone();
        for kind in kinds {
            trailer(&mut image, *kind, if *kind == 1 { &info } else { &signature });
        }
        if kinds.last() == Some(&0) {
            let at = image.len() - 532;
            assert!(image[at..at + 516] == signature, "where test_fwtool.t looks for it");
        }
        let report = flasher(&["inspect", "--format", "json", &sim.file("image", &image)])
            .exits(0)
            .json();
        assert_eq!(report["parts"][0]["size"], 512 << 10, "{kinds:?}: {report}");
        assert_eq!(report["size"], image.len());
        let devices = serde_json::json!(["tplink,archer-c7-v5", "archer-c7-v5"]);
        match known {
            true => assert_eq!(report["metadata"]["supported_devices"], devices),
            false => assert!(report["metadata"].is_null(), "{report}"),
        }
        sim.fill(&vec![0xff; 8 * MIB]);
        let path = sim.file("image", &image);
        sim.apply(&["--part", "firmware", "--force", "metadata", &path])
            .exits(0);
        let flash = sim.flash();
        assert!(flash[0x20000..0x20000 + noise.len()] == noise);
        assert!(flash[0x20000 + noise.len()..].iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn openwrt_metadata_of_another_box_or_another_layout() {
    let sim = SimBox::of_anything("tplink-wdr3600");
    let make = |devices: &str, compat: &str| {
        let mut image = bytes(100_000, 7);
        metadata(&mut image, devices, compat);
        sim.file("image", &image)
    };
    let before = sim.flash();
    let run = sim.apply(&[&make("\"netgear,wndr3700\"", "1.0")]).exits(78);
    assert_eq!(run.json()["code"], "metadata");
    assert!(run.out.contains("netgear,wndr3700"), "{run:?}");
    sim.apply(&["--force", "board", &make("\"netgear,wndr3700\"", "1.0")])
        .exits(78);
    sim.apply(&[&make(WDR3600, "2.0")]).exits(78);
    sim.apply(&[&make(WDR3600, "soon")]).exits(78);
    assert!(sim.flash() == before);
    let plan = sim
        .run("plan", &["--format", "json", &make(WDR3600, "1.1")])
        .exits(0)
        .json();
    let text = plan["checks"].to_string();
    assert!(text.contains("configuration cannot be kept"), "{text}");
    sim.apply(&["--force", "metadata", &make("\"netgear,wndr3700\"", "1.0")])
        .exits(0);
}

#[test]
fn a_box_that_does_not_say_its_compatibility_has_none_that_is_known() {
    let sim = SimBox::changed("tplink-wdr3600", |profile| {
        profile["compat"] = "unknown".into();
        profile["partitions"][1].as_object_mut().unwrap().remove("holds");
    });
    let mut image = bytes(100_000, 7);
    metadata(&mut image, WDR3600, "1.0");
    let path = sim.file("image", &image);
    let run = sim.apply(&[&path]).exits(78);
    assert_eq!(run.json()["code"], "metadata");
    assert!(run.out.contains("is not known"), "{run:?}");
    sim.apply(&["--force", "metadata", &path]).exits(0);
}

fn tar(sim: &SimBox, root: &str, names: &[&str]) -> String {
    let out = sim.dir.path().join("archive");
    let root = sim.dir.path().join(root);
    let fixed = ["-cf", out.to_str().unwrap(), "-C", root.to_str().unwrap()];
    tool("tar", &[&fixed[..], names].concat());
    out.to_str().unwrap().to_owned()
}

#[test]
fn a_sysupgrade_archive_goes_to_kernel_and_rootfs() {
    let sim = SimBox::changed("generic", |board| board["openwrt"] = serde_json::json!(["acme,router"]));
    let root = sim.dir.path().join("root/sysupgrade-acme_router");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("CONTROL"), "BOARD=acme,router\n").unwrap();
    fs::write(root.join("kernel"), bytes(50_000, 8)).unwrap();
    fs::write(root.join("root"), bytes(90_000, 9)).unwrap();
    let names = ["CONTROL", "kernel", "root"].map(|name| format!("sysupgrade-acme_router/{name}"));
    let names = [&["sysupgrade-acme_router/"][..], &names.each_ref().map(String::as_str)].concat();
    let plain = tar(
        &sim,
        "root",
        &["--no-recursion"].iter().chain(&names).copied().collect::<Vec<_>>(),
    );
    let mut image = read(Path::new(&plain));
    metadata(&mut image, "\"acme,router\"", "1.0");
    let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
    let board: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(sim.path().join("board.json")).unwrap()).unwrap();
    assert!(devices["partitions"].to_string().contains("rootfs"));
    let offset = |name: &str| {
        let partitions = board["partitions"].as_array().unwrap();
        partitions.iter().find(|p| p["name"] == name).unwrap()["offset"]
            .as_u64()
            .unwrap() as usize
    };
    // Without metadata the directory's name is what counts; with it, that; and packed.
    let with = sim.file("with", &image);
    for path in [plain.clone(), with.clone(), pack(&with, "xz", &["-k"])] {
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(report["format"], "sysupgrade-tar");
        assert_eq!(report["made_for"], "acme_router");
        sim.fill(&vec![0xff; sim.flash().len()]);
        sim.apply(&[&path]).exits(0);
        let flash = sim.flash();
        assert!(flash[offset("kernel")..offset("kernel") + 50_000] == bytes(50_000, 8));
        assert!(flash[offset("rootfs")..offset("rootfs") + 90_000] == bytes(90_000, 9));
    }
    // An archive that contradicts itself, and metadata that would not be found any more.
    fs::write(root.join("CONTROL"), "BOARD=acme,switch\n").unwrap();
    let torn = tar(
        &sim,
        "root",
        &["--no-recursion"].iter().chain(&names).copied().collect::<Vec<_>>(),
    );
    assert!(sim.apply(&[&torn]).exits(65).out.contains("CONTROL"));
    for bad in [[&image[..], b"\n"].concat(), image[..image.len() - 5].to_vec()] {
        let run = sim.apply(&["--part", "kernel", &sim.file("bad", &bad)]).exits(65);
        assert!(run.out.contains("metadata behind the image"), "{run:?}");
    }
    fs::write(root.join("CONTROL"), "BOARD=acme,router\n").unwrap();
    let plain = tar(
        &sim,
        "root",
        &["--no-recursion"].iter().chain(&names).copied().collect::<Vec<_>>(),
    );
    let other = SimBox::changed("generic", |board| board["openwrt"] = serde_json::json!(["acme,switch"]));
    for path in [&plain, &with] {
        assert_eq!(other.apply(&[path]).exits(78).json()["code"], "metadata");
    }
}

/// Synology's list, made with zlib's CRC by `gzip`, whose trailer has it.
fn checksum_syno(root: &Path, names: &[&str]) -> String {
    let mut text = String::new();
    let mut sums = [0u64; 3];
    for name in names {
        let content = read(&root.join(name));
        let packed = tool("gzip", &["-c", root.join(name).to_str().unwrap()]).stdout;
        let crc = u32::from_le_bytes(packed[packed.len() - 8..packed.len() - 4].try_into().unwrap());
        let size = content.len() as u64;
        let offset = 1_804_289_383 % size;
        assert!(size - offset >= 4 && offset > 0, "an ordinary one");
        let y: u64 = content[offset as usize..offset as usize + 4]
            .iter()
            .map(|byte| u64::from(*byte))
            .sum();
        text.push_str(&format!("{crc} {size} {name} {} {y}\n", offset + size));
        for (sum, number) in sums.iter_mut().zip([size, offset + size, y]) {
            *sum += number;
        }
    }
    format!("{text}#Synocksum {} {} {}\n", sums[0], sums[1], sums[2])
}

fn pat(sim: &SimBox, unique: &str) -> (PathBuf, Vec<u8>) {
    let root = sim.dir.path().join("pat");
    fs::create_dir_all(&root).unwrap();
    fs::write(
        root.join("VERSION"),
        format!("majorversion=\"5\"\nunique=\"{unique}\"\n"),
    )
    .unwrap();
    fs::write(root.join("updater"), "#!/bin/sh\nexit 0\n# nothing to do\n").unwrap();
    fs::write(root.join("zImage"), bytes(200_000, 10)).unwrap();
    fs::write(root.join("rd.gz"), bytes(400_000, 11)).unwrap();
    let names = ["VERSION", "updater", "zImage", "rd.gz"];
    fs::write(root.join("checksum.syno"), checksum_syno(&root, &names)).unwrap();
    let archive = read(Path::new(&tar(sim, "pat", &[&names[..], &["checksum.syno"]].concat())));
    (root, archive)
}

#[test]
fn a_synology_pat_is_checked_and_its_images_written() {
    let sim = SimBox::new("synology-ds213j");
    let (root, archive) = pat(&sim, "synology_armada370_213j");
    let plain = sim.file("plain", &archive);
    let report = flasher(&["inspect", "--format", "json", &plain]).exits(0).json();
    assert_eq!(report["format"], "synology-pat");
    assert_eq!(report["made_for"], "synology_armada370_213j");
    assert_eq!(report["boards"][0], "synology-ds213j");
    for path in [plain.clone(), pack(&plain, "gzip", &["-k"])] {
        sim.fill(&vec![0xff; 8 * MIB]);
        sim.apply(&[&path]).exits(0);
        let flash = sim.flash();
        assert!(flash[0xc0000..0xc0000 + 200_000] == bytes(200_000, 10), "zImage");
        assert!(flash[0x390000..0x390000 + 400_000] == bytes(400_000, 11), "rd.gz");
        assert!(flash[..0xc0000].iter().all(|byte| *byte == 0xff), "RedBoot");
    }
    // What is not for the flash is named, and is no reason against the rest.
    let plan = sim.run("plan", &["--format", "json", &plain]).exits(0).json();
    let checks = plan["checks"].as_array().unwrap();
    let unused = checks.iter().find(|check| check["name"] == "unused").unwrap();
    assert_eq!(unused["status"], "warn");
    assert_eq!(unused["text"], "of the .pat nothing is done with \"updater\"");
    // With --part it may be one of the images.
    let plan = sim.run("plan", &["--part", "rd.gz", &plain]).exits(0);
    assert!(
        plan.out.contains("nothing is done with \"updater\", \"zImage\""),
        "{plan:?}"
    );
    // A cut tar has no end, and no changed bit of a member or of the list agrees.
    let before = sim.flash();
    for at in [530, 5_000, 100_000, 500_000] {
        let mut bad = archive.clone();
        bad[at] ^= 8;
        sim.apply(&[&sim.file("bad", &bad)]).exits(65);
    }
    let end = archive.len() - archive.iter().rev().take_while(|byte| **byte == 0).count();
    for length in (4096..end + 512).step_by(4096) {
        let run = sim.apply(&[&sim.file("cut", &archive[..length])]);
        assert!([65, 78].contains(&run.exit), "cut at {length}: {run:?}");
    }
    // What is not listed does not belong there.
    fs::write(root.join("extra"), "#!/bin/sh\n").unwrap();
    let all = ["VERSION", "updater", "zImage", "rd.gz", "extra", "checksum.syno"];
    let run = sim.apply(&[&tar(&sim, "pat", &all)]).exits(65);
    assert!(run.out.contains("is not listed in checksum.syno"), "{run:?}");
    assert!(sim.flash() == before);
}

#[test]
fn a_synology_pat_for_another_box_or_encrypted() {
    let sim = SimBox::new("synology-ds213j");
    let (_, archive) = pat(&sim, "synology_88f6281_212");
    let path = sim.file("other", &archive);
    assert_eq!(sim.apply(&[&path]).exits(78).json()["code"], "metadata");
    let mut encrypted = vec![0x01, 0xad, 0xbe, 0xef, 0x10, 0, 0, 0];
    encrypted.extend(bytes(100_000, 12));
    let path = sim.file("encrypted", &encrypted);
    let run = sim.apply(&[&path]).exits(65);
    assert!(run.out.contains("encrypted .pat"), "{run:?}");
    let run = flasher(&["inspect", &path]).exits(65);
    assert!(run.out.contains("encrypted .pat"), "{run:?}");
}

#[test]
fn a_qnap_package_is_recognised_and_not_written_as_it_is() {
    let sim = SimBox::new("qnap-ts109");
    let content = read(Path::new(&pack(
        &sim.file("content", &bytes(50_000, 13)),
        "gzip",
        &["-k"],
    )));
    let mut old = b"#!/bin/sh\necho old\n".to_vec();
    old.resize(526, b'\n');
    old.extend(&content);
    let script = b"#!/bin/sh\nscript_len=64\n".to_vec();
    let mut qdk = script;
    qdk.resize(64, b'\n');
    qdk.extend(&content);
    let mut tail = vec![b' '; 90];
    tail.extend(b"QNAPQPKG  ");
    qdk.extend(tail);
    let before = sim.flash();
    for package in [old, qdk] {
        let path = sim.file("package", &package);
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(report["format"], "qpkg");
        for arguments in [&[path.as_str()][..], &["--part", "RootFS1", &path]] {
            let run = sim.apply(arguments).exits(78);
            assert!(run.out.contains("flasher qpkg extract"), "{run:?}");
        }
    }
    assert!(sim.flash() == before);
}

#[test]
fn the_copy_of_a_whole_chip_goes_back_without_what_is_kept() {
    let sim = SimBox::new("synology-ds213j");
    let payload = sim.file("payload", &bytes(500_000, 14));
    let kernel = sim.dir.path().join("uImage");
    let arguments = [
        "-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-n", "x", "-d", &payload,
    ];
    tool("mkimage", &[&arguments[..], &[kernel.to_str().unwrap()]].concat());
    let kernel = read(&kernel);
    let mut chip = bytes(8 * MIB, 15);
    let nothing = sim.file("noise", &chip);
    sim.apply(&[&nothing]).exits(78);
    chip[0xc0000..0xc0000 + kernel.len()].copy_from_slice(&kernel);
    for path in [
        sim.file("chip", &chip),
        pack(&sim.file("chip", &chip), "gzip", &["-k", "-1"]),
    ] {
        sim.fill(&vec![0xff; 8 * MIB]);
        let plan = sim.run("plan", &["--format", "json", &path]).exits(0).json();
        assert_eq!(plan["image"]["format"], "chip-dump");
        sim.apply(&[&path]).exits(0);
        let flash = sim.flash();
        assert!(flash[0xc0000..0x7d0000] == chip[0xc0000..0x7d0000], "zImage and rd.gz");
        assert!(
            flash[..0xc0000]
                .iter()
                .chain(&flash[0x7d0000..])
                .all(|byte| *byte == 0xff),
            "what is kept"
        );
        sim.apply(&["--part", "vendor", "--force", "settings", &path]).exits(0);
        assert!(sim.flash()[0x7d0000..0x7e0000] == chip[0x7d0000..0x7e0000]);
    }
}

/// Debian's own kernels, which have not fitted these boxes for years: amouiche/qnap_mtd_resize_for_bullseye #9.
#[test]
fn debian_kernels_are_sound_and_too_long_by_an_exact_number_of_bytes() {
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fetch");
    let output = Command::new(fetch).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let root = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let images = root.join("usr/lib/debian-installer/images/12/armel");
    for (image, board) in [
        ("kirkwood/marvell/sheevaplug/uImage", "qnap-ts219"),
        ("kirkwood/seagate/dockstar/uImage", "qnap-ts219"),
        ("orion5x/buffalo/kuroboxpro/uImage.buffalo", "qnap-ts109"),
        ("orion5x/buffalo/ls-wtgl/uImage.buffalo", "qnap-ts109"),
    ] {
        let path = images.join(image);
        let size = fs::metadata(&path).unwrap().len();
        let report = flasher(&["inspect", "--format", "json", path.to_str().unwrap()])
            .exits(0)
            .json();
        assert_eq!(report["format"], "uimage", "{image}");
        assert_eq!(report["parts"][0]["ok"], true);
        assert_eq!(report["parts"][0]["content"]["arch"], "arm");
        let sim = SimBox::new(board);
        let run = sim.apply(&["--part", "Kernel", path.to_str().unwrap()]).exits(78);
        assert_eq!(run.json()["code"], "size");
        let digits = (size - 0x20_0000).to_string();
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        assert!(
            run.out.contains(&format!("{grouped} bytes too many")),
            "{image}: {run:?}"
        );
    }
}
