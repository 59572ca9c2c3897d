//! Byte for byte or unpacked: what becomes of a file is decided by what it is, said in the plan, and never guessed.

use crate::containers::{MIB, pack, uimage};
use crate::simbox::{SimBox, bytes, read};
use std::fs;
use std::path::Path;

const KERNEL: usize = 2 * MIB;
const RAMDISK: usize = 4 * MIB;
const ROOTFS2: usize = 13 * MIB;

/// RedBoot and others unpack a kernel themselves: the packed bytes belong on the flash, and nothing in them says so.
#[test]
fn packed_bytes_whose_inside_is_nothing_known_are_refused_and_both_ways_are_named() {
    let sim = SimBox::new("generic");
    let vmlinux = bytes(300_000, 1);
    for packer in ["gzip", "xz", "zstd", "bzip2", "lzma"] {
        let packed = pack(&sim.file("vmlinux", &vmlinux), packer, &["-k"]);
        let content = read(Path::new(&packed));
        let before = sim.flash();
        let run = sim.apply(&["--part", "kernel", &packed]).exits(65);
        let next = run
            .events()
            .iter()
            .rev()
            .find_map(|event| event["next"].as_str().map(str::to_owned));
        let next = next.unwrap();
        assert!(
            next.contains("--as-is") && next.contains("--unpack"),
            "{packer}: {next}"
        );
        assert!(run.out.contains("300,000 bytes inside"), "{packer}: {run:?}");
        assert!(sim.flash() == before);

        let plan = sim
            .run("plan", &["--format", "json", "--part", "kernel", "--as-is", &packed])
            .exits(0)
            .json();
        assert_eq!(plan["image"]["as_is"], true, "{packer}");
        assert_eq!(plan["image"]["unpacked_from"], serde_json::Value::Null, "{packer}");
        sim.apply(&["--part", "kernel", "--as-is", &packed]).exits(0);
        assert!(sim.flash()[0x5_0000..][..content.len()] == content, "{packer}");
        sim.run("verify", &["--part", "kernel", "--as-is", &packed]).exits(0);

        let plan = sim
            .run("plan", &["--format", "json", "--part", "kernel", "--unpack", &packed])
            .exits(0)
            .json();
        assert_eq!(plan["image"]["unpacked_from"], packer);
        assert_eq!(plan["image"]["unpacked_size"], 300_000);
        assert_eq!(plan["image"]["as_is"], false);
        sim.apply(&["--part", "kernel", "--unpack", &packed]).exits(0);
        assert!(sim.flash()[0x5_0000..][..vmlinux.len()] == vmlinux, "{packer}");
    }
    let raw = sim.file("raw", &bytes(10, 1));
    sim.apply(&["--part", "kernel", "--as-is", "--unpack", &raw]).exits(64);
}

#[test]
fn what_is_known_inside_is_unpacked_and_the_plan_says_so() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = uimage(&sim, &bytes(500_000, 1));
    let packed = pack(&kernel, "gzip", &["-k"]);
    let text = sim.run("plan", &[&packed]).exits(0).out;
    assert!(text.contains("unpacked from gzip: 500,064 bytes"), "{text}");
    // As it is it is not a kernel that the boot loader starts; who says so gets it.
    let content = read(Path::new(&packed));
    sim.apply(&["--part", "Kernel", "--as-is", &packed]).exits(0);
    assert!(sim.flash()[KERNEL..][..content.len()] == content);
}

#[test]
fn an_archive_is_written_only_to_who_says_as_is() {
    let sim = SimBox::new("generic");
    let dir = sim.dir.path().join("tree");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), bytes(3000, 1)).unwrap();
    let tar = sim.dir.path().join("tree.tar");
    let (dir, tar) = (dir.to_str().unwrap(), tar.to_str().unwrap());
    crate::simbox::tool("tar", &["-C", dir, "-cf", tar, "file"]);
    sim.apply(&["--part", "rootfs", tar]).exits(78);
    sim.apply(&["--part", "rootfs", "--unpack", tar]).exits(78);
    sim.apply(&["--part", "rootfs", "--as-is", tar]).exits(0);
    let content = read(Path::new(tar));
    assert!(sim.flash()[0x35_0000..][..content.len()] == content);
}

/// What `backup` and `dd` make of a partition goes back to it, whatever is in it.
#[test]
fn a_file_exactly_as_long_as_its_partition_is_a_copy_of_it() {
    let sim = SimBox::new("qnap-ts219");
    let tree = pack(&sim.file("tree", &bytes(100_000, 1)), "bzip2", &["-k"]);
    let kernel = pack(&uimage(&sim, &bytes(500_000, 1)), "gzip", &["-k"]);
    for packed in [tree, kernel] {
        for filling in [0xff, 0, 0x55] {
            let mut copy = read(Path::new(&packed));
            copy.resize(3 * MIB, filling);
            let path = sim.file("mtd3", &copy);
            let plan = sim
                .run("plan", &["--format", "json", "--part", "RootFS2", &path])
                .exits(0)
                .json();
            assert_eq!(plan["image"]["as_is"], true, "{plan}");
            sim.apply(&["--part", "RootFS2", &path]).exits(0);
            assert!(sim.flash()[ROOTFS2..] == copy);
            // A byte less, and nobody can tell.
            let shorter = sim.file("mtd3", &copy[..copy.len() - 1]);
            let run = sim.apply(&["--part", "RootFS2", &shorter]);
            // Zeros behind are padding, so that it is the kernel inside, which does not belong there.
            assert!([65, 78].contains(&run.exit), "{run:?}");
            sim.apply(&["--part", "RootFS2", "--as-is", &shorter]).exits(0);
        }
    }
}

#[test]
fn backups_of_flashers_own_go_back_one_by_one() {
    let sim = SimBox::new("qnap-ts219");
    let mut chip = bytes(16 * MIB, 3);
    let tree = read(Path::new(&pack(
        &sim.file("tree", &bytes(100_000, 1)),
        "bzip2",
        &["-k"],
    )));
    chip[ROOTFS2..][..tree.len()].copy_from_slice(&tree);
    chip[RAMDISK..][..tree.len()].copy_from_slice(&tree);
    sim.fill(&chip);
    let dir = sim.dir.path().join("backup");
    sim.run("backup", &[dir.to_str().unwrap()]).exits(0);
    for (name, partition) in [
        ("mtd1.Kernel.bin", "Kernel"),
        ("mtd2.RootFS1.bin", "RootFS1"),
        ("mtd3.RootFS2.bin", "RootFS2"),
    ] {
        sim.fill(&vec![0xff; 16 * MIB]);
        let file = dir.join(name);
        sim.apply(&[&format!("{partition}={}", file.display())]).exits(0);
        let content = read(&file);
        assert!(
            sim.flash()
                .windows(content.len())
                .step_by(MIB)
                .any(|window| window == content),
            "{name}"
        );
    }
}

/// A longer ramdisk may have been there before, and Linux takes what follows behind one for another.
#[test]
fn behind_a_ramdisk_whose_length_the_boot_loader_fixes_everything_becomes_zero() {
    for (board, offset, length) in [("qnap-ts219", 4 * MIB, 9 * MIB), ("qnap-ts109", 2 * MIB, 4 * MIB)] {
        let sim = SimBox::new(board);
        let cpio = [b"070701".as_slice(), &bytes(200_000, 6)].concat();
        let ramdisk = pack(&sim.file("initrd", &cpio), "gzip", &["-k"]);
        let content = read(Path::new(&ramdisk));
        let chip = sim.flash().len();
        sim.fill(&bytes(chip, 7));
        let before = sim.flash();
        let plan = sim
            .run("plan", &["--format", "json", "--part", "RootFS1", &ramdisk])
            .exits(0)
            .json();
        assert_eq!(plan["writes"][0]["zero_rest"], true, "{plan}");
        sim.apply(&["--part", "RootFS1", &ramdisk]).exits(0);
        let flash = sim.flash();
        assert!(flash[offset..][..content.len()] == content);
        assert!(
            flash[offset + content.len()..offset + length]
                .iter()
                .all(|byte| *byte == 0)
        );
        assert!(flash[..offset] == before[..offset] && flash[offset + length..] == before[offset + length..]);
        assert_eq!(
            sim.apply(&["--part", "RootFS1", &ramdisk]).exits(0).json()["code"],
            "nothing-to-do"
        );
        // Anything else leaves the rest alone, and so does a ramdisk elsewhere.
        sim.fill(&before);
        let raw = sim.file("raw", &bytes(1000, 1));
        sim.apply(&["--part", "RootFS1", "--force", "content", &raw]).exits(0);
        sim.apply(&["--part", "RootFS2", &ramdisk]).exits(0);
        let end = offset + length;
        assert!(sim.flash()[offset + 1000..end] == before[offset + 1000..end]);
        assert!(sim.flash()[end + content.len()..] == before[end + content.len()..]);
    }
}

#[test]
fn kernel_and_ramdisk_put_together_without_padding_are_refused_with_the_padding_that_is_missing() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(500_000, 1))));
    let cpio = [b"070701".as_slice(), &bytes(2_200_000, 2)].concat();
    let ramdisk = read(Path::new(&pack(&sim.file("initrd", &cpio), "gzip", &["-k"])));
    let both = sim.file("both", &[&kernel[..], &ramdisk].concat());
    let before = sim.flash();
    let run = sim.apply(&["--part", "Kernel,RootFS1", &both]).exits(65);
    assert_eq!(run.json()["code"], "content");
    assert!(run.out.contains("1,597,088 bytes of padding are missing"), "{run:?}");
    assert!(sim.flash() == before);
    for filling in [0, 0xff] {
        let mut padded = kernel.clone();
        padded.resize(2 * MIB, filling);
        padded.extend(&ramdisk);
        sim.apply(&["--part", "Kernel,RootFS1", &sim.file("padded", &padded)])
            .exits(0);
        assert!(sim.flash()[RAMDISK..][..ramdisk.len()] == ramdisk);
    }
}
