//! An image may come inside gzip, xz, zstd, bzip2 or lzma. It stays packed; what is checked is what is written.

use crate::simbox::{SimBox, bytes, flasher, read, tool};
use std::path::Path;

pub const MIB: usize = 1 << 20;

/// The tools with which people pack, and flags that keep the original.
const PACKERS: [(&str, &[&str]); 5] = [
    ("gzip", &["-k"]),
    ("xz", &["-k"]),
    ("zstd", &["-q", "-k"]),
    ("bzip2", &["-k"]),
    ("lzma", &["-k"]),
];

fn suffix(packer: &str) -> &'static str {
    match packer {
        "gzip" => "gz",
        "xz" => "xz",
        "zstd" => "zst",
        "bzip2" => "bz2",
        _ => "lzma",
    }
}

/// Packs a file with the real tool and answers the new file's path.
pub fn pack(path: &str, packer: &str, flags: &[&str]) -> String {
    let packed = format!("{path}.{}", suffix(packer));
    let _ = std::fs::remove_file(&packed);
    tool(packer, &[flags, &[path]].concat());
    // Nothing may be known by its name.
    let anonymous = format!("{path}.packed");
    std::fs::rename(packed, &anonymous).unwrap();
    anonymous
}

pub fn uimage(sim: &SimBox, payload: &[u8]) -> String {
    let payload = sim.file("payload", payload);
    let path = sim.dir.path().join("uImage");
    let path = path.to_str().unwrap();
    let arguments = [
        "-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-n", "Linux", "-d", &payload, path,
    ];
    tool("mkimage", &arguments);
    path.to_owned()
}

/// Half noise and half text, so that it packs like firmware.
fn firmware(length: usize, seed: u64) -> Vec<u8> {
    let mut all = bytes(length / 2, seed);
    all.extend(b"firmware ".iter().cycle().take(length - length / 2));
    all
}

#[test]
fn every_container_is_written_verified_and_then_nothing_to_do() {
    let sim = SimBox::new("qnap-ts219");
    let image = uimage(&sim, &firmware(1_700_000, 1));
    let plain = read(Path::new(&image));
    for (packer, flags) in PACKERS {
        sim.fill(&vec![0xff; 16 * MIB]);
        let packed = pack(&image, packer, flags);
        let size = read(Path::new(&packed)).len() as u64;

        let report = flasher(&["inspect", "--format", "json", &packed]).exits(0).json();
        assert_eq!(report["format"], "uimage", "{packer}");
        assert_eq!(report["compression"], packer);
        assert_eq!(report["size"], size, "the size of the file as it was delivered");
        assert_eq!(report["parts"][0]["size"], plain.len() as u64);
        assert!(report["boards"].to_string().contains("qnap-ts219"), "{report}");

        let plan = sim.run("plan", &["--format", "json", &packed]).exits(0).json();
        assert_eq!(plan["image"]["size"], size);
        let needed = plan["ram"]["needed"].as_u64().unwrap();
        assert!(
            needed > size + (2 << 20),
            "{packer}: {needed} has no room for unpacking"
        );
        assert!(needed < size + (11 << 20), "{packer}: {needed}");
        assert_eq!(plan["writes"][0]["length"], plain.len() as u64);

        sim.run("verify", &[&packed]).exits(1);
        sim.apply(&[&packed]).exits(0);
        assert!(sim.flash()[2 * MIB..2 * MIB + plain.len()] == plain, "{packer}");
        sim.run("verify", &[&packed]).exits(0);
        assert_eq!(sim.apply(&[&packed]).exits(0).json()["code"], "nothing-to-do");
        // Its checksum is made where somebody asks for it.
        let plan = sim.run("plan", &["--format", "json", &packed]).exits(0).json();
        assert_eq!(plan["image"]["sha256"], report["sha256"]);
    }
}

#[test]
fn several_streams_one_behind_the_other() {
    let sim = SimBox::new("qnap-ts219");
    let image = read(Path::new(&uimage(&sim, &firmware(300_000, 2))));
    let (first, second) = image.split_at(100_000);
    for (packer, flags) in &PACKERS[..4] {
        let mut both = Vec::new();
        for half in [first, second] {
            both.extend(read(Path::new(&pack(&sim.file("half", half), packer, flags))));
        }
        let path = sim.file("both", &both);
        sim.fill(&vec![0xff; 16 * MIB]);
        sim.apply(&[&path]).exits(0);
        assert!(sim.flash()[2 * MIB..2 * MIB + image.len()] == image, "{packer}");
        // What follows and is not a stream makes the file bad.
        both.extend(b"something else");
        let path = sim.file("more", &both);
        sim.apply(&[&path]).exits(65);
    }
}

#[test]
fn any_kind_of_image_may_be_inside() {
    let sim = SimBox::new("qnap-ts219");
    let mut whole = bytes(16 * MIB, 3);
    let kernel = read(Path::new(&uimage(&sim, &bytes(1_500_000, 4))));
    whole[2 * MIB..2 * MIB + kernel.len()].copy_from_slice(&kernel);
    let packed = pack(&sim.file("recovery", &whole), "gzip", &["-k", "-1"]);
    sim.apply(&[&packed]).exits(0);
    let flash = sim.flash();
    assert!(flash[2 * MIB..] == whole[2 * MIB..], "Kernel, RootFS1, RootFS2");
    assert!(
        flash[..2 * MIB].iter().all(|byte| *byte == 0xff),
        "what is kept is kept"
    );
    // A raw one too, where the user says where, and that it is to be unpacked.
    let raw = pack(&sim.file("raw", &bytes(700_000, 5)), "xz", &["-k"]);
    sim.apply(&["--part", "RootFS2", "--unpack", &raw]).exits(0);
    assert!(sim.flash()[13 * MIB..13 * MIB + 700_000] == bytes(700_000, 5));
    // Through standard input, as it comes from ssh.
    let run = std::process::Command::new("sh")
        .args([
            "-c",
            "cat \"$1\" | \"$0\" inspect --format json -",
            env!("CARGO_BIN_EXE_flasher"),
            &packed,
        ])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&run.stdout).contains("\"compression\":\"gzip\""),
        "{run:?}"
    );
}

#[test]
fn a_ramdisk_stays_packed_because_the_kernel_unpacks_it() {
    let sim = SimBox::new("qnap-ts219");
    let cpio = [b"070701".as_slice(), &bytes(200_000, 6)].concat();
    for (packer, flags) in PACKERS {
        // A kernel takes xz with that alone.
        let check = (packer == "xz").then_some("--check=crc32");
        let flags: Vec<_> = flags.iter().copied().chain(check).collect();
        let packed = pack(&sim.file("initrd", &cpio), packer, &flags);
        let content = read(Path::new(&packed));
        let report = flasher(&["inspect", "--format", "json", &packed]).exits(0).json();
        assert_eq!(report["format"], "ramdisk", "{packer}");
        sim.apply(&["--part", "RootFS1", &packed]).exits(0);
        assert!(sim.flash()[4 * MIB..4 * MIB + content.len()] == content, "{packer}");
        // The copy of its partition goes back as it is.
        let mut copy = content.clone();
        copy.resize(9 * MIB, 0xff);
        sim.apply(&["--part", "RootFS1", &sim.file("mtd2", &copy)]).exits(0);
        assert!(sim.flash()[4 * MIB..13 * MIB] == copy, "{packer}");
    }
}

#[test]
fn one_wrong_bit_or_a_cut_is_never_written() {
    let sim = SimBox::new("qnap-ts219");
    // A length that is not a multiple of anything.
    let image = uimage(&sim, &firmware(90_001, 7));
    for (packer, flags) in PACKERS {
        let good = read(Path::new(&pack(&image, packer, flags)));
        let before = sim.flash();
        let step = good.len() / 23;
        for at in (0..good.len())
            .step_by(step)
            .chain([good.len() - 1, good.len() - 5, good.len() - 12])
        {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let run = sim.apply(&[&sim.file("bad", &bad)]);
            // Time stamps and names of gzip are under no checksum, nor is the length byte of lzma's rest.
            let harmless = run.exit == 0 && sim.flash()[2 * MIB..2 * MIB + 90_065] == read(Path::new(&image));
            assert!(
                [65, 78].contains(&run.exit) || harmless,
                "{packer}: bit at {at}: {run:?}"
            );
            if harmless {
                sim.fill(&before);
            }
            assert!(sim.flash() == before, "{packer}: bit at {at}");
        }
        for length in (0..good.len())
            .step_by(4096)
            .skip(1)
            .chain([1, 7, 13, 20, good.len() - 1])
        {
            let run = sim.apply(&[&sim.file("cut", &good[..length])]);
            assert!([65, 78].contains(&run.exit), "{packer}: cut at {length}: {run:?}");
            flasher(&["inspect", "--format", "json", &sim.file("cut", &good[..length])]).json();
        }
        assert!(sim.flash() == before, "{packer}");
    }
}
