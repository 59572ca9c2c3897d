//! How often an image is read before the first erase, counted in system calls: where it comes from, and its copy in RAM.

use crate::containers::{MIB, pack, uimage};
use crate::engine;
use crate::simbox::{SimBox, bytes, read};
use flasher::bytes::hashing::Hashing;
use flasher::bytes::store::Store;
use flasher::flash;
use flasher::plan::Write;
use mtd_rs::{Flash, Geometry};
use std::fs::File;
use std::ops::Range;
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

/// Bytes that this thread has read in all its life.
fn read_so_far() -> u64 {
    let account = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    account.split_whitespace().nth(1).unwrap().parse().unwrap()
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

/// `plan` looks at an image where it lies just as `apply` looks at its copy in RAM: for the checksums that its format has, and
/// once more for its SHA-256 and to compare it with the flash, whatever is there.
#[test]
fn the_copy_of_16_mib_is_hashed_and_compared_in_one_pass() {
    const MIB: u64 = 1 << 20;
    let kernel = 1_900_000;
    let sim = SimBox::new("qnap-ts219");
    let image = recovery(&sim, kernel as usize);
    // What tells formats apart.
    let beside = MIB / 4;
    let once = 16 * MIB + kernel..=16 * MIB + kernel + beside;
    let of = |verb: &str| bytes_read(&sim, &[verb], &[&image], &image);
    let nothing_like_it = of("plan");
    sim.run("apply", &["-y", &image]).exits(0);
    let like_it = of("plan");
    // Nobody hashes what is only compared, and boot loader and settings are not.
    let compared = of("verify");
    assert!((14 * MIB + kernel..16 * MIB + kernel).contains(&compared), "{compared}");
    sim.fill(
        &[
            &bytes(16 * MIB as usize, 1)[..9 * MIB as usize],
            &vec![0xff; 7 * MIB as usize],
        ]
        .concat(),
    );
    let half = of("plan");
    for got in [nothing_like_it, like_it, half] {
        assert!(once.contains(&got), "{got} of {once:?}");
    }
}

/// What `apply` does: it hashes only where something differs, in the pass that compares. Of what was compared before the first
/// block that differs no more than the first blocks of the partitions is read again, unless nothing differs there.
#[test]
fn what_differs_is_hashed_while_it_is_compared() {
    const LENGTH: u64 = 1 << 20;
    const BLOCK: u64 = 64 << 10;
    let new = bytes(LENGTH as usize, 12);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    std::fs::write(&path, &new).unwrap();
    let image = Store::file(File::open(&path).unwrap()).unwrap();
    let wanted = image.sha256(&mut |_| ()).unwrap();
    let write = |part: Range<u64>, boot| {
        let mut write = engine::write_of(LENGTH, LENGTH, boot);
        write.source = part.clone();
        write.range = part;
        write.count(&Geometry::nor(LENGTH, BLOCK as u32));
        write
    };
    // The second partition comes first in the image.
    let writes = [write(LENGTH / 2..LENGTH, false), write(0..LENGTH / 2, false)];
    let read = |changed: Option<u64>| {
        let chip = engine::nor(LENGTH);
        let mut old = new.clone();
        changed.into_iter().for_each(|at| old[at as usize] ^= 1);
        chip.load(0, &old);
        let open = |_: &Write| -> flasher::base::error::Result<Box<dyn Flash>> { Ok(Box::new(chip.whole("mtd0"))) };
        let mut hashing = Hashing::of(&image, false);
        let before = read_so_far();
        let surveys = flash::survey(&writes, &image, &mut hashing, open, |_| ()).unwrap();
        let same: usize = surveys.iter().map(|survey| survey.up_to_date.len()).sum();
        assert_eq!(same, 16 - usize::from(changed.is_some()));
        if changed.is_some() {
            let sum = hashing.take().unwrap().finish(&image, &mut |_| ()).unwrap();
            assert_eq!(sum, wanted, "{changed:?}");
        }
        read_so_far() - before
    };
    // The kernel's own account of it has its own reading in it.
    let about = |got: u64, wanted: u64| assert!((wanted..wanted + 4096).contains(&got), "{got}, not {wanted}");
    about(read(None), LENGTH);
    // The first block of the other partition, and the first bytes of the one that differs.
    let first = BLOCK + 2048;
    about(read(Some(0)), LENGTH + first);
    about(read(Some(LENGTH / 2)), LENGTH + first);
    // Where only a block further on differs, what is in front of it.
    about(read(Some(LENGTH / 2 + BLOCK)), LENGTH + LENGTH / 2 + first);
}
