//! One update of several files, or of members of an archive that are chosen: one plan, one verdict.

use crate::containers::{MIB, pack, uimage};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use std::fs;
use std::path::Path;

/// A SquashFS with a file of so many bytes that do not pack.
pub fn squashfs(sim: &SimBox, length: usize) -> Vec<u8> {
    let root = sim.dir.path().join("squashed");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), bytes(length, 9)).unwrap();
    let out = sim.dir.path().join("squashfs");
    let (root, name) = (root.to_str().unwrap(), out.to_str().unwrap());
    tool(
        "mksquashfs",
        &[root, name, "-noappend", "-all-root", "-quiet", "-comp", "gzip"],
    );
    read(&out)
}

/// A tar with these members.
pub fn archive(sim: &SimBox, name: &str, members: &[(&str, &[u8])]) -> String {
    let root = sim.dir.path().join("members");
    let _ = fs::remove_dir_all(&root);
    for (member, content) in members {
        let path = root.join(member);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let out = sim.dir.path().join(name);
    let (root, name) = (root.to_str().unwrap(), out.to_str().unwrap());
    let names: Vec<_> = members.iter().map(|(member, _)| *member).collect();
    tool(
        "tar",
        &[&["-C", root, "--owner=0", "--group=0", "-caf", name], &names[..]].concat(),
    );
    name.to_owned()
}

const KERNEL: usize = 2 * MIB;
const RAMDISK: usize = 4 * MIB;

#[test]
fn two_files_are_one_update_with_one_plan() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = uimage(&sim, &bytes(900_000, 1));
    let packed = pack(&kernel, "gzip", &["-k"]);
    let root = sim.file("root", &squashfs(&sim, 700_000));
    let (one, two) = (format!("Kernel={packed}"), format!("mtd2={root}"));

    let plan = sim.run("plan", &["--format", "json", &one, &two]).exits(0).json();
    assert_eq!(plan["image"]["format"], "files");
    assert_eq!(plan["images"][0]["unpacked_from"], "gzip");
    assert_eq!(plan["images"][0]["unpacked_size"], read(Path::new(&kernel)).len());
    assert_eq!(plan["images"][0]["partition"], "Kernel");
    assert_eq!(plan["images"][1]["format"], "squashfs");
    assert_eq!(plan["images"][1]["as_is"], false);
    assert_eq!(plan["writes"].as_array().unwrap().len(), 2);
    let text = sim.run("plan", &[&one, &two]).exits(0).out;
    assert!(text.contains("unpacked from gzip: 900,064 bytes"), "{text}");

    sim.apply(&[&one, &two]).exits(0);
    let flash = sim.flash();
    let (kernel, root) = (read(Path::new(&kernel)), read(Path::new(&root)));
    assert!(flash[KERNEL..][..kernel.len()] == kernel);
    assert!(flash[RAMDISK..][..root.len()] == root);
    sim.run("verify", &[&one, &two]).exits(0);
    assert_eq!(sim.apply(&[&one, &two]).exits(0).json()["code"], "nothing-to-do");
}

#[test]
fn one_bad_file_of_several_and_nothing_is_written() {
    let sim = SimBox::new("qnap-ts219");
    let before = sim.flash();
    let kernel = uimage(&sim, &bytes(900_000, 1));
    let good = format!("Kernel={kernel}");
    let mut damaged = read(Path::new(&kernel));
    damaged[5000] ^= 1;
    let damaged = format!("RootFS1={}", sim.file("damaged", &damaged));
    let tar = archive(&sim, "some.tar", &[("a", b"a"), ("b", b"b")]);
    let tar = format!("RootFS1={tar}");
    let missing = format!("RootFS1={}", sim.dir.path().join("nowhere").display());
    let raw = sim.file("raw", &bytes(1000, 2));
    let (twice, unknown) = (format!("mtd1={raw}"), format!("Colonel={raw}"));
    for (other, code) in [
        (&damaged, "content"),
        (&tar, "image"),
        (&missing, "image-unreadable"),
        (&twice, "partition"),
        (&unknown, "partition"),
    ] {
        let run = sim.apply(&[&good, other]);
        assert_eq!(run.json()["code"], *code, "{run:?}");
        assert!(sim.flash() == before);
    }
}

#[test]
fn an_operand_with_a_sign_of_equality_is_a_file_for_a_partition_unless_it_is_a_path() {
    let sim = SimBox::new("generic");
    let dir = sim.dir.path().join("a=b");
    fs::create_dir(&dir).unwrap();
    let path = dir.join("c=d");
    fs::write(&path, bytes(1000, 1)).unwrap();
    sim.apply(&["--part", "kernel", path.to_str().unwrap()]).exits(0);
    sim.apply(&[&format!("kernel={}", path.display())]).exits(0);
    sim.apply(&[&format!("/dev/mtd2={}", path.display())]).exits(0);
    let file = path.to_str().unwrap();
    for words in [
        &[file, file][..],
        &["kernel=", "rootfs=x"],
        &[file, "kernel=x"],
        &["--part", "kernel", "kernel=x"],
        &["kernel=-", "rootfs=-"],
    ] {
        sim.apply(words).exits(64);
    }
    sim.run("inspect", &[]).exits(64);
}

#[test]
fn members_of_an_archive_go_where_they_are_said_to_go() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(900_000, 1))));
    let root = squashfs(&sim, 700_000);
    let packed = read(Path::new(&pack(&sim.file("k", &kernel), "xz", &["-k"])));
    let members = [
        ("out/uImage-6.1", &kernel[..]),
        ("out/uImage.xz", &packed),
        ("out/root.squashfs", &root),
    ];
    for name in ["firmware.tar", "firmware.tar.gz"] {
        let tar = archive(&sim, name, &members);
        for chosen in [
            "Kernel=uImage-6.1,RootFS1=root.squashfs",
            "Kernel=out/uImage-6.1,RootFS1=*.squashfs",
            "Kernel=uImage-*,RootFS1=root.*",
            // Unpacked out of the archive, which is packed itself.
            "Kernel=uImage.xz,RootFS1=root.squashfs",
        ] {
            sim.fill(&vec![0xff; 16 * MIB]);
            let plan = sim
                .run("plan", &["--format", "json", "--part", chosen, &tar])
                .exits(0)
                .json();
            if chosen.contains("xz") {
                assert_eq!(plan["images"][1]["unpacked_from"], "xz", "{plan}");
            }
            sim.apply(&["--part", chosen, &tar]).exits(0);
            let flash = sim.flash();
            assert!(flash[KERNEL..][..kernel.len()] == kernel, "{chosen}");
            assert!(flash[RAMDISK..][..root.len()] == root, "{chosen}");
            sim.run("verify", &["--part", chosen, &tar]).exits(0);
        }
        let before = sim.flash();
        for (chosen, said) in [
            ("Kernel=uImage*,RootFS1=root.squashfs", "several members"),
            ("Kernel=zImage", "no member"),
            ("Kernel,RootFS1=root.squashfs", "which member goes"),
            ("Kernel=uImage-6.1,RootFS1=out/uImage-6.1", "chosen twice"),
            ("Kernel=uImage-6.1,mtd1=root.squashfs", "named twice"),
            // An archive is never poured over partitions.
            ("Kernel,RootFS1", "which is not written as it is"),
        ] {
            let run = sim.apply(&["--part", chosen, &tar]).exits(78);
            assert!(run.out.contains(said), "{chosen}: {run:?}");
        }
        assert!(sim.flash() == before);
    }
    let image = sim.file("raw", &bytes(1000, 1));
    let run = sim.apply(&["--part", "RootFS2=raw", &image]).exits(78);
    assert!(run.out.contains("no members to choose"), "{run:?}");
}

/// OpenIPC packs kernel and root file system, and a checksum beside each, into one archive for each chip.
#[test]
fn a_release_of_openipc_is_applied_by_its_profile_alone_and_its_checksums_are_held_against_it() {
    let sim = SimBox::new("docs/examples/openipc-hi3516ev300.json");
    let kernel = read(Path::new(&uimage(&sim, &bytes(900_000, 1))));
    let root = squashfs(&sim, 700_000);
    let md5 = |content: &[u8], name: &str| {
        let path = sim.file(name, content);
        let output = tool("md5sum", &[&path]).stdout;
        let sum = String::from_utf8(output).unwrap();
        format!("{}  {name}\n", &sum[..32])
    };
    let release = |soc: &str, sums: [String; 2]| {
        let [kernel_name, root_name] = [format!("uImage.{soc}"), format!("rootfs.squashfs.{soc}")];
        let names = [format!("{kernel_name}.md5sum"), format!("{root_name}.md5sum")];
        let members = [
            (root_name.as_str(), &root[..]),
            (&names[1], sums[1].as_bytes()),
            (&kernel_name, &kernel),
            (&names[0], sums[0].as_bytes()),
        ];
        archive(&sim, &format!("openipc.{soc}-nor-lite.tgz"), &members)
    };
    let right = || [md5(&kernel, "uImage"), md5(&root, "rootfs")];
    let tgz = release("hi3516ev300", right());
    let report = flasher(&["inspect", "--format", "json", &tgz]).exits(0).json();
    assert_eq!(
        report["parts"].as_array().unwrap().len(),
        2,
        "checksums are no parts: {report}"
    );
    sim.apply(&[&tgz]).exits(0);
    let flash = sim.flash();
    assert!(flash[0x5_0000..][..kernel.len()] == kernel);
    assert!(flash[0x25_0000..][..root.len()] == root);

    let [kernel_sum, root_sum] = right();
    // As other programs write them: tagged, in upper case, with the ends of lines of Windows, and of both in one list.
    let only = &kernel_sum[..32];
    let both = format!("{root_sum}{only} *out/uImage.hi3516ev300\r\n");
    for list in [
        format!("MD5 (uImage.hi3516ev300) = {only}\n"),
        only.to_ascii_uppercase(),
        both,
    ] {
        sim.apply(&[&release("hi3516ev300", [list, root_sum.clone()])]).exits(0);
    }
    for sums in [
        [root_sum.clone(), root_sum.clone()],
        [kernel_sum, root_sum.replace(|c: char| c.is_ascii_digit(), "0")],
        ["hello\n".to_owned(), root_sum],
    ] {
        let run = sim.apply(&[&release("hi3516ev300", sums)]).exits(65);
        assert_eq!(run.json()["code"], "image", "{run:?}");
    }
    // The release for another chip has no member of that name.
    let run = sim.apply(&[&release("hi3516cv300", right())]).exits(78);
    assert!(run.out.contains("uImage.hi3516cv300"), "its members are named: {run:?}");
    assert!(sim.flash() == flash);
}

#[test]
fn each_of_several_files_has_its_checksum_and_its_signature() {
    let sim = SimBox::new("generic");
    let [kernel, root] = [("kernel.bin", 1), ("root.bin", 2)].map(|(name, seed)| sim.file(name, &bytes(5000, seed)));
    let sums = tool("sha256sum", &[&kernel, &root]).stdout;
    let list = sim.file("sums", &sums);
    let (one, two) = (format!("kernel={kernel}"), format!("rootfs={root}"));
    sim.apply(&["--sha256", &list, &one, &two]).exits(0);
    sim.file("root.bin", &bytes(5000, 3));
    let run = sim.apply(&["--sha256", &list, &one, &two]).exits(65);
    assert_eq!(run.json()["code"], "sha256", "{run:?}");
    assert!(run.out.contains("root.bin has the checksum"), "{run:?}");
    // One checksum cannot be that of both.
    let hex = String::from_utf8(sums[..64].to_vec()).unwrap();
    sim.apply(&["--sha256", &hex, &one, &two]).exits(65);
    sim.apply(&["--key", &list, &one, &two]).exits(64);
}
