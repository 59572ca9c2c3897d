//! Files made to do harm: they end in a clear error, nothing is written, and memory stays small.

use crate::containers::{MIB, pack};
use crate::simbox::{Run, SimBox, bytes, read, tool};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// `apply` with so little address space that nothing unbounded fits.
fn apply_in(sim: &SimBox, kib: u32, arguments: &str) -> Run {
    let script = format!("ulimit -v {kib}; exec \"$0\" apply -y --format json --sim \"$1\" {arguments}");
    let path = sim.path();
    let output = Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_flasher"), path.to_str().unwrap()])
        .output()
        .unwrap();
    Run::from(output)
}

#[test]
fn a_decompression_bomb_ends_at_the_size_of_the_box() {
    let sim = SimBox::new("qnap-ts219");
    let before = sim.flash();
    let zeros = sim.file("zeros", &vec![0; 200 * MIB]);
    for (packer, flags) in [
        ("gzip", &["-k", "-1"][..]),
        ("xz", &["-k", "-0"]),
        ("zstd", &["-q", "-k"]),
        ("bzip2", &["-k", "-1"]),
        ("lzma", &["-k", "-0"]),
    ] {
        let bomb = pack(&zeros, packer, flags);
        assert!(read(Path::new(&bomb)).len() < MIB);
        // 60 MB of address space, most of it the program's own map of the 16 MiB chip.
        let run = apply_in(&sim, 60_000, &format!("--part RootFS1 {bomb}")).exits(65);
        assert!(run.out.contains("16,777,216 bytes"), "{packer}: {run:?}");
        assert_eq!(run.json()["harm"], "untouched");
        assert!(sim.flash() == before);
    }
}

#[test]
fn a_window_larger_than_any_box_can_give_is_refused_with_numbers() {
    let sim = SimBox::new("qnap-ts219");
    let raw = sim.file("raw", &bytes(300_000, 1));
    for (packer, flags) in [("xz", &["-k", "-9"][..]), ("lzma", &["-k", "-9"])] {
        let packed = pack(&raw, packer, flags);
        let run = apply_in(&sim, 60_000, &format!("--part RootFS1 {packed}")).exits(65);
        assert!(
            run.out.contains("67,108,864") && run.out.contains("xz -6"),
            "{packer}: {run:?}"
        );
    }
    // zstd from a pipe cannot know the length, and writes the window it was told.
    let path = sim.dir.path().join("long.zst");
    let script = format!("zstd -q --long=27 <{raw} >{}", path.display());
    tool("sh", &["-c", &script]);
    let run = apply_in(&sim, 60_000, &format!("--part RootFS1 {}", path.display())).exits(65);
    assert!(run.out.contains("134,217,728"), "{run:?}");
}

#[test]
fn headers_that_lie_about_their_window_get_no_memory() {
    let sim = SimBox::new("qnap-ts219");
    let raw = sim.file("raw", &bytes(100_000, 2));
    // zstd: a single segment of 2^60 bytes.
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    zstd.extend((1u64 << 60).to_le_bytes());
    zstd.extend([1, 0, 0]);
    // lzma: 4 GiB less a little; xz: a dictionary size of the largest kind, its header's CRC made right again.
    let mut lzma = read(Path::new(&pack(&raw, "lzma", &["-k"])));
    lzma[1..5].copy_from_slice(&0xc000_0000u32.to_le_bytes());
    let mut xz = read(Path::new(&pack(&raw, "xz", &["-k"])));
    assert_eq!(xz[14], 0x21);
    xz[16] = 40;
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&xz[12..20]);
    xz[20..24].copy_from_slice(&crc.to_le_bytes());
    for lie in [zstd, lzma, xz] {
        let path = sim.file("lie", &lie);
        apply_in(&sim, 60_000, &format!("--part RootFS1 {path}")).exits(65);
    }
}

/// A tar of what `build` puts into a directory, with the given flags of GNU tar.
fn tar(sim: &SimBox, flags: &[&str], names: &[&str], build: impl Fn(&Path)) -> String {
    let root = sim.dir.path().join("tar.d");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("sysupgrade-test")).unwrap();
    fs::write(root.join("sysupgrade-test/CONTROL"), "BOARD=test\n").unwrap();
    fs::write(root.join("sysupgrade-test/kernel"), bytes(10_000, 3)).unwrap();
    build(&root);
    let path = sim.dir.path().join("archive");
    let _ = fs::remove_file(&path);
    let fixed = ["-cf", path.to_str().unwrap(), "-C", root.to_str().unwrap()];
    tool("tar", &[flags, &fixed[..], names].concat());
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_tar_that_reaches_elsewhere_or_contradicts_itself() {
    let sim = SimBox::new("generic");
    let before = sim.flash();
    let all = ["sysupgrade-test"];
    let nothing = |_: &Path| ();
    let hostile = [
        (
            "..",
            tar_bytes(
                &sim,
                &["-P", "--transform=s,test/kernel,test/../../etc/passwd,"],
                &all,
                nothing,
            ),
        ),
        (
            "absolute",
            tar_bytes(&sim, &["-P", "--transform=s,^,/,"], &all, nothing),
        ),
        (
            "symlink",
            tar_bytes(&sim, &[], &all, |root| {
                symlink("/etc/passwd", root.join("sysupgrade-test/root")).unwrap()
            }),
        ),
        (
            "hard link",
            tar_bytes(&sim, &[], &all, |root| {
                let at = root.join("sysupgrade-test");
                fs::hard_link(at.join("kernel"), at.join("root")).unwrap();
            }),
        ),
        (
            "fifo",
            tar_bytes(&sim, &[], &all, |root| {
                tool("mkfifo", &[root.join("sysupgrade-test/root").to_str().unwrap()]);
            }),
        ),
        (
            "empty",
            tar_bytes(&sim, &[], &all, |root| {
                fs::write(root.join("sysupgrade-test/root"), "").unwrap();
            }),
        ),
        (
            "twice",
            tar_bytes(&sim, &[], &["sysupgrade-test", "sysupgrade-test/kernel"], nothing),
        ),
        (
            "sparse",
            tar_bytes(&sim, &["-S"], &all, |root| {
                let file = fs::File::create(root.join("sysupgrade-test/root")).unwrap();
                file.set_len(10 << 20).unwrap();
            }),
        ),
        ("oversized", {
            let mut lie = tar_bytes(&sim, &[], &all, nothing);
            // The size field of the second header, and its checksum.
            set_size(&mut lie, b"77777777777\0");
            lie
        }),
        ("huge", {
            let mut lie = tar_bytes(&sim, &[], &all, nothing);
            set_size(
                &mut lie,
                &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            );
            lie
        }),
    ];
    for (what, archive) in hostile {
        for packed in [false, true] {
            let mut path = sim.file("hostile", &archive);
            if packed {
                path = pack(&path, "gzip", &["-k"]);
            }
            let run = apply_in(&sim, 60_000, &format!("--force metadata {path}")).exits(65);
            assert_eq!(run.json()["code"], "image", "{what}: {run:?}");
            assert!(sim.flash() == before, "{what}");
        }
    }
}

fn tar_bytes(sim: &SimBox, flags: &[&str], names: &[&str], build: impl Fn(&Path)) -> Vec<u8> {
    read(Path::new(&tar(sim, &[&["--sort=name"], flags].concat(), names, build)))
}

/// Changes the size of the first regular file's header and makes its checksum right.
fn set_size(archive: &mut [u8], field: &[u8; 12]) {
    let at = (0..archive.len())
        .step_by(512)
        .find(|at| archive[at + 156] == b'0')
        .unwrap();
    let header = &mut archive[at..at + 512];
    header[124..136].copy_from_slice(field);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn headers_that_lie_about_sizes_never_panic() {
    let sim = SimBox::new("generic");
    let mut fit = vec![0u8; 4096];
    fit[..4].copy_from_slice(&0xd00d_feedu32.to_be_bytes());
    let mut trx = vec![0u8; 4096];
    trx[..4].copy_from_slice(b"HDR0");
    let mut ubi = vec![0u8; 4096];
    ubi[..4].copy_from_slice(b"UBI#");
    let mut fwtool = vec![0u8; 4096];
    fwtool[4080..4084].copy_from_slice(b"FWx0");
    for (index, start) in [fit, trx, ubi, fwtool].into_iter().enumerate() {
        // Every field at its largest, and noise, the same for each run of the test.
        for seed in 0..40u64 {
            let mut image = start.clone();
            let noise = bytes(4096, seed + 1);
            let range = if index == 3 { 4084..4096 } else { 4..64 };
            for at in range {
                image[at] = if seed == 0 {
                    0xff
                } else {
                    noise[at] & noise[(at * 7) % 4096]
                };
            }
            if index < 3 && seed > 20 {
                image[64..].copy_from_slice(&noise[64..]);
            }
            let path = sim.file("lie", &image);
            let run = crate::simbox::flasher(&["inspect", "--format", "json", &path]);
            assert!([0, 65].contains(&run.exit), "{index}/{seed}: {run:?}");
            run.json();
        }
    }
}
