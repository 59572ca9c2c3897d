//! Kernels for another processor, another chip or another board, told apart by what they say themselves; and which of the images
//! in a FIT counts. Made by mkimage, and of Debian's own kernels as flash-kernel puts them together.

use crate::simbox::{SimBox, bytes, flasher, read, tool};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

fn uimage(sim: &SimBox, arch: &str, kind: &str, data: &str) -> Vec<u8> {
    let out = sim.dir.path().join("uImage");
    let flags = [
        "-A", arch, "-O", "linux", "-T", kind, "-C", "none", "-a", "0x8000", "-e", "0x8000", "-n", "x", "-d",
    ];
    tool("mkimage", &[&flags[..], &[data, out.to_str().unwrap()]].concat());
    read(&out)
}

#[test]
fn any_processor_that_is_not_the_boxs_is_refused_by_its_name() {
    let sim = SimBox::new("qnap-ts219");
    let data = sim.file("data", &bytes(20_000, 1));
    for (arch, name) in [
        ("ppc", "powerpc"),
        ("arm64", "aarch64"),
        ("mips", "mips"),
        ("mips64", "mips64"),
        ("riscv", "riscv"),
        ("m68k", "m68k"),
        ("sh", "sh"),
        ("x86", "x86"),
        ("arc", "arc"),
    ] {
        for kind in ["kernel", "multi"] {
            let path = sim.file("image", &uimage(&sim, arch, kind, &data));
            let run = sim.apply(&["--part", "Kernel", &path]).exits(78);
            assert_eq!(run.json()["code"], "cpu", "{run:?}");
            assert!(
                run.out.contains(&format!("is for {name} processors")),
                "{arch}: {run:?}"
            );
            let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
            assert_eq!(report["parts"][0]["content"]["arch"], name, "{report}");
            assert!(!report["boards"].to_string().contains("qnap"), "{report}");
        }
    }
    // A number that nobody has given out, and none at all, with the header's CRC made right.
    for (number, says) in [(0x7f, "number 127"), (0, "does not say for which processor")] {
        let mut image = uimage(&sim, "arm", "kernel", &data);
        image[29] = number;
        image[4..8].fill(0);
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&image[..64]);
        image[4..8].copy_from_slice(&crc.to_be_bytes());
        let run = sim.apply(&[&sim.file("image", &image)]).exits(78);
        assert!(run.out.contains(says), "{run:?}");
    }
    let path = sim.file("image", &uimage(&sim, "arm", "kernel_noload", &data));
    sim.apply(&[&path]).exits(0);
    let path = sim.file("image", &uimage(&sim, "ppc", "kernel", &data));
    sim.apply(&["--force", "cpu", &path]).exits(0);
}

struct Its<'a> {
    images: &'a [(&'a str, &'a str, &'a str, &'a str)],
    configurations: &'a str,
}

/// Name, type, processor and hash of each.
fn fit(sim: &SimBox, its: &Its<'_>, flags: &[&str]) -> Vec<u8> {
    let mut images = String::new();
    for (index, (name, kind, arch, hash)) in its.images.iter().enumerate() {
        let data = sim.file(&format!("data{index}"), &bytes(9000 + index, 5 + index as u64));
        let hash = match *hash {
            "" => String::new(),
            hash => format!("hash-1 {{ algo = \"{hash}\"; }};"),
        };
        images += &format!(
            "{name} {{ description = \"x\"; data = /incbin/(\"{data}\"); type = \"{kind}\"; arch = \"{arch}\"; os = \"linux\"; \
             compression = \"none\"; load = <0x8000>; entry = <0x8000>; {hash} }};"
        );
    }
    let text = format!(
        "/dts-v1/; / {{ description = \"x\"; #address-cells = <1>; images {{ {images} }}; configurations {{ {} }}; }};",
        its.configurations
    );
    let (path, out) = (sim.file("x.its", text.as_bytes()), sim.dir.path().join("x.itb"));
    tool("mkimage", &[flags, &["-f", &path, out.to_str().unwrap()]].concat());
    read(&out)
}

fn arm_box() -> SimBox {
    SimBox::changed("generic", |profile| {
        profile["id"] = "fit".into();
        profile["cpu"] = json!({ "arch": "arm", "order": "little" });
        profile["accepts"] = json!([{ "format": "fit", "role": "kernel", "parts": ["kernel"] }]);
    })
}

#[test]
fn every_hash_of_a_fit_is_checked_and_one_that_is_missing_is_told() {
    let sim = arm_box();
    let configurations = "default = \"c\"; c { kernel = \"k\"; };";
    for hash in ["crc32", "md5", "sha1", "sha256", "sha384", "sha512"] {
        for flags in [&[][..], &["-E"]] {
            let images = [("k", "kernel", "arm", hash), ("r", "ramdisk", "arm", hash)];
            let image = fit(
                &sim,
                &Its {
                    images: &images,
                    configurations,
                },
                flags,
            );
            let path = sim.file("image", &image);
            assert!(flasher(&["inspect", &path]).exits(0).out.contains("checked"), "{hash}");
            sim.apply(&[&path]).exits(0);
            for part in [bytes(9000, 5), bytes(9001, 6)] {
                let at = image
                    .windows(64)
                    .position(|window| window == &part[4000..4064])
                    .unwrap();
                let mut bad = image.clone();
                bad[at] ^= 4;
                let run = sim.apply(&[&sim.file("bad", &bad)]).exits(65);
                assert!(run.out.contains(&format!("fails its {hash}")), "{run:?}");
            }
        }
    }
    let images = [("k", "kernel", "arm", ""), ("r", "ramdisk", "arm", "sha1")];
    let path = sim.file(
        "image",
        &fit(
            &sim,
            &Its {
                images: &images,
                configurations,
            },
            &[],
        ),
    );
    let text = flasher(&["inspect", &path]).exits(0).out;
    assert!(
        text.contains("without a hash: kernel") && !text.contains("checked"),
        "{text}"
    );
    let run = sim.apply(&[&path]).exits(0);
    assert!(run.out.contains("without a hash: kernel"), "{run:?}");
}

#[test]
fn the_default_configuration_of_a_fit_decides() {
    let sim = arm_box();
    let long = "kernel-of-a-box-with-a-name-that-is-much-longer-than-thirty-one-characters-and-than-sixty-four-too";
    let images = [
        ("k1", "kernel", "arm", "crc32"),
        ("k2", "kernel", "arm64", "crc32"),
        (long, "kernel_noload", "arm", "sha1"),
    ];
    for (configurations, code) in [
        (
            "default = \"a\"; a { kernel = \"k1\"; }; b { kernel = \"k2\"; };".to_owned(),
            "",
        ),
        (
            "default = \"b\"; a { kernel = \"k1\"; }; b { kernel = \"k2\"; };".to_owned(),
            "cpu",
        ),
        (
            format!("default = \"a\"; b {{ kernel = \"k2\"; }}; a {{ kernel = \"{long}\"; }};"),
            "",
        ),
        // None is the default: the boot loader may start either.
        ("a { kernel = \"k1\"; }; b { kernel = \"k2\"; };".to_owned(), "cpu"),
        ("a { kernel = \"k1\"; };".to_owned(), ""),
        ("default = \"c\"; a { kernel = \"k1\"; };".to_owned(), "content"),
        ("default = \"a\"; a { kernel = \"k3\"; };".to_owned(), "content"),
    ] {
        let image = fit(
            &sim,
            &Its {
                images: &images,
                configurations: &configurations,
            },
            &[],
        );
        let run = sim.apply(&["--part", "kernel", &sim.file("image", &image)]);
        match code {
            "" => drop(run.exits(0)),
            code => assert_eq!(run.json()["code"], code, "{configurations}: {run:?}"),
        }
    }
}

/// Debian's kernel and device trees for these boxes.
pub fn debian() -> PathBuf {
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fetch");
    let output = Command::new(fetch).arg("kernel").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

pub fn only(dir: PathBuf, begins: &str) -> PathBuf {
    let mut entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let fits = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(begins);
    entries.by_ref().map(|entry| entry.unwrap().path()).find(fits).unwrap()
}

/// flash-kernel appends the device tree to the kernel and makes a uImage of both (`DTB-Append: yes` in its `db/all.db`).
#[test]
fn debians_kernels_for_the_6281_and_the_6282_are_told_apart() {
    let root = debian();
    let kernel = read(&only(root.join("boot"), "vmlinuz-"));
    let trees = only(root.join("usr/lib"), "linux-image-");
    let chip = |chip: &str| SimBox::changed("qnap-ts219-resized", |profile| profile["soc"] = chip.into());
    let (old, new) = (chip("marvell,88f6281"), chip("marvell,88f6282"));
    let unknown = SimBox::new("qnap-ts219-resized");
    let make = |tree: &str| {
        let data = [&kernel[..], &read(&trees.join(tree))].concat();
        uimage(&old, "arm", "kernel", &old.file("data", &data))
    };
    for (tree, fits, other) in [
        ("kirkwood-ts219-6281.dtb", &old, &new),
        ("kirkwood-ts219-6282.dtb", &new, &old),
    ] {
        let path = old.file("image", &make(tree));
        let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
        let content = &report["parts"][0]["content"];
        assert_eq!(content["compatible"][0], "qnap,ts219", "{report}");
        assert!(
            tree.contains(content["soc"].as_str().unwrap().trim_start_matches("marvell,88f")),
            "{report}"
        );
        fits.apply(&[&path]).exits(0);
        let run = other.apply(&[&path]).exits(78);
        assert_eq!(run.json()["code"], "metadata");
        assert!(run.out.contains("is for the chip"), "{run:?}");
        let run = unknown.apply(&[&path]).exits(0);
        assert!(run.out.contains("which one this box has is not known"), "{run:?}");
    }
    for tree in ["kirkwood-dns320.dtb", "orion5x-linkstation-lsgl.dtb"] {
        let path = old.file("image", &make(tree));
        let run = old.apply(&[&path]).exits(78);
        assert_eq!(run.json()["code"], "metadata");
        assert!(run.out.contains("this box is \\\"qnap,ts219\\\""), "{run:?}");
        old.apply(&["--force", "metadata", &path]).exits(0);
    }
}
