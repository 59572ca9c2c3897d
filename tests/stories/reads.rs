//! How often an image is read before the first erase, counted in system calls: where it comes from, and its copy in RAM.

use crate::containers::{MIB, pack, uimage};
use crate::simbox::{SimBox, bytes, read};
use std::path::Path;
use std::process::Command;

/// Bytes that this verb reads of this file.
fn bytes_read(sim: &SimBox, verb: &[&str], args: &[&str], file: &str) -> u64 {
    let trace = sim.dir.path().join("trace");
    let output = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-e",
            "trace=read,pread64,readv,preadv,mmap,sendfile,copy_file_range",
            "-o",
        ])
        .arg(&trace)
        .args([env!("CARGO_BIN_EXE_flasher"), "-q"])
        .args(verb)
        .arg("--sim")
        .arg(sim.path())
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("strace: {e}: tests/install base installs it"));
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&read(&trace)).into_owned();
    let of_file = |line: &&str| line.contains(&format!("<{file}>"));
    let got = |line: &str| -> u64 {
        assert!(line.contains("read"), "it is read in no other way: {line}");
        line.rsplit("= ").next().unwrap().trim().parse().unwrap()
    };
    text.lines().filter(of_file).map(got).sum()
}

/// A recovery image of 16 MiB, the whole chip; in it a kernel of this many bytes with a checksum of its own.
fn recovery(sim: &SimBox, kernel: usize) -> String {
    let mut chip = bytes(16 * MIB, 1);
    let kernel = read(Path::new(&uimage(sim, &bytes(kernel, 2))));
    chip[2 * MIB..][..kernel.len()].copy_from_slice(&kernel);
    sim.file("recovery", &chip)
}

const APPLY: [&str; 2] = ["apply", "-y"];

/// Reading costs time before the box can be taken over, and more of it where the image lies on a slow disk.
#[test]
fn an_image_of_16_mib_is_read_at_most_twice_before_the_first_erase() {
    let sim = SimBox::new("qnap-ts219");
    let image = recovery(&sim, 1_900_000);
    // Once is enough.
    assert_eq!(bytes_read(&sim, &APPLY, &[&image], &image), 16 << 20);
    // With a checksum too, which is made on the way.
    sim.fill(&vec![0xff; 16 * MIB]);
    let sums = sim.file("sums", &crate::simbox::tool("sha256sum", &[&image]).stdout);
    let got = bytes_read(&sim, &APPLY, &["--sha256", &sums, &image], &image);
    assert_eq!(got, 16 << 20);
    sim.fill(&vec![0xff; 16 * MIB]);
    let packed = pack(&image, "gzip", &["-1"]);
    let length = read(Path::new(&packed)).len() as u64;
    assert_eq!(bytes_read(&sim, &APPLY, &[&packed], &packed), length);
}

/// `plan` looks at an image where it lies just as `apply` looks at its copy in RAM: for the checksums that its format has, to
/// compare it with the flash, and for its SHA-256.
#[test]
fn the_copy_of_16_mib_is_hashed_once_and_compared_as_far_as_the_flash_is_like_it() {
    const MIB: u64 = 1 << 20;
    let kernel = 1_900_000;
    let sim = SimBox::new("qnap-ts219");
    let image = recovery(&sim, kernel as usize);
    // What tells formats apart, and 2 KiB of each block that is another.
    let beside = 3 * MIB;
    let got = bytes_read(&sim, &["plan"], &[&image], &image);
    let hash = 16 * MIB;
    assert!((hash + kernel..=hash + kernel + beside).contains(&got), "{got}");
    // Of what is up to date all is compared.
    sim.run("apply", &["-y", &image]).exits(0);
    let got = bytes_read(&sim, &["plan"], &[&image], &image);
    assert!(got <= 2 * hash + kernel + beside, "{got}");
    // Nobody hashes what is only compared.
    let got = bytes_read(&sim, &["verify"], &[&image], &image);
    assert!((hash..=hash + kernel + beside).contains(&got), "{got}");
}
