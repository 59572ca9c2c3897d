//! Pieces that were cut or exchanged before somebody put them together: what is around them has its right checksum.

use crate::containers::{MIB, pack, uimage};
use crate::formats::metadata;
use crate::several_files::{archive, squashfs};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use crate::whole::{fails, nand, ubi};
use std::path::Path;

/// Bytes that a squashfs says it has.
fn used(image: &[u8]) -> usize {
    u64::from_le_bytes(image[40..48].try_into().unwrap()) as usize
}

/// A TRX of the first version with these parts.
fn trx(parts: &[&[u8]]) -> Vec<u8> {
    let mut image = b"HDR0\0\0\0\0\0\0\0\0\0\0\x01\0".to_vec();
    let mut at = 28u32;
    for index in 0..3 {
        let length = parts.get(index).map_or(0, |part| part.len() as u32);
        image.extend(if length == 0 { 0 } else { at }.to_le_bytes());
        at += length;
    }
    image.extend(parts.concat());
    image[4..8].copy_from_slice(&at.to_le_bytes());
    let crc = !crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&image[12..]);
    image[8..12].copy_from_slice(&crc.to_le_bytes());
    image
}

#[test]
fn a_part_that_was_cut_or_spoiled_before_its_trx_was_made() {
    let sim = SimBox::of_anything("qnap-ts219");
    let loader = bytes(4000, 1);
    let root = squashfs(&sim, 200_000);
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_000, 2))));
    let good = sim.file("good", &trx(&[&loader, &kernel, &root]));
    sim.run("plan", &["--part", "RootFS2", &good]).exits(0);
    let told = |image: &[u8], name: &str| {
        let run = flasher(&["inspect", &sim.file("cut", image)]).exits(0);
        let said = format!("the {name} says it has");
        assert!(run.out.contains(&said) && !run.out.contains(", checked"), "{run:?}");
    };
    for cut in [1, 500, 80_000] {
        told(&trx(&[&loader, &kernel, &root[..used(&root) - cut]]), "squashfs");
        told(&trx(&[&loader, &kernel[..kernel.len() - cut], &root]), "uimage");
    }
    let mut spoiled = kernel.clone();
    spoiled[9000] ^= 1;
    fails(
        &sim,
        "RootFS2",
        &trx(&[&loader, &spoiled, &root]),
        "a kernel with a wrong bit",
    );
}

#[test]
fn what_ends_within_the_last_block_of_a_volume_is_all_there() {
    let sim = nand(512, 16 << 10);
    let image = |name: &str, content: &[u8]| {
        let content = sim.file("content", content);
        ubi(&sim, &[(name, "dynamic", &content)], &["-p", "16KiB", "-m", "512"])
    };
    let plan = |image: &[u8]| sim.run("plan", &["--part", "data", &sim.file("image", image)]);
    let root = squashfs(&sim, 200_000);
    plan(&image("rootfs", &root)).exits(0);
    plan(&image("rootfs", &root[..used(&root)])).exits(0);
    // Each time as many blocks as all of it has.
    let block = 15 << 10;
    for cut in [8, 100, (used(&root) - 1) % block] {
        let image = image("rootfs", &root[..used(&root) - cut]);
        fails(
            &sim,
            "data",
            &image,
            &format!("a squashfs without its last {cut} bytes"),
        );
    }
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_000, 2))));
    plan(&image("kernel", &kernel)).exits(0);
    let cut = image("kernel", &kernel[..kernel.len() - 20]);
    fails(&sim, "data", &cut, "a kernel without its last bytes");
    for at in [70, 50_000, kernel.len() - 1] {
        let mut spoiled = kernel.clone();
        spoiled[at] ^= 4;
        fails(&sim, "data", &image("kernel", &spoiled), "a kernel with a wrong bit");
    }
    let page = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n".repeat(200);
    fails(&sim, "data", &image("rootfs", &page), "a web page in a volume");
}

#[test]
fn a_list_of_checksums_in_an_archive_is_held_against_its_files() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_000, 2))));
    let root = squashfs(&sim, 50_000);
    let (kernel_file, root_file) = (sim.file("k", &kernel), sim.file("r", &root));
    let sum = |tool_name: &str, flags: &[&str], file: &str, name: &str| {
        let line = tool(tool_name, &[flags, &[file]].concat()).stdout;
        String::from_utf8(line).unwrap().replace(file, name)
    };
    let parts = ["--part", "Kernel=uImage,RootFS1=root"];
    let plan = |list: &str, text: &str| {
        let members = [("uImage", &kernel[..]), ("root", &root), (list, text.as_bytes())];
        sim.run(
            "plan",
            &[&parts[..], &[&archive(&sim, "release.tar", &members)]].concat(),
        )
    };
    for (list, program) in [
        ("SHA256SUMS", "sha256sum"),
        ("sha256sums", "sha256sum"),
        ("sha256sum.txt", "sha256sum"),
        ("MD5SUMS", "md5sum"),
        ("SHA1SUMS", "sha1sum"),
        ("SHA512SUMS", "sha512sum"),
        ("checksums.txt", "sha256sum"),
        ("checksums.md5", "md5sum"),
    ] {
        let right = sum(program, &[], &kernel_file, "uImage") + &sum(program, &["--tag"], &root_file, "root");
        plan(list, &right).exits(0);
        // Others, which are not in this archive, may stand there too.
        plan(list, &(right.clone() + &sum(program, &[], &root_file, "other.bin"))).exits(0);
        let wrong = sum(program, &[], &kernel_file, "uImage") + &sum(program, &[], &kernel_file, "./root");
        let run = plan(list, &wrong).exits(65);
        assert!(
            run.out.contains(&format!("\"root\" is not what \"{list}\" says")),
            "{run:?}"
        );
        let run = plan(list, &sum(program, &[], &kernel_file, "other.bin")).exits(65);
        assert!(run.out.contains("has no checksum of any file beside it"), "{run:?}");
    }
    // A name may have blanks, and be in the list twice.
    let blanks = |text: &str| {
        let members = [
            ("uImage", &kernel[..]),
            ("a uImage", &root),
            ("SHA256SUMS", text.as_bytes()),
        ];
        sim.run(
            "plan",
            &["--part", "Kernel=uImage", &archive(&sim, "release.tar", &members)],
        )
    };
    for flags in [&[][..], &["--tag"]] {
        let of = |file: &str, name: &str| sum("sha256sum", flags, file, name);
        let right = of(&root_file, "a uImage") + &of(&kernel_file, "uImage");
        blanks(&right).exits(0);
        blanks(&(right.clone() + &sum("md5sum", flags, &kernel_file, "uImage"))).exits(0);
        blanks(&(of(&kernel_file, "uImage") + &of(&kernel_file, "a uImage"))).exits(65);
        blanks(&(right.clone() + &of(&root_file, "uImage"))).exits(65);
        blanks(&(right + &sum("md5sum", flags, &root_file, "uImage"))).exits(65);
    }
    // Beside one file stands its own, of every kind.
    for ending in ["md5", "sha1sum", "sha256", "sha512sum"] {
        let program = format!("{}sum", ending.trim_end_matches("sum"));
        let name = format!("root.{ending}");
        plan(&name, &sum(&program, &[], &root_file, "root")).exits(0);
        plan(&name, &sum(&program, &[], &kernel_file, "root")).exits(65);
    }
}

/// Behind the only file of an archive stands what belongs to the archive.
#[test]
fn an_archive_may_have_one_file_and_its_checksum() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_001, 2))));
    let file = sim.file("k", &kernel);
    let sum = String::from_utf8(tool("md5sum", &[&file]).stdout).unwrap();
    let members = [("uImage", &kernel[..]), ("uImage.md5sum", sum.as_bytes())];
    let tar = archive(&sim, "release.tar", &members);
    sim.apply(&["--part", "Kernel=uImage", &tar]).exits(0);
    assert!(sim.flash()[2 * MIB..].starts_with(&kernel));
}

/// The bytes of an archive are not those of the one file in it, whatever that is.
#[test]
fn an_archive_of_one_file_is_written_as_it_is_by_no_way() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_000, 2))));
    let root = squashfs(&sim, 50_000);
    let root_file = format!("RootFS1={}", sim.file("root", &root));
    let one = [("uImage", &kernel[..])];
    let other = [
        ("sysupgrade-other/CONTROL", &b"BOARD=other\n"[..]),
        ("sysupgrade-other/kernel", &kernel),
    ];
    for (name, members) in [("one.tar", &one[..]), ("one.tgz", &one[..]), ("other.tar", &other[..])] {
        let path = archive(&sim, name, members);
        let inner = read(Path::new(&path));
        let before = sim.flash();
        sim.apply(&[&format!("Kernel={path}"), &root_file]).exits(65);
        let outer = archive(&sim, "outer.tar", &[(name, &inner), ("root", &root)]);
        let chosen = format!("Kernel={name},RootFS1=root");
        sim.apply(&["--part", &chosen, &outer]).exits(65);
        assert!(sim.flash() == before, "{name}");
    }
}

/// A member says for which box it is, and of which version, as a file by itself does.
#[test]
fn what_a_member_says_of_boxes_and_versions_counts() {
    let sim = SimBox::changed("qnap-ts219", |profile| profile["openwrt"] = serde_json::json!(["ours"]));
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_000, 2))));
    let root = squashfs(&sim, 50_000);
    let with = |image: &[u8], board: &str| {
        let mut image = image.to_vec();
        metadata(&mut image, board, "1.0");
        image
    };
    let plan = |kernel: &[u8], root: &[u8]| {
        let tar = archive(&sim, "release.tar", &[("uImage", kernel), ("root", root)]);
        sim.run("plan", &["--part", "Kernel=uImage,RootFS1=root", &tar])
    };
    let ours = with(&kernel, "\"ours\"");
    plan(&ours, &root).exits(0);
    plan(&ours, &with(&root, "\"ours\"")).exits(0);
    let run = plan(&with(&kernel, "\"another\""), &root).exits(78);
    assert!(run.out.contains("the image is for another"), "{run:?}");
    plan(&kernel, &with(&root, "\"another\"")).exits(78);
    plan(&ours, &with(&root, "\"another\"")).exits(65);
    // Of two that stand behind the packing and inside it none is passed over.
    for (outside, exit) in [("\"ours\"", 0), ("\"another\"", 65)] {
        let packed = pack(&sim.file("ours", &ours), "gzip", &["-k"]);
        let path = sim.file("both", &with(&read(Path::new(&packed)), outside));
        sim.run("plan", &["--part", "Kernel", &path]).exits(exit);
    }
    let etc = sim.path().join("etc");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("openwrt_release"), "DISTRIB_RELEASE='23.05.2'\n").unwrap();
    let run = plan(&ours, &root).exits(78);
    assert!(run.out.contains("older than"), "{run:?}");
}

#[test]
fn bytes_in_another_order_and_the_short_answers_of_servers() {
    let sim = SimBox::of_anything("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(90_000, 2))));
    for many in [2, 4] {
        for image in [&kernel, &trx(&[&bytes(4000, 1), &kernel])] {
            let turned: Vec<u8> = image.chunks(many).flat_map(|some| some.iter().rev().copied()).collect();
            fails(&sim, "RootFS2", &turned, &format!("turned round by {many}"));
        }
    }
    for answer in ["404: Not Found", "Not Found", "Forbidden\n", "Moved Permanently.\r\n"] {
        fails(&sim, "RootFS2", answer.as_bytes(), answer);
    }
}
