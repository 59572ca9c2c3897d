//! Images that are damaged, for another box, or no images at all never reach the flash. Made by the real tools.

use crate::simbox::{Run, SimBox, bytes, flasher, read, tool};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const MIB: usize = 1 << 20;

fn uimage(sim: &SimBox, arch: &str, payload: &[u8]) -> Vec<u8> {
    let payload = sim.file("payload", payload);
    let path = sim.dir.path().join("uImage");
    let arguments = [
        "-A", arch, "-O", "linux", "-T", "kernel", "-C", "none", "-n", "Linux", "-d", &payload,
    ];
    tool("mkimage", &[&arguments[..], &[path.to_str().unwrap()]].concat());
    read(&path)
}

/// A directory tree for the file systems.
fn tree(sim: &SimBox) -> PathBuf {
    let root = sim.dir.path().join("tree");
    fs::create_dir_all(root.join("etc")).unwrap();
    for number in 0..20 {
        fs::write(
            root.join(format!("etc/file{number}")),
            bytes(3000 + number, number as u64),
        )
        .unwrap();
    }
    root
}

#[track_caller]
fn never_reaches_the_flash(sim: &SimBox, exit: i32, part: &str, image: &[u8]) {
    let before = sim.flash();
    let path = sim.file("image", image);
    let run = sim.apply(&["--part", part, &path]).exits(exit);
    assert_eq!(run.json()["harm"], "untouched");
    assert!(sim.flash() == before, "the flash was touched");
}

#[test]
fn an_empty_or_missing_image_or_a_directory() {
    let sim = SimBox::new("generic");
    never_reaches_the_flash(&sim, 65, "kernel", b"");
    let before = sim.flash();
    for path in ["/nonexistent/image", "/"] {
        sim.apply(&["--part", "kernel", path]).exits(66);
    }
    assert!(sim.flash() == before);
}

#[test]
fn a_uimage_with_any_wrong_bit() {
    let sim = SimBox::new("qnap-ts109");
    let good = uimage(&sim, "arm", &bytes(300_000, 1));
    let path = sim.file("good", &good);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["format"], "uimage");
    assert_eq!(report["parts"][0]["ok"], true);
    let boards = report["boards"].as_array().unwrap();
    assert!(boards.iter().any(|board| board == "qnap-ts109"), "{report}");
    // Behind the magic, in the header, in the data, in the last byte.
    for at in [5, 20, 33, 64, 150_000, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        never_reaches_the_flash(&sim, 65, "Kernel", &bad);
        let path = sim.file("bad", &bad);
        flasher(&["inspect", &path]).exits(65);
    }
    never_reaches_the_flash(&sim, 65, "Kernel", &good[..good.len() - 1]);
    // The name of the check overrides it, and no other.
    let path = sim.file("cut", &good[..good.len() - 1]);
    sim.apply(&["--part", "Kernel", "--force", "cpu", &path]).exits(65);
    sim.apply(&["--part", "Kernel", "--force", "content", &path]).exits(0);
}

#[test]
fn a_kernel_for_another_processor() {
    let sim = SimBox::new("qnap-ts109");
    let mips = uimage(&sim, "mips", &bytes(1000, 2));
    never_reaches_the_flash(&sim, 78, "Kernel", &mips);
}

#[test]
fn a_kernel_too_long_for_its_partition_is_told_the_exact_shortfall() {
    let sim = SimBox::new("qnap-ts109");
    let long = uimage(&sim, "arm", &bytes(2 * MIB, 3));
    let path = sim.file("image", &long);
    // Written over both it would reach into RootFS1, where no boot loader looks for its end.
    let run = sim.apply(&["--part", "Kernel,RootFS1", &path]).exits(78);
    assert!(run.out.contains("64 bytes too many"), "{run:?}");
}

#[test]
fn file_systems_are_recognised_and_refused_when_cut_off() {
    let sim = SimBox::new("qnap-ts109");
    let root = tree(&sim);
    let root = root.to_str().unwrap();
    let image = |name: &str| sim.dir.path().join(name).to_str().unwrap().to_owned();
    tool(
        "mksquashfs",
        &[root, &image("squashfs"), "-noappend", "-quiet", "-nopad"],
    );
    tool("mkfs.cramfs", &[root, &image("cramfs")]);
    tool(
        "mkfs.jffs2",
        &["-l", "-e", "0x20000", "-r", root, "-o", &image("jffs2")],
    );
    for format in ["squashfs", "cramfs", "jffs2"] {
        let path = image(format);
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(report["format"], format);
        let content = read(path.as_ref());
        let length = report["parts"][0]["content"]["length"].as_u64().unwrap() as usize;
        // mkfs.jffs2 fills up the last word.
        assert_eq!(
            length.next_multiple_of(4),
            content.len().next_multiple_of(4),
            "{format}"
        );
        never_reaches_the_flash(&sim, 65, "RootFS1", &content[..content.len() - 100]);
        sim.apply(&["--part", "RootFS1", &path]).exits(0);
    }
}

#[test]
fn file_systems_of_the_other_byte_order() {
    let sim = SimBox::new("qnap-ts109");
    let root = tree(&sim);
    let root = root.to_str().unwrap();
    let image = |name: &str| sim.dir.path().join(name).to_str().unwrap().to_owned();
    tool("mkfs.cramfs", &["-N", "big", root, &image("cramfs")]);
    tool(
        "mkfs.jffs2",
        &["-b", "-e", "0x20000", "-r", root, "-o", &image("jffs2")],
    );
    for format in ["cramfs", "jffs2"] {
        let content = read(image(format).as_ref());
        never_reaches_the_flash(&sim, 78, "RootFS1", &content);
        let big = SimBox::new("tplink-wdr3600");
        big.apply(&["--part", "rootfs", &image(format)]).exits(0);
    }
    // A big-endian SquashFS 3, as its kernels wrote it: no tool of today makes one.
    let mut squashfs = vec![0; 4096];
    squashfs[..4].copy_from_slice(b"sqsh");
    squashfs[28..32].copy_from_slice(&[0, 3, 0, 1]);
    squashfs[63..71].copy_from_slice(&4096u64.to_be_bytes());
    never_reaches_the_flash(&sim, 78, "RootFS1", &squashfs);
}

#[test]
fn a_cramfs_with_a_wrong_bit() {
    let sim = SimBox::new("qnap-ts109");
    let root = tree(&sim);
    let path = sim.dir.path().join("cramfs");
    tool("mkfs.cramfs", &[root.to_str().unwrap(), path.to_str().unwrap()]);
    let mut content = read(&path);
    let middle = content.len() / 2;
    content[middle] ^= 1;
    never_reaches_the_flash(&sim, 65, "RootFS1", &content);
    // Nor one that says it is shorter than its superblock: its CRC would be of nothing.
    content[middle] ^= 1;
    content[4..8].copy_from_slice(&60u32.to_le_bytes());
    never_reaches_the_flash(&sim, 65, "RootFS1", &content);
}

#[test]
fn a_length_that_makes_no_sense_is_longer_than_all_there_is() {
    let sim = SimBox::new("qnap-ts109");
    let with = |length: usize, fields: &[(usize, u32)]| {
        let mut image = vec![0; length];
        for (at, value) in fields {
            image[*at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        image
    };
    for (part, image) in [
        // Blocks of 2^70 bytes.
        ("RootFS1", with(8192, &[(0x404, 1), (0x418, 60), (0x438, 0xef53)])),
        // Cut off within its superblock.
        ("RootFS1", with(0x410, &[(0x400, 0xe0f5_e1e2)])),
        // It ends before it begins.
        (
            "Kernel",
            with(8192, &[(0x24, 0x016f_2818), (0x28, 0x9000), (0x2c, 0x8000)]),
        ),
    ] {
        never_reaches_the_flash(&sim, 65, part, &image);
    }
}

#[test]
fn an_image_cut_anywhere_never_panics() {
    let sim = SimBox::new("qnap-ts109");
    let root = tree(&sim);
    let path = sim.dir.path().join("jffs2");
    tool(
        "mkfs.jffs2",
        &[
            "-l",
            "-e",
            "0x20000",
            "-r",
            root.to_str().unwrap(),
            "-o",
            path.to_str().unwrap(),
        ],
    );
    let whole = [uimage(&sim, "arm", &bytes(20_000, 4)), read(&path)];
    for image in whole {
        for length in (1..image.len()).step_by(4096).chain([1, 3, 4, 12, 63, 64, 65, 96]) {
            let path = sim.file("cut", &image[..length]);
            let run = flasher(&["inspect", "--format", "json", &path]);
            assert!([0, 65].contains(&run.exit), "{length}: {run:?}");
            run.json();
        }
    }
}

#[test]
fn an_image_that_changes_while_it_is_read() {
    use std::io::Write;
    let sim = SimBox::new("generic");
    let before = sim.flash();
    // A writer that never stops: reading cannot see one state of the file.
    let path = sim.file("image", &bytes(MIB, 5));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, path) = (stop.clone(), path.clone());
        move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(b"x").unwrap();
            }
        }
    });
    // Slowed down, so that the writer has its turn between the first read and the last.
    let output = Command::new("strace")
        .args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=read",
            "-e",
            "inject=read:delay_exit=20000",
            "--",
        ])
        .arg(env!("CARGO_BIN_EXE_flasher"))
        .args([
            "apply",
            "-y",
            "--format",
            "json",
            "--sim",
            sim.path().to_str().unwrap(),
            "--part",
            "rootfs",
            &path,
        ])
        .output()
        .expect("strace: tests/install base installs it");
    let run = Run::from(output);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    let run = run.exits(66);
    assert!(
        ["image-changed", "image-cut-off"].contains(&run.json()["code"].as_str().unwrap()),
        "{run:?}"
    );
    assert!(sim.flash() == before);
}
