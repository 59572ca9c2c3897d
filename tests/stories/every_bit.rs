//! Every bit of small files, and every cut at 4 KiB of large ones: what passes is, byte for byte, what it was before.

use crate::formats::trailer;
use crate::pat::arm_program;
use crate::recovery::{TS109, TS219, cat, partitions};
use crate::simbox::{bytes, flasher, read, tool};
use flasher::bytes::store::Store;
use flasher::image::{self, Image, Reading};
use flasher::recovery::check;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Everything about an image that could reach a flash: what it is, for whom, and the bytes of its parts.
#[derive(PartialEq)]
struct Meant {
    format: String,
    metadata: Option<String>,
    made_for: Option<String>,
    parts: Vec<(String, Vec<u8>)>,
}

/// `None` for one that is refused.
fn meant(file: Vec<u8>) -> Option<Meant> {
    const ROOM: u64 = 1 << 20;
    let (store, image): (Store, Image) = image::open(
        Store::Memory(file),
        String::new(),
        &Reading {
            room: ROOM,
            ..Reading::default()
        },
    )
    .unwrap();
    let parts = image.ok().then(|| {
        let mut parts = Vec::new();
        for part in &image.parts {
            // The list of a `.pat` goes nowhere; what it says is held against the others.
            let size = if part.name == "checksum.syno" { 0 } else { part.size };
            let mut bytes = vec![0; size as usize];
            store.read_exact_at(part.offset, &mut bytes).unwrap();
            parts.push((part.name.clone(), bytes));
        }
        parts
    })?;
    Some(Meant {
        format: image.format.to_string(),
        metadata: image.metadata.map(|metadata| format!("{metadata:?}")),
        made_for: image.made_for,
        parts,
    })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mkimage(dir: &Path, kind: &str, data: &str) -> Vec<u8> {
    let out = dir.join("uImage");
    let flags = ["-A", "arm", "-O", "linux", "-C", "none", "-n", "bits", "-T", kind, "-d"];
    tool("mkimage", &[&flags[..], &[data, text(&out)]].concat());
    read(&out)
}

/// Files of every kind that has checksums, by the tools that make them.
fn files(dir: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let (one, two) = (dir.join("one"), dir.join("two"));
    fs::write(&one, bytes(301, 1)).unwrap();
    fs::write(&two, bytes(97, 2)).unwrap();
    let both = format!("{}:{}", text(&one), text(&two));
    let mut files = vec![
        ("uImage", mkimage(dir, "kernel", text(&one))),
        ("multi", mkimage(dir, "multi", &both)),
    ];
    let mut openwrt = bytes(200, 3);
    let json = br#"{"metadata_version":"1.0","supported_devices":["tplink,tl-wdr3600-v1"]}"#;
    trailer(&mut openwrt, 1, &[&[0; 8], &json[..]].concat());
    trailer(&mut openwrt, 0, &bytes(60, 4));
    files.push(("openwrt", openwrt));
    let kernel = dir.join("uImage");
    for (name, packer) in [
        ("gzip", &["gzip", "-nc"][..]),
        ("xz", &["xz", "-c"]),
        ("bzip2", &["bzip2", "-c"]),
        ("zstd", &["zstd", "-qc", "--check"]),
    ] {
        mkimage(dir, "kernel", text(&one));
        files.push((name, tool(packer[0], &[&packer[1..], &[text(&kernel)]].concat()).stdout));
    }
    let (pat, zimage, updater) = (dir.join("x.pat"), dir.join("zImage"), dir.join("updater"));
    fs::write(&zimage, bytes(700, 5)).unwrap();
    fs::write(&updater, &arm_program()[..200]).unwrap();
    let board = ["pat", "create", "--board=synology-ds213j", "--updater"];
    flasher(&[&board[..], &[text(&updater), text(&pat), text(&zimage)]].concat()).exits(0);
    files.push(("pat", read(&pat)));
    files
}

#[test]
fn no_flipped_bit_of_any_file_with_checksums_changes_what_is_written() {
    let dir = TempDir::new().unwrap();
    for (name, file) in files(dir.path()) {
        let wanted = meant(file.clone()).unwrap_or_else(|| panic!("{name} is whole"));
        let (mut refused, mut same) = (0, 0);
        for bit in 0..file.len() * 8 {
            let mut bad = file.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match meant(bad) {
                None => refused += 1,
                // Without its magic it is no such file any more: nothing says where its bytes go. A header of tar that fails its
                // own sum is still one.
                Some(other) if other.format != wanted.format => {
                    let other = other.format.as_str();
                    assert!(["raw", "tar"].contains(&other), "{name}: bit {bit}: {other}");
                    refused += 1;
                }
                // Padding, the date of a gzip.
                Some(other) => {
                    assert!(other == wanted, "{name}: bit {bit} of byte {} goes unnoticed", bit / 8);
                    same += 1;
                }
            }
        }
        println!("{name}: {refused} bits refused, {same} without meaning");
        assert!(refused > 8 * 100, "{name}");
        // Three bytes of the last trailer are padding behind the kind, which its own CRC does not cover.
        let free = match name {
            "uImage" | "multi" => Some(0),
            "openwrt" => Some(3 * 8),
            _ => None,
        };
        assert!(free.is_none_or(|free| same == free), "{name}: {same}");
    }
}

#[test]
fn no_recovery_image_passes_with_a_wrong_bit_in_its_kernel_or_cut_at_any_4_kib() {
    let dir = TempDir::new().unwrap();
    for (kind, kernel) in [(&TS109, 0), (&TS219, 2 << 20)] {
        let mut image = cat(kind, &partitions(kind, dir.path(), "F_TS-219"));
        let passes = |image: Vec<u8>| {
            let store = Store::Memory(image);
            let ok = check::check(&store, String::new()).unwrap().unwrap().ok;
            match store {
                Store::Memory(image) => (ok, image),
                _ => unreachable!(),
            }
        };
        let (ok, mut same) = passes(image);
        assert!(ok);
        // 64 bytes of header and the payload that the story `recovery` makes; one bit in each 4 KiB, every bit of the header.
        let bits = (0..64 * 8).chain((64 * 8..(64 + 1_500_000) * 8).step_by(4096 * 8 + 3));
        for bit in bits {
            same[kernel + bit / 8] ^= 1 << (bit % 8);
            let (ok, back) = passes(same);
            assert!(!ok, "{}: bit {bit}", kind.board);
            same = back;
            same[kernel + bit / 8] ^= 1 << (bit % 8);
        }
        image = same;
        while image.len() > 4096 {
            image.truncate(image.len() - 4096);
            let (ok, back) = passes(image);
            assert!(!ok, "{}: cut at {}", kind.board, back.len());
            image = back;
        }
    }
}

/// 300 MB of zeros in a few hundred kB: as such, and as a tar that promises them. Nothing is filled with them.
#[test]
fn a_bomb_in_a_pat_or_a_package_fills_neither_memory_nor_disk() {
    let dir = TempDir::new().unwrap();
    for packer in ["gzip", "xz", "bzip2", "zstd"] {
        let make = "cd \"$1\" && head -c 300000000 /dev/zero | $2 >bomb.pat \
                    && { printf '#!/bin/sh\\nexit\\n'; cat bomb.pat; } >bomb.qpkg";
        tool("sh", &["-ec", make, "sh", text(dir.path()), packer]);
        let mut verbs = vec!["pat check bomb.pat", "pat list bomb.pat", "pat extract bomb.pat out"];
        // The old kind, whose archive is found by its content, is gzip.
        if packer == "gzip" {
            verbs.push("qpkg extract bomb.qpkg out");
        }
        for verb in verbs {
            // Files of 1 MiB at the most, and 256 MiB of address space.
            let script = "cd \"$1\" && ulimit -f 2048 && ulimit -v 262144 && exec \"$2\" $3";
            let program = env!("CARGO_BIN_EXE_flasher");
            let output = std::process::Command::new("sh")
                .args(["-c", script, "sh", text(dir.path()), program, verb])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(65), "{packer} {verb}: {output:?}");
            assert!(!dir.path().join("out").exists());
        }
    }
}
