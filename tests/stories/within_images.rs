//! The pieces of an image beside its kernel: a ramdisk, a file system, a device tree. The checksums of the image are right, and the box
//! would not come up.

use crate::insides::{numbered, packed};
use crate::packed_parts::{planned, refused, trx};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use crate::vendor_headers::entity;
use crate::volumes::ubifs;
use serde_json::json;
use std::path::Path;

const PAGE: &[u8] = b"<html><body><h1>504 Gateway Timeout</h1></body></html>";

/// A box for ARM whose partitions may hold anything.
fn the_box() -> SimBox {
    SimBox::changed("generic", |profile| {
        crate::simbox::anything(profile);
        profile["cpu"] = json!({ "arch": "arm", "order": "little" });
        profile["signs"] = json!({ "compatible": ["vendor,this"] });
    })
}

fn shell(sim: &SimBox, script: &str) -> Vec<u8> {
    tool("sh", &["-ec", &format!("cd {}; {script}", sim.dir.path().display())]).stdout
}

/// A tree of files to make file systems of.
fn tree(sim: &SimBox) {
    shell(sim, "mkdir -p tree/etc");
    for name in ["one", "etc/two", "etc/three"] {
        sim.file(&format!("tree/{name}"), &bytes(30_000, name.len() as u64));
    }
}

fn cpio(sim: &SimBox) -> Vec<u8> {
    shell(sim, "cd tree && find . | LC_ALL=C sort | cpio -o -H newc --quiet")
}

fn squashfs(sim: &SimBox) -> Vec<u8> {
    shell(
        sim,
        "mksquashfs tree squashfs -noappend -all-root -quiet >&2; cat squashfs",
    )
}

/// What is no ramdisk, by what is said of it.
fn no_ramdisks(sim: &SimBox) -> Vec<(Vec<u8>, &'static str)> {
    let (archive, root) = (cpio(sim), squashfs(sim));
    let whole = packed(sim, &archive, "gzip", &["-n"]);
    vec![
        (whole[..whole.len() - 90].to_vec(), "the gzip is damaged: it is cut off"),
        (
            packed(sim, &archive[..archive.len() - 700], "gzip", &["-n"]),
            "the cpio archive in the gzip is cut off",
        ),
        (packed(sim, &archive, "xz", &[]), "no kernel unpacks the xz"),
        (root[..root.len() / 2].to_vec(), "the squashfs says it has"),
        (PAGE.to_vec(), "and that is HTML"),
        (packed(sim, PAGE, "gzip", &["-n"]), "and that is HTML"),
        (vec![0xff; 5000], "bytes of 0xff, and nothing else"),
    ]
}

#[test]
fn a_uimage_that_says_it_is_a_ramdisk_is_one() {
    let sim = the_box();
    tree(&sim);
    let kernel = bytes(40_000, 1);
    let multi = |ramdisk: &[u8]| {
        let lengths = [kernel.len() as u32, ramdisk.len() as u32, 0]
            .map(u32::to_be_bytes)
            .concat();
        numbered(&[&lengths[..], &kernel, ramdisk].concat(), 4, 0, 5)
    };
    for (ramdisk, says) in no_ramdisks(&sim) {
        refused(&sim, says, &numbered(&ramdisk, 3, 0, 5), says);
        refused(&sim, says, &multi(&ramdisk), says);
    }
    refused(&sim, "empty", &numbered(b"", 3, 0, 5), "nothing at all");
    let archive = cpio(&sim);
    for ramdisk in [
        archive.clone(),
        packed(&sim, &archive, "xz", &["--check=crc32"]),
        squashfs(&sim),
    ] {
        planned(&sim, "whole", &numbered(&ramdisk, 3, 0, 5));
        planned(&sim, "whole", &multi(&ramdisk));
    }
    // Another kernel's, or a place for one that is not used: told.
    for ramdisk in [bytes(3000, 9), b"none".to_vec()] {
        let run = sim
            .apply(&["--part", "kernel", &sim.file("image", &multi(&ramdisk))])
            .exits(0);
        assert!(run.out.contains("a ramdisk in it is nothing that is known"), "{run:?}");
    }
}

/// A FIT of a kernel and one more image.
fn fit(sim: &SimBox, (kind, packing): (&str, &str), data: &[u8], property: &str) -> Vec<u8> {
    let (kernel, data) = (sim.file("kernel", &bytes(20_000, 1)), sim.file("data", data));
    let image = |name: &str, kind: &str, packing: &str, data: &str| {
        format!(
            "{name} {{ description = \"x\"; type = \"{kind}\"; os = \"linux\"; arch = \"arm\"; compression = \"{packing}\"; load \
             = <0>; entry = <0>; data = /incbin/(\"{data}\"); hash-1 {{ algo = \"sha1\"; }}; }};"
        )
    };
    let images = image("k", "kernel", "none", &kernel) + &image("other", kind, packing, &data);
    let its = format!(
        "/dts-v1/; / {{ description = \"x\"; #address-cells = <1>; images {{ {images} }}; configurations {{ default = \"c\"; c \
         {{ kernel = \"k\"; {property} = \"other\"; }}; }}; }};"
    );
    let (its, out) = (sim.file("x.its", its.as_bytes()), sim.dir.path().join("x.itb"));
    tool("mkimage", &["-f", &its, out.to_str().unwrap()]);
    read(&out)
}

#[test]
fn what_the_configuration_of_a_fit_names_is_what_it_says() {
    let sim = the_box();
    tree(&sim);
    for (ramdisk, says) in no_ramdisks(&sim) {
        let image = fit(&sim, ("ramdisk", "none"), &ramdisk, "ramdisk");
        refused(&sim, says, &image, says);
    }
    let root = squashfs(&sim);
    planned(&sim, "root", &fit(&sim, ("filesystem", "none"), &root, "loadables"));
    let filled = [&root[..], &[0; 4096]].concat();
    planned(&sim, "root", &fit(&sim, ("filesystem", "none"), &filled, "loadables"));
    let more = [&filled[..], &bytes(9000, 9)].concat();
    for image in [
        fit(&sim, ("filesystem", "none"), &more, "loadables"),
        numbered(&more, 3, 0, 5),
    ] {
        let run = sim.apply(&["--part", "kernel", &sim.file("image", &image)]).exits(0);
        let said = "behind the squashfs in it 9,000 bytes more: nothing that is known";
        assert!(run.out.contains(said), "{run:?}");
    }
    let cut = fit(&sim, ("filesystem", "none"), &root[..root.len() / 2], "loadables");
    refused(&sim, "root", &cut, "the squashfs says it has");

    let source = |board: &str| format!("/dts-v1/; / {{ compatible = \"{board}\"; }};");
    let blob = |board: &str| tool("dtc", &["-O", "dtb", &sim.file("x.dts", source(board).as_bytes())]).stdout;
    let (ours, others) = (blob("vendor,this"), blob("vendor,other"));
    for packing in ["none", "gzip", "lzma"] {
        let tree = |blob: &[u8]| match packing {
            "none" => blob.to_vec(),
            packer => packed(&sim, blob, packer, &[]),
        };
        planned(&sim, packing, &fit(&sim, ("flat_dt", packing), &tree(&ours), "fdt"));
        let image = sim.file("image", &fit(&sim, ("flat_dt", packing), &tree(&others), "fdt"));
        let run = sim.apply(&["--part", "kernel", &image]).exits(78);
        assert!(run.out.contains("is for \\\"vendor,other\\\""), "{packing}: {run:?}");
        let page = fit(&sim, ("flat_dt", packing), &tree(PAGE), "fdt");
        refused(&sim, packing, &page, "it is no device tree");
    }
}

fn jffs2(sim: &SimBox, flags: &str) -> Vec<u8> {
    shell(sim, &format!("mkfs.jffs2 {flags} -r tree -o jffs2 >&2; cat jffs2"))
}

#[test]
fn a_jffs2_in_a_trx_is_held_against_the_box_as_one_by_itself() {
    let sim = the_box();
    tree(&sim);
    let loader = packed(&sim, &bytes(4000, 62), "gzip", &["-n"]);
    let right = jffs2(&sim, "-l -e 64KiB");
    planned(&sim, "right", &trx(&[&loader, &right]));
    let mut flipped = right.clone();
    flipped[right.len() / 2] ^= 1;
    refused(
        &sim,
        "flipped",
        &trx(&[&loader, &flipped]),
        "a node of the jffs2 fails its CRC",
    );
    let larger = trx(&[&loader, &jffs2(&sim, "-l -e 128KiB")]);
    refused(&sim, "larger blocks", &larger, "it is made for larger ones");
    let other = sim.file("image", &trx(&[&loader, &jffs2(&sim, "-b -e 64KiB")]));
    let run = sim.apply(&["--part", "kernel", &other]).exits(78);
    assert_eq!(run.json()["code"], "cpu", "{run:?}");
    refused(
        &sim,
        "blank",
        &trx(&[&loader, &[0xff; 9000]]),
        "bytes of 0xff, and nothing else",
    );
}

#[test]
fn a_kernel_for_another_processor_in_a_seama_image() {
    let sim = the_box();
    let kernel = sim.file("data", &bytes(40_000, 1));
    for (arch, exit) in [("arm", 0), ("mips", 78)] {
        let out = sim.dir.path().join("uImage");
        let out = out.to_str().unwrap();
        tool(
            "mkimage",
            &["-A", arch, "-T", "kernel", "-C", "none", "-d", &kernel, out],
        );
        let image = entity(&sim, b"type=firmware\0", &read(Path::new(out)));
        let run = sim.apply(&["--force=content", "--part", "kernel", &sim.file("image", &image)]);
        assert_eq!(run.exit, exit, "{run:?}");
        assert!(exit == 0 || run.json()["code"] == "cpu", "{run:?}");
    }
}

#[test]
fn a_kernel_for_another_board_in_any_container() {
    let sim = the_box();
    let kernel = |board: &str| {
        let source = format!("/dts-v1/; / {{ compatible = \"{board}\"; }};");
        let tree = tool("dtc", &["-O", "dtb", &sim.file("x.dts", source.as_bytes())]).stdout;
        let mut kernel = bytes(40_000, 3);
        for (at, value) in [(0x24, 0x016f_2818u32), (0x28, 0), (0x2c, 40_000)] {
            kernel[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        numbered(&[kernel, tree].concat(), 2, 0, 5)
    };
    let (ours, others) = (kernel("vendor,this"), kernel("vendor,other"));
    type Container = fn(&SimBox, &[u8]) -> Vec<u8>;
    let containers: [(&str, Container); 4] = [
        ("by itself", |_, kernel| kernel.to_vec()),
        ("trx", |_, kernel| trx(&[kernel])),
        ("seama", |sim, kernel| entity(sim, b"type=firmware\0", kernel)),
        ("ubi", |sim, kernel| ubi(sim, "dynamic", "linux", kernel)),
    ];
    for (name, container) in containers {
        let run = |kernel: &[u8]| {
            let image = sim.file("image", &container(&sim, kernel));
            sim.apply(&["--force=content", "--part", "kernel", &image])
        };
        run(&ours).exits(0);
        let run = run(&others);
        assert_eq!(run.exit, 78, "{name}: {run:?}");
        assert_eq!(run.json()["code"], "metadata", "{name}: {run:?}");
    }
}

/// OpenWrt's `padjffs2` and `add_jffs2_mark` put it where its first boot finds it.
#[test]
fn the_mark_behind_a_jffs2_is_no_damage() {
    let sim = the_box();
    tree(&sim);
    let mark = [0xde, 0xad, 0xc0, 0xde];
    let whole = jffs2(&sim, "-l -e 64KiB");
    let marked = [&whole[..], &mark].concat();
    planned(&sim, "marked", &marked);
    let mut filled = marked.clone();
    filled.resize(filled.len().next_multiple_of(64 << 10), 0xff);
    planned(&sim, "filled up", &filled);
    refused(&sim, "more", &[&marked[..], &[7; 400]].concat(), "not a node of it");
}

#[test]
fn a_zimage_that_is_cut_off_is_refused_by_itself_as_in_a_uimage() {
    let sim = the_box();
    let mut kernel = bytes(40_000, 3);
    for (at, value) in [(0x24, 0x016f_2818u32), (0x28, 0), (0x2c, 40_000)] {
        kernel[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    planned(&sim, "whole", &kernel);
    refused(
        &sim,
        "cut",
        &kernel[..39_000],
        "the zimage says it has 40000 bytes, but only 39000 are there",
    );
    for (start, end) in [(0u32, 0u32), (u32::MAX, 8)] {
        kernel[0x28..0x30].copy_from_slice(&[start.to_le_bytes(), end.to_le_bytes()].concat());
        refused(&sim, "without an end", &kernel, "only 40000 are there");
        refused(
            &sim,
            "without an end",
            &numbered(&kernel, 2, 0, 5),
            "and 40000 are there",
        );
    }
}

/// Version 1 or 2, of which no tool of today makes one.
#[test]
fn a_squashfs_of_which_only_the_length_is_looked_at_is_not_checked() {
    let sim = the_box();
    for version in [1u8, 2] {
        let mut root = vec![0; 4096];
        root[..4].copy_from_slice(b"hsqs");
        root[8..12].copy_from_slice(&4096u32.to_le_bytes());
        root[28] = version;
        let path = sim.file("image", &root);
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        assert_eq!(report["parts"][0]["content"]["checked"], false, "{report}");
        let run = sim.run("plan", &["--part", "kernel", &path]).exits(0);
        assert!(run.out.contains("of which only the length is looked at"), "{run:?}");
    }
}

/// A UBI with one volume.
fn ubi(sim: &SimBox, kind: &str, name: &str, data: &[u8]) -> Vec<u8> {
    sim.file("volume", data);
    let ini = format!("[v]\nmode=ubi\nvol_id=0\nvol_type={kind}\nvol_name={name}\nimage=volume\n");
    sim.file("ini", ini.as_bytes());
    shell(sim, "ubinize -o ubi -p 64KiB -m 1 ini >&2; cat ubi")
}

#[test]
fn the_volumes_with_which_a_box_begins_hold_what_can_begin() {
    let sim = the_box();
    tree(&sim);
    let archive = shell(&sim, "tar -cf - tree");
    let zip = [b"PK\x03\x04", &bytes(3000, 4)[..]].concat();
    for kind in ["dynamic", "static"] {
        for (data, says) in [(&archive[..], "a tar archive"), (&zip, "a zip archive"), (PAGE, "HTML")] {
            refused(&sim, says, &ubi(&sim, kind, "kernel", data), says);
            refused(&sim, says, &ubi(&sim, kind, "rootfs", data), says);
        }
        refused(&sim, kind, &ubi(&sim, kind, "data", PAGE), "HTML");
        // A volume of settings may hold anything.
        planned(&sim, kind, &ubi(&sim, kind, "data", &archive));
        planned(&sim, kind, &ubi(&sim, kind, "rootfs", &squashfs(&sim)));
    }
}

/// The bytes in a volume have no checksum of UBI's, or one of bytes that were spoilt before.
#[test]
fn what_a_volume_holds_is_looked_at_to_its_end() {
    let sim = the_box();
    tree(&sim);
    // Of more than two erase blocks each.
    sim.file("tree/noise", &bytes(150_000, 8));
    let tree = tool(
        "dtc",
        &[
            "-O",
            "dtb",
            &sim.file("x.dts", b"/dts-v1/; / { compatible = \"vendor,other\"; };"),
        ],
    )
    .stdout;
    let fit = fit(&sim, ("flat_dt", "none"), &tree, "fdt");
    let kernel = packed(&sim, &bytes(150_000, 7), "gzip", &["-n"]);
    let right = [
        ("fit", numbered(&kernel, 2, 1, 5), "the uImage data fails its CRC"),
        ("rootfs", squashfs(&sim), "damaged"),
        (
            "rootfs",
            jffs2(&sim, "-l -e 64KiB"),
            "a node of the jffs2 fails its CRC",
        ),
        ("rootfs", ubifs(1, 65_408), "a node of the ubifs fails its CRC"),
        ("kernel", kernel, "the gzip is damaged"),
    ];
    for kind in ["dynamic", "static"] {
        for (name, data, says) in &right {
            planned(&sim, says, &ubi(&sim, kind, name, data));
            // Of a squashfs only the tables at its end can be held against anything.
            let used = match *name {
                "rootfs" if data.starts_with(b"hsqs") => u64::from_le_bytes(data[40..48].try_into().unwrap()) as usize,
                _ => data.len(),
            };
            for at in [70_000, used - 200].into_iter().skip(usize::from(used != data.len())) {
                let mut flipped = data.clone();
                flipped[at] ^= 0x10;
                refused(
                    &sim,
                    &format!("{kind} {says} {at}"),
                    &ubi(&sim, kind, name, &flipped),
                    says,
                );
            }
        }
        let run = sim.apply(&["--part", "kernel", &sim.file("image", &ubi(&sim, kind, "fit", &fit))]);
        assert!(run.exits(78).out.contains("is for \\\"vendor,other\\\""), "{kind}");
        let mut flipped = fit.clone();
        let at = fit.len() - 10_000;
        flipped[at] ^= 0x10;
        refused(&sim, kind, &ubi(&sim, kind, "fit", &flipped), "fails its");
    }
}

/// UBI finds its blocks wherever they lie, and reads those that are not there as blank.
#[test]
fn the_blocks_of_a_volume_may_lie_in_any_order() {
    let sim = the_box();
    let kernel = numbered(&bytes(250_000, 7), 2, 0, 5);
    for kind in ["dynamic", "static"] {
        let image = ubi(&sim, kind, "kernel", &kernel);
        let blocks: Vec<_> = image.chunks(64 << 10).collect();
        let (table, data) = blocks.split_at(2);
        let turned: Vec<_> = table.iter().chain(data.iter().rev()).copied().collect();
        planned(&sim, kind, &turned.concat());
        let lost: Vec<_> = turned
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != 3)
            .map(|(_, block)| *block)
            .collect();
        refused(&sim, kind, &lost.concat(), "is missing, or fails its CRC");
    }
}

/// U-Boot moves what is not packed to its place and jumps into it.
#[test]
fn a_packed_kernel_whose_header_says_that_it_is_not_packed_is_told() {
    let sim = the_box();
    for packing in ["gzip", "xz", "zstd"] {
        let kernel = sim.file("kernel", &packed(&sim, &bytes(60_000, 1), packing, &[]));
        let image = sim.dir.path().join("image");
        let flags = ["-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-d", &kernel];
        tool("mkimage", &[&flags[..], &[image.to_str().unwrap()]].concat());
        let plan = sim.run("plan", &["--part", "kernel", image.to_str().unwrap()]).exits(0);
        assert!(
            plan.out.contains("says that it is not packed, and begins with"),
            "{packing}: {plan:?}"
        );
        let shown = flasher(&["inspect", image.to_str().unwrap()]).exits(0).out;
        assert!(!shown.contains("checked"), "{packing}: {shown}");
    }
}
