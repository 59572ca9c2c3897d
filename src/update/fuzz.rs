//! Parsers of bytes from outside, fed with what real tools made and what becomes of that when bytes change: none may panic, hang or
//! read beyond its limits. Runs a second for each target; `FLASHER_FUZZ_SECONDS=300 cargo test --lib fuzz -- --nocapture` is
//! more, and prints the counts.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use crate::base::json;
use crate::board::profile::Profile;
use crate::bytes::store::Store;
use crate::bytes::{tar, tar_entries};
use crate::checks::request::Checksum;
use crate::env;
use crate::image::signature::{Keyring, take_off};
use crate::image::{self, Reading, backup, fwtool, pat, qpkg};
use crate::record::Record;
use crate::update::handoff::Job;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// As long as one run may take on a machine that is busy.
const HANG: Duration = Duration::from_secs(5);
/// Bytes of the longest input.
const LONGEST: usize = 64 << 10;

/// xorshift64: the same at every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below.max(1)
    }

    /// A few changes of one of the seeds.
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const ODD: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1000];
        let mut bytes = seeds[self.next(seeds.len())].clone();
        for _ in 0..=self.next(6) {
            let at = self.next(bytes.len());
            // Headers decide most.
            let at = if self.next(2) == 0 { at.min(self.next(512)) } else { at };
            match self.next(8) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.next(8),
                1 if !bytes.is_empty() => bytes[at] = self.next(256) as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at.min(bytes.len()), self.next(256) as u8),
                4 | 5 => {
                    let odd = ODD[self.next(ODD.len())];
                    let odd = if self.next(2) == 0 {
                        odd.to_be_bytes()
                    } else {
                        odd.to_le_bytes()
                    };
                    bytes.iter_mut().skip(at).zip(odd).for_each(|(byte, odd)| *byte = odd);
                }
                6 => {
                    let from = self.next(bytes.len());
                    let piece: Vec<u8> = bytes.iter().skip(from).take(self.next(64)).copied().collect();
                    let at = at.min(bytes.len());
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let other = &seeds[self.next(seeds.len())];
                    bytes.truncate(at);
                    bytes.extend(other.iter().skip(self.next(other.len())));
                }
            }
            bytes.truncate(LONGEST);
        }
        bytes
    }
}

/// Runs a target for its time.
fn fuzz(name: &str, seeds: &[Vec<u8>], target: &dyn Fn(&[u8])) {
    let seconds = std::env::var("FLASHER_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(1));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut count = 0u64;
    seeds.iter().for_each(|seed| target(seed));
    while Instant::now() < until {
        let input = random.mutate(seeds);
        let begun = Instant::now();
        target(&input);
        assert!(begun.elapsed() < HANG, "{name} hangs on {input:02x?}");
        count += 1;
    }
    println!("{name}: {count} runs");
}

fn memory(bytes: &[u8]) -> Store {
    Store::Memory(bytes.to_vec())
}

fn seeds(texts: &[&[u8]]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.to_vec()).collect()
}

/// What a shell command writes, where its tools are there.
fn made(dir: &Path, script: &str) -> Option<Vec<u8>> {
    let mut command = Command::new("sh");
    command
        .args(["-ec", script])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = command.output().ok()?;
    (output.status.success() && !output.stdout.is_empty()).then_some(output.stdout)
}

/// Small images of every kind for which a tool is there.
fn images() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    std::fs::write(dir.path().join("tree/file"), "some content\n".repeat(50)).unwrap();
    std::fs::write(dir.path().join("data"), "firmware ".repeat(300)).unwrap();
    let scripts = [
        "gzip -nc data",
        "xz -c data",
        "lzma -c data",
        "bzip2 -c data",
        "zstd -qc data",
        "tar -cf - tree",
        "tar -czf - tree",
        "mkimage -A arm -T kernel -C none -n name -d data u >/dev/null; cat u",
        "mkimage -A arm -T multi -C gzip -n name -d data:data u >/dev/null; cat u",
        "mksquashfs tree s -quiet >/dev/null; cat s",
        "mkfs.jffs2 -r tree -e 0x10000 -o j; cat j",
        "mkfs.cramfs tree c >/dev/null; cat c",
        "printf '/dts-v1/;/{images{k{type=\"kernel\";arch=\"arm\";data=[01 02 03 04];hash-1{algo=\"crc32\";value=<0xb63cfbcd>;};};};};' \
         | dtc -q -O dtb",
    ];
    let mut images: Vec<_> = scripts.iter().filter_map(|script| made(dir.path(), script)).collect();
    images.push(vec![0; 4096]);
    images.retain(|image| image.len() <= 1 << 20);
    images.iter_mut().for_each(|image| image.truncate(LONGEST));
    images
}

#[test]
fn images_of_every_kind() {
    let reading = Reading {
        room: 1 << 20,
        ..Reading::default()
    };
    fuzz("images", &images(), &|bytes| {
        let opened = image::open(memory(bytes), String::new(), &reading);
        if let Ok((store, image)) = opened {
            assert!(
                image
                    .parts
                    .iter()
                    .all(|part| image.problem.is_some() || part.offset <= store.len())
            );
        }
    });
}

/// The checksum is put right behind each change, so that it hides nothing.
#[test]
fn trailers_of_openwrt() {
    let mut seed = [
        &b"firmware"[..],
        &[0; 8],
        br#"{"supported_devices":["a"],"version":{"version":"1"}}"#,
    ]
    .concat();
    seed.extend_from_slice(&[0x46, 0x57, 0x78, 0x30, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 77]);
    fuzz("fwtool", &[seed], &|bytes| {
        let mut bytes = bytes.to_vec();
        if let Some(at) = bytes.len().checked_sub(16) {
            let sum = fwtool::CRC.checksum(&bytes[..at]);
            bytes[at + 4..at + 8].copy_from_slice(&sum.to_be_bytes());
        }
        let _ = fwtool::strip(&memory(&bytes));
        let _ = Keyring::default().trailer(&memory(&bytes));
    });
}

#[test]
fn signatures() {
    let text = b"untrusted comment: x\nRUQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
                 trusted comment: version:1\nAAAA\n";
    let key = b"untrusted comment: k\nRWQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
    fuzz("signatures", &seeds(&[text, key]), &|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Keyring::default().verify("-", Some(&text), &memory(b"firmware"));
        let _ = take_off(&mut memory(bytes));
    });
}

#[test]
fn archives_and_their_lists() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let archive = made(dir.path(), "tar -cf - .").unwrap_or_default();
    let long = made(dir.path(), &format!("touch {}; tar -cf - .", "n".repeat(150))).unwrap_or_default();
    fuzz("tar", &[archive, long, vec![0; 1024]], &|bytes| {
        let store = memory(bytes);
        let _ = tar::walk(&store, 0..store.len());
        let _ = tar_entries::Entries::new(&store, 0..store.len()).all(|entry| entry.is_ok());
    });
    fuzz(
        "checksum.syno",
        &seeds(&[b"12 3 zImage 4 5\n#Synocksum 12 3 4\n"]),
        &|bytes| {
            let _ = pat::parse_checksum_syno(&String::from_utf8_lossy(bytes));
            let _ = backup::listing(bytes).count();
        },
    );
    let script = b"#!/bin/sh\nscript_len=50\noffset=$(/usr/bin/expr $script_len + 20)\nexit 1\n";
    fuzz("qpkg", &seeds(&[script]), &|bytes| {
        let _ = qpkg::Outline::of(&memory(bytes));
    });
}

#[test]
fn documents_of_ours() {
    let profile = include_str!("../board/profiles/generic.json").as_bytes();
    fuzz("profile", &seeds(&[profile]), &|bytes| {
        let _ = json::parse::<Profile>(bytes);
    });
    let record = br#"{"result":"ok","harm":"written","code":"written","image_sha256":null,"finished":null}"#;
    fuzz("record", &seeds(&[record]), &|bytes| {
        let _ = json::parse::<Record>(bytes);
    });
    let job = br#"{"writes":[],"sha256":"","packings":[],"members":[],"board":null,"on_fault":{"rollback":true,"mark_bad":false},"files":null,"reached":"","again":[]}"#;
    fuzz("hand-off", &seeds(&[job]), &|bytes| {
        let handoff = stages::HandOff::new(String::from_utf8_lossy(bytes).into_owned());
        let _ = Job::unpack(&handoff);
    });
    fuzz(
        "inittab",
        &seeds(&[b"::sysinit:/etc/init.d/rcS\ntty1::respawn:/sbin/getty\n::restart:/sbin/init\n"]),
        &|bytes| {
            let _ = stages::inittab::rewrite(Some(bytes), true);
        },
    );
    fuzz(
        "environment",
        &seeds(&[b"bootcmd=run x\0ethaddr=00:11:22\0\0", b""]),
        &|bytes| {
            let _ = env::Variables::parse(bytes);
        },
    );
    fuzz("checksums", &seeds(&[b"SHA256 (x) = 00\n", b"0123  x\n"]), &|bytes| {
        let _ = Checksum::of(String::from_utf8_lossy(bytes).into_owned());
    });
}
