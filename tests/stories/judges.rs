//! Other people's programs judge the same files: what they take we take, and what they say of it we say.

use crate::simbox::{SimBox, bytes, flasher, read, tool};
use std::fs;
use std::process::Command;

/// Whether this program takes the file.
fn takes(program: &str, args: &[&str]) -> bool {
    let run = Command::new(program).args(args).output();
    run.unwrap_or_else(|e| panic!("{program}: {e}: tests/install base installs it"))
        .status
        .success()
}

/// Files of many kinds: in blocks and fragments, empty, that pack and that do not.
fn tree(sim: &SimBox, seed: u64) -> String {
    let root = sim.dir.path().join("tree");
    let _ = fs::remove_dir_all(&root);
    for (number, length) in [0, 100, 4096, 70_000, 150_001].into_iter().enumerate() {
        let dir = root.join(format!("dir{}", number % 3));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("noise{number}")), bytes(length, seed + number as u64)).unwrap();
        fs::write(dir.join(format!("text{number}")), "text ".repeat(length / 5)).unwrap();
    }
    root.to_str().unwrap().to_owned()
}

#[test]
fn a_squashfs_of_any_packing_and_length_is_taken_where_unsquashfs_lists_it() {
    let sim = SimBox::new("generic");
    let options: [&[&str]; 4] = [
        &[],
        &["-b", "4096", "-no-fragments"],
        &["-always-use-fragments", "-nopad", "-no-exports"],
        &["-noI", "-noF", "-no-xattrs"],
    ];
    let packings = ["gzip", "lzo", "lz4", "xz", "zstd", "lzma"];
    for (round, packing) in packings.into_iter().enumerate() {
        let root = tree(&sim, 10 * round as u64);
        let out = sim.dir.path().join("squashfs");
        let base = [
            &root,
            out.to_str().unwrap(),
            "-noappend",
            "-quiet",
            "-no-progress",
            "-comp",
            packing,
        ];
        tool("mksquashfs", &[&base[..], options[round % options.len()]].concat());
        let whole = read(&out);
        let used = u64::from_le_bytes(whole[40..48].try_into().unwrap()) as usize;
        let cuts = [
            whole.len(),
            used,
            used - 1,
            used - 9,
            used * 3 / 4,
            used / 2,
            used / 7,
            4096,
            97,
        ];
        for length in cuts {
            let path = sim.file("cut", &whole[..length]);
            let wanted = takes("unsquashfs", &["-stat", &path]) && takes("unsquashfs", &["-l", &path]);
            let run = flasher(&["inspect", &path]);
            assert_eq!(run.exit == 0, wanted, "{packing}: {length} of {used}: {run:?}");
        }
        assert!(takes("unsquashfs", &["-l", out.to_str().unwrap()]), "{packing}");
    }
}

/// Neither unsquashfs nor the kernel takes one whose superblock leads to another root or another end, or names another packing.
#[test]
fn a_squashfs_with_a_wrong_root_length_or_packing_is_refused() {
    let sim = SimBox::new("generic");
    let root = tree(&sim, 100);
    let out = sim.dir.path().join("squashfs");
    for (number, packing) in [(1, "gzip"), (4, "xz"), (6, "zstd")] {
        let options = ["-noappend", "-quiet", "-no-progress", "-comp", packing];
        tool("mksquashfs", &[&[&root, out.to_str().unwrap()], &options[..]].concat());
        let whole = read(&out);
        let mut others = 0;
        let mut refused = |at: usize, value: u8| {
            let mut bad = whole.clone();
            bad[at] = value;
            let path = sim.file("bad", &bad);
            // Another root may be one: that of a directory in it.
            match takes("unsquashfs", &["-l", &path]) {
                true => others += 1,
                false => _ = flasher(&["inspect", &path]).exits(65),
            }
        };
        for at in [32, 33, 34, 40, 41] {
            for bit in 0..8 {
                refused(at, whole[at] ^ 1 << bit);
            }
        }
        for other in (0..8).filter(|other| *other != number) {
            refused(20, other);
        }
        assert!(others < 8, "{packing}: {others}");
    }
}

/// What stands behind a word at the beginning of a line of `dumpimage -l`.
fn said<'t>(text: &'t str, word: &str) -> &'t str {
    let mut lines = text.lines().map(str::trim);
    lines
        .find_map(|line| line.strip_prefix(word))
        .unwrap_or_else(|| panic!("{word}: {text}"))
        .trim()
}

#[test]
fn a_uimage_is_what_dumpimage_says() {
    let sim = SimBox::new("generic");
    let data = sim.file("data", &bytes(70_000, 1));
    let out = sim.dir.path().join("image");
    let out = out.to_str().unwrap();
    for (arch, named) in [
        ("arm", "ARM"),
        ("mips", "MIPS"),
        ("powerpc", "PowerPC"),
        ("arm64", "AArch64"),
        ("x86", "Intel x86"),
    ] {
        for (kind, role) in [
            ("kernel", "kernel"),
            ("ramdisk", "ramdisk"),
            ("kernel_noload", "kernel"),
        ] {
            let name = format!("Linux-6.1.0 {arch} {kind}");
            tool(
                "mkimage",
                &[
                    "-A", arch, "-O", "linux", "-T", kind, "-C", "none", "-n", &name, "-d", &data, out,
                ],
            );
            let listed = tool("dumpimage", &["-l", out]).stdout;
            let listed = String::from_utf8(listed).unwrap();
            assert!(said(&listed, "Image Type:").starts_with(named), "{listed}");
            let report = flasher(&["inspect", "--format", "json", out]);
            let report = report.json();
            let content = &report["parts"][0]["content"];
            // What is not known of its content is told behind the name.
            let title = content["title"].as_str().unwrap().split(';').next();
            assert_eq!(title, Some(said(&listed, "Image Name:")), "{report}");
            assert_eq!(content["arch"], arch.replace("arm64", "aarch64"), "{report}");
            assert_eq!(content["role"], role, "{report}");
            let size = said(&listed, "Data Size:").split(' ').next().unwrap();
            assert_eq!(
                content["length"].as_u64().unwrap() - 64,
                size.parse::<u64>().unwrap(),
                "{report}"
            );
        }
    }
}

#[test]
fn a_fit_with_any_wrong_byte_is_taken_where_its_hashes_are_those_that_mkimage_made() {
    let sim = SimBox::new("generic");
    let (kernel, root) = (bytes(30_000, 1), bytes(50_000, 2));
    sim.file("kernel", &kernel);
    sim.file("root", &root);
    let source = r#"/dts-v1/; / { description = "t"; #address-cells = <1>;
        images {
            kernel-1 { data = /incbin/("kernel"); type = "kernel"; arch = "arm"; os = "linux"; compression = "none";
                load = <0x8000>; entry = <0x8000>; hash-1 { algo = "sha1"; }; };
            rootfs-1 { data = /incbin/("root"); type = "filesystem"; arch = "arm"; compression = "none";
                hash-1 { algo = "crc32"; }; };
        };
        configurations { default = "c"; c { kernel = "kernel-1"; loadables = "rootfs-1"; }; }; };"#;
    let its = sim.file("image.its", source.as_bytes());
    let out = sim.dir.path().join("image.itb");
    let out_text = out.to_str().unwrap();
    // Inside, behind the tree, behind the tree at multiples, and where the tree says.
    for flags in [&[][..], &["-E"], &["-E", "-B", "0x1000"], &["-E", "-p", "0x4000"]] {
        let _ = fs::remove_file(&out);
        tool("mkimage", &[flags, &["-f", &its, out_text]].concat());
        let whole = read(&out);
        // The last, for mkimage leaves in its gaps what was there before.
        let last = |what: &[u8]| whole.windows(what.len()).rposition(|window| window == what).unwrap();
        flasher(&["inspect", out_text]).exits(0);
        assert!(takes("dumpimage", &["-l", out_text]));
        for at in [
            last(&kernel[..64]),
            last(&kernel[29_900..]),
            last(&root[..64]),
            last(&root[49_900..]),
        ] {
            let mut spoiled = whole.clone();
            spoiled[at] ^= 8;
            flasher(&["inspect", &sim.file("spoiled", &spoiled)]).exits(65);
        }
        let end = last(&root) + root.len();
        for length in [end - 1, end - 40_000, whole.len() / 3] {
            flasher(&["inspect", &sim.file("cut", &whole[..length])]).exits(65);
        }
    }
}
