//! What is in an image and behind it: its checksums are right, and a boot loader could do nothing with it all the same.

use crate::containers::uimage;
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use serde_json::json;
use std::path::Path;

/// A uImage with this packing, type and system by number, and right checksums.
pub fn numbered(data: &[u8], kind: u8, packing: u8, system: u8) -> Vec<u8> {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let mut image = vec![0; 64];
    image[..4].copy_from_slice(&0x2705_1956u32.to_be_bytes());
    image[12..16].copy_from_slice(&(data.len() as u32).to_be_bytes());
    image[24..28].copy_from_slice(&crc.checksum(data).to_be_bytes());
    image[28..32].copy_from_slice(&[system, 2, kind, packing]);
    image[32..36].copy_from_slice(b"test");
    let sum = crc.checksum(&image);
    image[4..8].copy_from_slice(&sum.to_be_bytes());
    image.extend(data);
    image
}

fn kernel(data: &[u8], packing: u8) -> Vec<u8> {
    numbered(data, 2, packing, 5)
}

pub fn packed(sim: &SimBox, data: &[u8], packer: &str, flags: &[&str]) -> Vec<u8> {
    let path = sim.file("packing", data);
    tool(packer, &[flags, &["-c", &path]].concat()).stdout
}

fn zimage(length: usize, says: usize) -> Vec<u8> {
    let mut kernel = bytes(length, 3);
    for (at, value) in [(0x24, 0x016f_2818), (0x28, 0), (0x2c, says as u32)] {
        kernel[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    kernel
}

fn tree(sim: &SimBox, board: &str) -> Vec<u8> {
    let source = sim.file(
        "x.dts",
        format!("/dts-v1/; / {{ compatible = \"{board}\"; }};").as_bytes(),
    );
    tool("dtc", &["-O", "dtb", &source]).stdout
}

#[track_caller]
fn refused(sim: &SimBox, part: &str, image: &[u8], says: &str) {
    let before = sim.flash();
    let run = sim.apply(&["--part", part, &sim.file("image", image)]);
    assert!([65, 78].contains(&run.exit), "{says}: {run:?}");
    assert_eq!(run.json()["code"], "content", "{says}: {run:?}");
    assert!(run.out.contains(says), "{says}: {run:?}");
    assert!(sim.flash() == before, "{says}");
}

#[test]
fn a_uimage_whose_data_is_no_kernel_or_is_not_packed_as_it_says() {
    let sim = SimBox::new("qnap-ts219");
    let data = bytes(20_000, 1);
    let squashfs = [&b"hsqs"[..], &data].concat();
    let mut arm64 = data.clone();
    arm64[0x38..0x3c].copy_from_slice(b"ARM\x64");
    let mut riscv = data.clone();
    riscv[0x38..0x3c].copy_from_slice(b"RSC\x05");
    let run = sim
        .apply(&["--part", "Kernel", "--force=content", &sim.file("image", &riscv)])
        .exits(78);
    assert_eq!(run.json()["code"], "cpu", "{run:?}");
    let program = read(Path::new("/bin/sh"));
    let cpio = sim.file("file", b"");
    let cpio = tool(
        "sh",
        &["-c", &format!("echo {cpio} | cpio -o -H newc --quiet | gzip -n")],
    )
    .stdout;
    let gzip = packed(&sim, &data, "gzip", &[]);
    for (image, says) in [
        (kernel(&data, 1), "packed with gzip, and in it is nothing that is known"),
        (kernel(&data, 2), "packed with bzip2"),
        (kernel(&gzip, 3), "packed with lzma, and in it is packed with gzip"),
        (kernel(&data, 6), "packed with zstd"),
        (kernel(&data, 99), "a way that is not known: number 99"),
        (kernel(&squashfs, 0), "in it is a squashfs"),
        (kernel(&arm64, 0), "a kernel for 64-bit ARM"),
        (kernel(&riscv, 0), "a kernel for RISC-V"),
        (kernel(&program[..20_000], 0), "an ELF program"),
        (kernel(b"<html><body>404 Not Found</body></html>", 0), "HTML"),
        (kernel(&cpio, 0), "a packed ramdisk"),
        (kernel(&kernel(&data, 0), 0), "in it is a uImage"),
        (kernel(b"", 0), "there is no kernel in it"),
        (
            kernel(&zimage(20_000, 30_000), 0),
            "says that it has 30000 bytes, and 20000 are there",
        ),
    ] {
        refused(&sim, "Kernel", &image, says);
    }
    for image in [
        kernel(&data, 0),
        kernel(&gzip, 1),
        kernel(&packed(&sim, &data, "bzip2", &[]), 2),
        kernel(&packed(&sim, &data, "xz", &["--format=lzma"]), 3),
        kernel(&packed(&sim, &data, "zstd", &["-q"]), 6),
        // Boot loaders of vendors have xz by one number or another.
        kernel(&packed(&sim, &data, "xz", &[]), 5),
        kernel(&packed(&sim, &data, "xz", &[]), 7),
        // The lzma of some builds has a window that no other program makes.
        kernel(&[&[0x5d, 0, 0, 0x81, 0][..], &data].concat(), 3),
        kernel(&zimage(20_000, 20_000), 0),
    ] {
        sim.apply(&["--part", "Kernel", &sim.file("image", &image)]).exits(0);
    }
    // Of another system nothing is known, which is told.
    let run = sim.apply(&[
        "--part",
        "Kernel",
        &sim.file("image", &numbered(&program[..9000], 2, 0, 2)),
    ]);
    assert!(run.exits(0).out.contains("system number 2"));
}

#[test]
fn a_multi_image_has_all_the_parts_that_it_lists() {
    let sim = SimBox::new("qnap-ts219");
    let data = bytes(9000, 1);
    let list = |lengths: &[u32]| {
        lengths
            .iter()
            .flat_map(|length| length.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let multi = |lengths: &[u32]| numbered(&[&list(lengths), data.as_slice()].concat(), 4, 0, 5);
    sim.apply(&["--part", "Kernel", &sim.file("image", &multi(&[5000, 4000, 0]))])
        .exits(0);
    for lengths in [&[5000, 4001, 0][..], &[0], &[9_000_000, 0], &[]] {
        refused(&sim, "Kernel", &multi(lengths), "list of the parts");
    }
}

#[test]
fn a_device_tree_that_is_cut_off_behind_the_kernel_is_none() {
    let sim = SimBox::new("qnap-ts219");
    let right = tree(&sim, "qnap,ts219");
    let with = |tree: &[u8]| kernel(&[&zimage(20_000, 20_000), tree].concat(), 0);
    sim.apply(&["--part", "Kernel", &sim.file("image", &with(&right))])
        .exits(0);
    refused(
        &sim,
        "Kernel",
        &with(&right[..right.len() - 8]),
        "device tree behind the kernel is cut off",
    );
}

#[test]
fn a_fit_whose_configuration_cannot_be_started() {
    let sim = SimBox::changed("generic", |profile| {
        profile["cpu"] = json!({ "arch": "arm", "order": "little" });
    });
    let data = sim.file("data", &bytes(9000, 5));
    let fit = |kernel: &str, configuration: &str| {
        let image = |name: &str, kind: &str, rest: &str| {
            format!(
                "{name} {{ description = \"x\"; type = \"{kind}\"; os = \"linux\"; load = <0>; entry = <0>; {rest} \
                 data = /incbin/(\"{data}\"); hash-1 {{ algo = \"crc16-ccitt\"; }}; }};"
            )
        };
        let images = image("k", "kernel", kernel) + &image("r", "ramdisk", "arch = \"mips\"; compression = \"none\";");
        let its = format!(
            "/dts-v1/; / {{ description = \"x\"; #address-cells = <1>; images {{ {images} }}; configurations {{ default = \
             \"c\"; c {{ kernel = \"k\"; {configuration} }}; }}; }};"
        );
        let (its, out) = (sim.file("x.its", its.as_bytes()), sim.dir.path().join("x.itb"));
        tool("mkimage", &["-f", &its, out.to_str().unwrap()]);
        read(&out)
    };
    let plain = "arch = \"arm\"; compression = \"none\";";
    let good = fit(plain, "");
    sim.apply(&["--part", "kernel", &sim.file("image", &good)]).exits(0);
    let at = good
        .windows(64)
        .position(|window| window == &bytes(9000, 5)[4000..4064])
        .unwrap();
    let mut bad = good.clone();
    bad[at] ^= 4;
    refused(&sim, "kernel", &bad, "fails its crc16-ccitt");
    for name in ["loadables", "fdt", "ramdisk", "firmware"] {
        refused(
            &sim,
            "kernel",
            &fit(plain, &format!("{name} = \"missing\";")),
            "missing",
        );
    }
    refused(
        &sim,
        "kernel",
        &fit("arch = \"arm\"; compression = \"gzip\";", ""),
        "packed with gzip, and in it is nothing",
    );
    let outside = sim.file("outside", &good);
    tool("fdtput", &["-t", "x", &outside, "/images/k", "data-position", "40"]);
    refused(&sim, "kernel", &read(outside.as_ref()), "has its data in two places");
    let boards = vec!["\"vendor,board\""; 100].join(", ");
    let says = "longer than any that decides something";
    refused(&sim, "kernel", &fit(plain, &format!("compatible = {boards};")), says);
    let path = sim.file("image", &fit(plain, "ramdisk = \"r\";"));
    let run = sim.apply(&["--part", "kernel", &path]).exits(78);
    assert_eq!(run.json()["code"], "cpu", "{run:?}");
}

#[test]
fn what_is_in_a_trx_is_for_the_same_box() {
    let sim = SimBox::changed("generic", |profile| {
        profile["cpu"] = json!({ "arch": "mips", "order": "little" });
    });
    let trx = |parts: &[&[u8]], moved: u32| {
        let mut image = b"HDR0\0\0\0\0\0\0\0\0\0\0\x01\0".to_vec();
        let mut at = 28 - moved;
        for index in 0..3 {
            let offset = parts.get(index).map_or(0, |_| at);
            image.extend(offset.to_le_bytes());
            at += parts.get(index).map_or(0, |part| part.len() as u32);
        }
        image.extend(parts.concat());
        let length = image.len() as u32;
        image[4..8].copy_from_slice(&length.to_le_bytes());
        let crc = !crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&image[12..]);
        image[8..12].copy_from_slice(&crc.to_le_bytes());
        image
    };
    let (noise, foreign) = (bytes(9000, 1), kernel(&bytes(5000, 2), 0));
    let program = read(Path::new("/bin/sh"));
    let plan = |image: &[u8]| sim.run("plan", &["--part", "kernel", &sim.file("image", image)]);
    plan(&trx(&[&noise, &noise], 0)).exits(0);
    refused(&sim, "kernel", &trx(&[&noise, &noise], 8), "header makes no sense");
    refused(&sim, "kernel", &trx(&[&noise, &program[..8000]], 0), "an ELF program");
    assert!(
        plan(&trx(&[&noise, &foreign], 0))
            .exits(78)
            .out
            .contains("for arm processors")
    );
}

#[test]
fn what_stands_behind_something_is_told_or_refused() {
    let sim = SimBox::new("qnap-ts219");
    let image = read(Path::new(&uimage(&sim, &bytes(30_000, 4))));
    let behind = |what: &[u8]| [image.as_slice(), &[0xff; 700], what].concat();
    for (what, says, exit) in [
        (
            &b"<html><body>upstream timed out</body></html>"[..],
            "DAMAGED: behind the uimage",
            65,
        ),
        (&bytes(3000, 1)[..], "something that is not known", 0),
    ] {
        let path = sim.file("image", &behind(what));
        let text = flasher(&["inspect", &path]).exits(exit).out;
        assert!(text.contains(says), "{text}");
        let report = flasher(&["inspect", "--format", "json", &path]).exits(exit).json();
        assert_eq!(report["parts"][0]["ok"], exit == 0, "{report}");
    }
    refused(
        &sim,
        "Kernel",
        &behind(b"<html><body>upstream timed out</body></html>"),
        "HTML",
    );
    refused(
        &sim,
        "Kernel",
        &behind(&read(Path::new("/bin/sh"))[..9000]),
        "an ELF program",
    );
    let run = sim.run(
        "plan",
        &["--part", "Kernel", &sim.file("image", &behind(&bytes(3000, 1)))],
    );
    assert!(run.exits(0).out.contains("at 0x782c something that is not known"));
    // A second one, and a third behind that.
    let second = kernel(&bytes(5000, 6), 0);
    let path = sim.file("image", &behind(&[second.as_slice(), &second].concat()));
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    let content = &report["parts"][0]["content"];
    assert_eq!(content["behind"]["behind"]["format"], "uimage", "{report}");
    let mut spoiled = behind(&[second.as_slice(), &second].concat());
    *spoiled.last_mut().unwrap() ^= 1;
    refused(&sim, "Kernel", &spoiled, "fails its CRC");
    // Of the other byte order, which only a look behind the kernel shows.
    let mut vendors = vec![0; 200];
    vendors[..4].copy_from_slice(b"sqsh");
    vendors[28..30].copy_from_slice(&3u16.to_be_bytes());
    vendors[63..71].copy_from_slice(&u64::MAX.to_be_bytes());
    refused(&sim, "Kernel", &behind(&vendors), "behind the uimage");
    vendors[63..71].copy_from_slice(&200u64.to_be_bytes());
    let run = sim
        .apply(&["--part", "Kernel", &sim.file("image", &behind(&vendors))])
        .exits(78);
    assert_eq!(run.json()["code"], "cpu", "{run:?}");
}

#[test]
fn one_byte_over_and_over_is_no_firmware() {
    let sim = SimBox::new("qnap-ts219");
    let (kernel, whole) = (2 * crate::containers::MIB, vec![0xff; 3 * crate::containers::MIB]);
    for byte in [0, 0xaa, 0xff] {
        for length in [512, 100_000, kernel] {
            refused(
                &sim,
                "Kernel",
                &vec![byte; length],
                &format!("bytes of 0x{byte:02x}, and nothing else"),
            );
        }
        refused(&sim, "RootFS2", &vec![byte; whole.len()], "and nothing else");
    }
    let path = sim.file("image", &whole);
    sim.apply(&["--part", "RootFS2", "--force", "content", &path]).exits(0);
    sim.apply(&["--part", "RootFS2", "--as-is", &path]).exits(0);
    // In what was read from the flash as a whole there are such partitions.
    let backup = sim.dir.path().join("backup");
    sim.run("backup", &[backup.to_str().unwrap()]).exits(0);
    sim.run("restore", &["-y", backup.to_str().unwrap()]).exits(0);
}

/// A file as long as a partition is a copy of one, but not of every one.
#[test]
fn a_copy_of_another_partition() {
    let sim = SimBox::new("qnap-ts219");
    let long = |begin: &[u8]| {
        let mut copy = begin.to_vec();
        copy.resize(2 * crate::containers::MIB, 0xff);
        copy
    };
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0";
    let mut cramfs = vec![0; 76];
    cramfs[..4].copy_from_slice(&0x28cd_3d45u32.to_le_bytes());
    cramfs[16..32].copy_from_slice(b"Compressed ROMFS");
    for (begin, says) in [
        (&zip[..], "a zip archive"),
        (&cramfs, "a cramfs"),
        (b"<html>\n", "HTML"),
    ] {
        refused(&sim, "Kernel", &long(begin), says);
    }
    let kernel = long(&kernel(&bytes(9000, 1), 0));
    sim.apply(&["--part", "Kernel", &sim.file("image", &kernel)]).exits(0);
}

/// Warnings of the plan about what this partition gets.
#[track_caller]
fn warned(sim: &SimBox, image: &[u8]) -> String {
    let path = sim.file("image", image);
    let plan = sim
        .run("plan", &["--format", "json", "--part", "Kernel", &path])
        .exits(0)
        .json();
    let checks = plan["checks"].as_array().unwrap();
    let warns = checks
        .iter()
        .filter(|check| check["name"] == "content" && check["status"] == "warn");
    warns.map(|check| check["text"].to_string()).collect()
}

/// A boot loader starts the first kernel, and takes no notice of what stands behind it.
#[test]
fn what_nothing_starts_behind_a_kernel_is_told_with_its_size() {
    let sim = SimBox::of_anything("qnap-ts219");
    let (tree, plain) = (tree(&sim, "qnap,ts219"), bytes(9000, 1));
    let (gzip, other) = (
        packed(&sim, &plain, "gzip", &[]),
        packed(&sim, &bytes(7000, 2), "gzip", &[]),
    );
    // It begins with zeros, as those do that begin with instructions that do nothing.
    let mut second = zimage(8000, 8000);
    second[..2].fill(0);
    let zimage = zimage(20_000, 20_000);
    let lzma = packed(&sim, &plain, "xz", &["--format=lzma"]);
    let uimage = kernel(&gzip, 1);
    assert_eq!(uimage.len(), 9095, "what random bytes become");
    for (front, padding, behind, says) in [
        (&uimage, 0, &uimage, "a uImage, a second kernel of 9,095 bytes"),
        (&uimage, 4096, &uimage, "a uImage, a second kernel of 9,095 bytes"),
        (&uimage, 0, &plain, "not known, 9,000 bytes"),
        (&zimage, 0, &second, "a second kernel of 8,000 bytes"),
        (&zimage, 4096, &second, "a second kernel of 8,000 bytes"),
    ] {
        let image = [&front[..], &vec![0; padding], behind].concat();
        assert!(warned(&sim, &image).contains(says), "{says}: {}", warned(&sim, &image));
    }
    for (front, behind, packing, says) in [
        (&gzip, &other, 1, "7,031 bytes more: packed with gzip"),
        (&gzip, &plain, 1, "9,000 bytes more: nothing"),
        (&zimage, &second, 0, "8,000 bytes more: an ARM zImage"),
        (&zimage, &[&tree, &plain[..]].concat(), 0, "9,000 bytes more: nothing"),
    ] {
        let image = kernel(&[&front[..], behind].concat(), packing);
        assert!(warned(&sim, &image).contains(says), "{says}: {}", warned(&sim, &image));
    }
    let size = (plain.len() as u32).to_le_bytes();
    let squashfs = [&b"hsqs"[..], &plain].concat();
    for (data, packing) in [
        ([&gzip, &[0; 4096][..]].concat(), 1),
        ([&gzip[..], &[0; 7], &tree].concat(), 1),
        ([&gzip, &size[..], &[0xff; 64]].concat(), 1),
        (lzma, 3),
        ([&zimage, &tree[..], &tree, &[0; 4096]].concat(), 0),
        ([&zimage[..], &[0; 96], &squashfs].concat(), 0),
    ] {
        assert_eq!(warned(&sim, &kernel(&data, packing)), "");
    }
}
