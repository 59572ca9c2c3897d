//! How often an image is read before the first erase, counted in system calls.

use crate::containers::{MIB, pack, uimage};
use crate::simbox::{SimBox, bytes, read};
use std::path::Path;
use std::process::Command;

/// Bytes that an `apply` reads of this file.
fn bytes_read(sim: &SimBox, args: &[&str], file: &str) -> u64 {
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
        .args([env!("CARGO_BIN_EXE_flasher"), "-q", "apply", "-y", "--sim"])
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

/// Reading costs time before the box can be taken over, and more of it where the image lies on a slow disk.
#[test]
fn an_image_of_16_mib_is_read_at_most_twice_before_the_first_erase() {
    let sim = SimBox::new("qnap-ts219");
    let mut chip = bytes(16 * MIB, 1);
    let kernel = read(Path::new(&uimage(&sim, &bytes(1_900_000, 2))));
    chip[2 * MIB..][..kernel.len()].copy_from_slice(&kernel);
    let image = sim.file("recovery", &chip);
    let got = bytes_read(&sim, &[&image], &image);
    assert!((16 << 20..=32 << 20).contains(&got), "{got}");
    // With a checksum too, which is made on the way.
    sim.fill(&vec![0xff; 16 * MIB]);
    let sums = sim.file("sums", &crate::simbox::tool("sha256sum", &[&image]).stdout);
    let got = bytes_read(&sim, &["--sha256", &sums, &image], &image);
    assert!((16 << 20..=32 << 20).contains(&got), "{got}");
    sim.fill(&vec![0xff; 16 * MIB]);
    let packed = pack(&image, "gzip", &["-1"]);
    let length = read(Path::new(&packed)).len() as u64;
    let got = bytes_read(&sim, &[&packed], &packed);
    assert!((length..=2 * length).contains(&got), "{got} of {length}");
}
