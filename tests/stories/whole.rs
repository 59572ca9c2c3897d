//! Images that are cut or spoiled where no checksum of the whole covers it: tables of a squashfs, volumes of a UBI, nodes of a
//! JFFS2, what stands behind a kernel. Made by the real tools.

use crate::simbox::{SimBox, bytes, flasher, read, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// A directory with files of several sizes, a link and a hole.
fn tree(sim: &SimBox) -> PathBuf {
    let root = sim.dir.path().join("tree");
    fs::create_dir_all(root.join("etc")).unwrap();
    for number in 0..200u64 {
        fs::write(
            root.join(format!("etc/file{number}")),
            bytes(100 + 37 * number as usize, number),
        )
        .unwrap();
    }
    fs::write(root.join("large"), bytes(400_000, 300)).unwrap();
    let holes = fs::File::create(root.join("holes")).unwrap();
    holes.set_len(3_000_000).unwrap();
    let _ = std::os::unix::fs::symlink("etc/file1", root.join("link"));
    root
}

fn made(sim: &SimBox, program: &str, args: &[&str]) -> Vec<u8> {
    let out = sim.dir.path().join("made");
    let _ = fs::remove_file(&out);
    let root = tree(sim);
    let args: Vec<_> = args
        .iter()
        .map(|arg| match *arg {
            "OUT" => out.to_str().unwrap(),
            "TREE" => root.to_str().unwrap(),
            other => other,
        })
        .collect();
    tool(program, &args);
    read(&out)
}

#[track_caller]
pub fn fails(sim: &SimBox, part: &str, image: &[u8], what: &str) {
    let before = sim.flash();
    let run = sim.apply(&["--part", part, &sim.file("image", image)]);
    assert!([65, 78].contains(&run.exit), "{what}: {run:?}");
    assert_eq!(run.json()["code"], "content", "{what}: {run:?}");
    assert!(sim.flash() == before, "{what}");
}

/// A box with one partition, on flash like that.
fn box_with(chip: &Value) -> SimBox {
    let profile = json!({
        "id": "one", "name": "one partition", "cpu": { "arch": "arm", "order": "little" }, "chip": chip, "ram": 128 << 20,
        "partitions": [{ "mtd": 0, "name": "data", "offset": 0, "size": chip["size"] }],
    });
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("one.json");
    fs::write(&path, profile.to_string()).unwrap();
    flasher(&[
        "sim",
        "create",
        path.to_str().unwrap(),
        dir.path().join("box").to_str().unwrap(),
    ])
    .exits(0);
    SimBox { dir }
}

fn nor(erase_size: u32) -> SimBox {
    box_with(&json!({ "kind": "nor", "size": 4 << 20, "erase_size": erase_size }))
}

pub fn nand(page: u32, erase_size: u32) -> SimBox {
    box_with(&json!({
        "kind": "nand", "size": 4 << 20, "erase_size": erase_size, "write_size": page, "oob_size": page / 32,
    }))
}

#[test]
fn a_squashfs_of_every_packing_is_taken_and_one_with_a_spoiled_table_is_not() {
    let sim = nor(65536);
    for packing in ["gzip", "xz", "zstd", "lzo", "lz4"] {
        let flags = ["TREE", "OUT", "-noappend", "-quiet", "-comp", packing];
        let image = made(&sim, "mksquashfs", &flags);
        sim.apply(&["--part", "data", &sim.file("image", &image)]).exits(0);
        let place = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap()) as usize;
        let (ids, inodes, directories, fragments) = (place(48), place(64), place(72), place(80));
        // Places of tables that lie elsewhere, too many fragments, inodes that end too soon.
        for (at, byte) in [
            (50, 0x7f),
            (64, 1),
            (75, 0xff),
            (82, 0x55),
            (17, 0xff),
            (directories + 1, 0x3f),
        ] {
            let mut bad = image.clone();
            bad[at] = byte;
            fails(&sim, "data", &bad, &format!("{packing}: {byte:#x} at {at:#x}"));
        }
        // A table's list leads out of the file system.
        for list in [ids, fragments] {
            let mut bad = image.clone();
            bad[list + 3] = 0x70;
            fails(&sim, "data", &bad, &format!("{packing}: list at {list:#x}"));
        }
        for length in [96, inodes, inodes + 40, directories, fragments, ids, image.len() - 4096] {
            fails(&sim, "data", &image[..length], &format!("{packing}: cut at {length}"));
        }
        // These have checksums of their own.
        if ["gzip", "xz"].contains(&packing) {
            for at in [inodes + 20, (inodes + directories) / 2] {
                let mut bad = image.clone();
                bad[at] ^= 0x10;
                bad[at + 1] ^= 0xff;
                fails(&sim, "data", &bad, &format!("{packing}: bit at {at:#x}"));
            }
        }
    }
}

/// Tables that are not packed, so that a number in them can be changed: data of files and of fragments outside of the file system.
#[test]
fn a_squashfs_whose_files_lie_outside_of_it() {
    let sim = nor(65536);
    let flags = [
        "TREE",
        "OUT",
        "-noappend",
        "-quiet",
        "-noI",
        "-no-exports",
        "-no-xattrs",
    ];
    let image = made(&sim, "mksquashfs", &flags);
    sim.apply(&["--part", "data", &sim.file("image", &image)]).exits(0);
    let place = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap()) as usize;
    let (inodes, directories, fragments) = (place(64), place(72), place(80));
    // Where `large` begins: the inode whose file has its length.
    let length = 400_000u32.to_le_bytes();
    let large = (inodes..directories).find(|at| image[*at..at + 4] == length).unwrap();
    let mut bad = image.clone();
    bad[large - 12 + 2] = 0x7f;
    fails(&sim, "data", &bad, "where a file begins");
    let mut bad = image.clone();
    bad[large + 4 + 2] = 0x7f;
    fails(&sim, "data", &bad, "how long a block of a file is");
    let list = u64::from_le_bytes(image[fragments..fragments + 8].try_into().unwrap()) as usize;
    let mut bad = image.clone();
    bad[list + 2 + 3] = 0x7f;
    fails(&sim, "data", &bad, "where a fragment begins");
    let flags = [
        "TREE",
        "OUT",
        "-noappend",
        "-quiet",
        "-no-fragments",
        "-no-exports",
        "-b",
        "4096",
    ];
    let image = made(&sim, "mksquashfs", &flags);
    sim.apply(&["--part", "data", &sim.file("image", &image)]).exits(0);
}

fn uimage(sim: &SimBox, arch: &str) -> Vec<u8> {
    let data = sim.file("data", &bytes(30_000, 7));
    let out = sim.dir.path().join("uImage");
    let flags = ["-A", arch, "-O", "linux", "-T", "kernel", "-C", "none", "-n", "x", "-d"];
    tool("mkimage", &[&flags[..], &[&data, out.to_str().unwrap()]].concat());
    read(&out)
}

#[test]
fn what_stands_behind_a_kernel_is_held_to_its_own_length() {
    let sim = nor(65536);
    let kernel = uimage(&sim, "arm");
    let its = format!(
        "/dts-v1/; / {{ description = \"x\"; #address-cells = <1>; images {{ k {{ description = \"k\"; type = \"kernel\"; \
         arch = \"arm\"; os = \"linux\"; compression = \"none\"; load = <0>; entry = <0>; data = /incbin/(\"{}\"); hash-1 {{ \
         algo = \"sha1\"; }}; }}; }}; configurations {{ default = \"c\"; c {{ kernel = \"k\"; }}; }}; }};",
        sim.file("data", &bytes(30_000, 7))
    );
    let (its, itb) = (sim.file("x.its", its.as_bytes()), sim.dir.path().join("x.itb"));
    tool("mkimage", &["-f", &its, itb.to_str().unwrap()]);
    let squashfs = made(
        &sim,
        "mksquashfs",
        &["TREE", "OUT", "-noappend", "-quiet", "-comp", "xz"],
    );
    let jffs2 = made(
        &sim,
        "mkfs.jffs2",
        &["-l", "-e", "0x10000", "-n", "-r", "TREE", "-o", "OUT"],
    );
    for (kernel, word) in [(kernel, "uimage"), (read(&itb), "fit")] {
        for (root, padding, name) in [
            (&squashfs, 0xff, "squashfs"),
            (&squashfs, 0, "squashfs"),
            (&jffs2, 0xff, "jffs2"),
        ] {
            for align in [4, 4096, 65536] {
                let mut image = kernel.clone();
                image.resize(image.len().next_multiple_of(align), padding);
                let begin = image.len();
                image.extend(root);
                let path = sim.file("image", &image);
                let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
                let content = &report["parts"][0]["content"];
                assert_eq!(
                    (&content["format"], &content["behind"]["format"]),
                    (&word.into(), &name.into()),
                    "{report}"
                );
                sim.apply(&["--part", "data", &path]).exits(0);
                for left in [root.len() / 2, root.len() - 5000, 2000] {
                    fails(
                        &sim,
                        "data",
                        &image[..begin + left],
                        &format!("{word}, {name} behind {align}, {left} left"),
                    );
                }
            }
        }
    }
}

/// An image of volumes for that flash.
pub fn ubi(sim: &SimBox, volumes: &[(&str, &str, &str)], flags: &[&str]) -> Vec<u8> {
    let mut ini = String::new();
    for (index, (name, kind, file)) in volumes.iter().enumerate() {
        ini += &format!("[{name}]\nmode=ubi\nvol_id={index}\nvol_type={kind}\nvol_name={name}\nimage={file}\n");
    }
    let ini = sim.file("ubi.ini", ini.as_bytes());
    let out = sim.dir.path().join("image.ubi");
    tool(
        "ubinize",
        &[&["-Q", "7", "-o", out.to_str().unwrap()], flags, &[&ini]].concat(),
    );
    read(&out)
}

const BLOCK: usize = 16 << 10;

#[test]
fn a_ubi_made_for_other_pages_is_refused() {
    let sim = nand(2048, 131_072);
    let data = sim.file("data", &bytes(200_000, 1));
    let volumes = [("v", "dynamic", data.as_str())];
    for (flags, fits) in [
        (&["-p", "128KiB", "-m", "2048"][..], true),
        // Pages that can be programmed in four parts.
        (&["-p", "128KiB", "-m", "2048", "-s", "512"], true),
        (&["-p", "128KiB", "-m", "512"], false),
        (&["-p", "128KiB", "-m", "4096"], false),
        (&["-p", "128KiB", "-m", "2048", "-O", "1024"], true),
        (&["-p", "128KiB", "-m", "1"], false),
        (&["-p", "64KiB", "-m", "2048"], false),
    ] {
        let image = ubi(&sim, &volumes, flags);
        match fits {
            true => drop(
                sim.run("plan", &["--part", "data", &sim.file("image", &image)])
                    .exits(0),
            ),
            false => fails(&sim, "data", &image, &format!("{flags:?}")),
        }
    }
    let sim = nor(65536);
    let data = sim.file("data", &bytes(200_000, 1));
    let volumes = [("v", "dynamic", data.as_str())];
    let image = ubi(&sim, &volumes, &["-p", "64KiB", "-m", "1"]);
    sim.apply(&["--part", "data", &sim.file("image", &image)]).exits(0);
    let image = ubi(&sim, &volumes, &["-p", "64KiB", "-m", "512"]);
    fails(&nor(65536), "data", &image, "pages on NOR");
}

#[test]
fn the_volumes_of_a_ubi_are_whole() {
    let sim = nand(512, 16384);
    let squashfs = made(
        &sim,
        "mksquashfs",
        &["TREE", "OUT", "-noappend", "-quiet", "-comp", "xz"],
    );
    let (root, data) = (sim.file("root", &squashfs), sim.file("data", &bytes(50_000, 2)));
    let volumes = [
        ("rootfs", "dynamic", root.as_str()),
        ("calibration", "static", data.as_str()),
    ];
    let image = ubi(&sim, &volumes, &["-p", "16KiB", "-m", "512"]);
    let path = sim.file("image", &image);
    let text = flasher(&["inspect", &path]).exits(0).out;
    assert!(text.contains("with rootfs, calibration"), "{text}");
    sim.run("plan", &["--part", "data", &path]).exits(0);
    let find = |what: &[u8]| image.windows(what.len()).position(|window| window == what).unwrap();
    // A bit of a static volume; of either volume table.
    let at = find(&bytes(50_000, 2)[20_000..20_040]);
    for at in [at, 1024 + 3, BLOCK + 1024 + 3] {
        let mut bad = image.clone();
        bad[at] ^= 8;
        fails(&sim, "data", &bad, &format!("bit at {at:#x}"));
    }
    // Whole erase blocks left out: of the static volume, of the squashfs in the dynamic one, a volume table.
    let blocks = image.len() / BLOCK;
    for left_out in [blocks - 1, blocks - 2, 3, 5, 0, 1] {
        let bad = [&image[..left_out * BLOCK], &image[(left_out + 1) * BLOCK..]].concat();
        fails(&sim, "data", &bad, &format!("without block {left_out}"));
    }
    for length in 1..blocks {
        fails(&sim, "data", &image[..length * BLOCK], &format!("{length} blocks"));
    }
}

/// One record of the volume table that makes no sense, and nothing of the UBI is attached.
#[test]
fn a_volume_table_that_no_kernel_attaches() {
    let sim = nand(512, 16384);
    let data = sim.file("data", &bytes(50_000, 2));
    let volumes = [("one", "dynamic", data.as_str()), ("two", "dynamic", data.as_str())];
    let image = ubi(&sim, &volumes, &["-p", "16KiB", "-m", "512"]);
    // In which record, at which byte, what.
    let with = |changes: &[(usize, usize, &[u8])]| {
        let mut image = image.clone();
        // Behind both headers of the first two blocks.
        for table in [1024, BLOCK + 1024] {
            for (record, field, value) in changes {
                let at = table + record * 172;
                image[at + field..at + field + value.len()].copy_from_slice(value);
                let crc = !crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&image[at..at + 168]);
                image[at + 168..at + 172].copy_from_slice(&crc.to_be_bytes());
            }
        }
        image
    };
    sim.apply(&["--part", "data", &sim.file("image", &with(&[(1, 144, &[1])]))])
        .exits(0);
    type Change<'a> = (usize, usize, &'a [u8]);
    let bad: [(&str, &[Change]); 9] = [
        ("two of a name", &[(1, 16, b"one")]),
        ("two that grow", &[(0, 144, &[1]), (1, 144, &[1])]),
        ("a type", &[(1, 12, &[7])]),
        ("another type than its blocks", &[(1, 12, &[2])]),
        ("no name", &[(1, 14, &[0, 0])]),
        ("a name that goes on", &[(1, 14, &[0, 2])]),
        ("a name of 128 bytes", &[(1, 14, &[0, 128])]),
        ("an alignment of 0", &[(1, 4, &[0, 0, 0, 0])]),
        ("what is left over by it", &[(1, 8, &[0, 0, 2, 0])]),
    ];
    for (what, changes) in bad {
        fails(&sim, "data", &with(changes), what);
    }
}

/// Gives a header of a UBI its CRC: over all but itself, and not inverted.
fn sealed(image: &mut [u8], at: usize) {
    let crc = !crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&image[at..at + 60]);
    image[at + 60..at + 64].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn what_the_headers_of_a_ubi_say_of_each_other() {
    let sim = nand(512, 16384);
    let data = sim.file("data", &bytes(50_000, 2));
    let flags = ["-p", "16KiB", "-m", "512"];
    let stays = ubi(&sim, &[("v", "static", data.as_str())], &flags);
    let moves = ubi(&sim, &[("v", "dynamic", data.as_str())], &flags);
    // How many blocks the volume has, said differently by one of them.
    let mut bad = stays.clone();
    let header = 2 * BLOCK + 512;
    bad[header + 24..header + 28].copy_from_slice(&99u32.to_be_bytes());
    sealed(&mut bad, header);
    fails(&sim, "data", &bad, "another number of blocks");
    for (image, what) in [(&stays, "static"), (&moves, "dynamic")] {
        // Of a version that there is not; a block twice; one of a fastmap.
        let mut bad = image.clone();
        bad[4] = 2;
        sealed(&mut bad, 0);
        fails(&sim, "data", &bad, &format!("{what}, version"));
        let block = &image[2 * BLOCK..3 * BLOCK];
        fails(
            &sim,
            "data",
            &[image, block].concat(),
            &format!("{what}, a block twice"),
        );
        let mut fastmap = block.to_vec();
        fastmap[520..524].copy_from_slice(&0x7fff_f000u32.to_be_bytes());
        sealed(&mut fastmap, 512);
        fails(
            &sim,
            "data",
            &[image, fastmap.as_slice()].concat(),
            &format!("{what}, a fastmap"),
        );
    }
    // A UBIFS for other erase blocks, and a kernel for another processor.
    let ubifs = made(
        &sim,
        "mkfs.ubifs",
        &["-m", "2048", "-e", "126976", "-c", "200", "-r", "TREE", "-o", "OUT"],
    );
    let ubifs = sim.file("ubifs", &ubifs);
    let image = ubi(&sim, &[("v", "dynamic", ubifs.as_str())], &flags);
    fails(&sim, "data", &image, "a ubifs for other blocks");
    let kernel = sim.file("kernel", &uimage(&sim, "mips"));
    let image = ubi(&sim, &[("kernel", "dynamic", kernel.as_str())], &flags);
    let run = sim.apply(&["--part", "data", &sim.file("image", &image)]).exits(78);
    assert_eq!(run.json()["code"], "cpu", "{run:?}");
}

#[test]
fn file_systems_without_checksums_are_held_to_their_length() {
    let sim = nor(65536);
    let ext = sim.file("ext", &vec![0; 600 << 10]);
    tool("mke2fs", &["-q", "-F", &ext]);
    let ext = read(std::path::Path::new(&ext));
    sim.apply(&["--part", "data", &sim.file("image", &ext)]).exits(0);
    fails(&sim, "data", &ext[..ext.len() - 1024], "ext2");
    // Their super blocks, from the descriptions of them.
    let word = |image: &mut Vec<u8>, at: usize, value: u32| image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let mut erofs = bytes(40 << 10, 3);
    word(&mut erofs, 0x400, 0xe0f5_e1e2);
    word(&mut erofs, 0x424, 10);
    erofs[0x40c] = 12;
    let mut f2fs = bytes(40 << 10, 4);
    word(&mut f2fs, 0x400, 0xf2f5_2010);
    word(&mut f2fs, 0x410, 12);
    word(&mut f2fs, 0x424, 10);
    word(&mut f2fs, 0x428, 0);
    let mut romfs = bytes(40 << 10, 5);
    romfs[..8].copy_from_slice(b"-rom1fs-");
    romfs[8..12].copy_from_slice(&(40u32 << 10).to_be_bytes());
    for (image, what) in [(erofs, "erofs"), (f2fs, "f2fs"), (romfs, "romfs")] {
        sim.apply(&["--part", "data", &sim.file("image", &image)]).exits(0);
        fails(&sim, "data", &image[..image.len() - 4096], what);
    }
}

#[test]
fn a_superblock_of_squashfs_that_contradicts_itself() {
    let sim = nor(65536);
    let good = made(&sim, "mksquashfs", &["TREE", "OUT", "-noappend", "-quiet"]);
    for (at, value, what) in [
        (22, &[30, 0][..], "the logarithm of its blocks"),
        (12, &[0, 2, 0, 0], "blocks of 512 bytes"),
        (30, &[1, 0], "version 4.1"),
        (32, &[0, 0, 0xff, 0xff, 0xff, 0x7f], "its root outside of the table"),
        (32, &[0, 0x30], "its root behind a block of the table"),
    ] {
        let mut bad = good.clone();
        bad[at..at + value.len()].copy_from_slice(value);
        fails(&sim, "data", &bad, what);
    }
}

#[test]
fn a_jffs2_with_a_wrong_bit_or_made_for_other_erase_blocks() {
    let sim = nor(16384);
    let image = |flags: &[&str]| made(&sim, "mkfs.jffs2", &[flags, &["-r", "TREE", "-o", "OUT"]].concat());
    let good = image(&["-l", "-e", "16KiB"]);
    let path = sim.file("image", &good);
    let report = flasher(&["inspect", "--format", "json", &path]).exits(0).json();
    assert_eq!(report["parts"][0]["content"]["erase_size"], 16384, "{report}");
    sim.apply(&["--part", "data", &path]).exits(0);
    // In headers, names, data and between.
    let step = good.len() / 150;
    let mut refused = 0;
    // The first node of all says what it is.
    for at in 2..12 {
        let mut bad = good.clone();
        bad[at] ^= 4;
        let run = sim.run("plan", &["--part", "data", &sim.file("image", &bad)]);
        assert!(run.exit != 0 || at < 4, "{at}: {run:?}");
    }
    fails(&sim, "data", &good[..16384 + 7], "a few bytes of a node");
    for at in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        let run = sim.run(
            "plan",
            &["--format", "json", "--part", "data", &sim.file("image", &bad)],
        );
        // The last bytes of a word behind a node are nobody's.
        refused += usize::from(run.exit != 0);
    }
    assert!(refused > 140, "{refused}");
    for flags in [
        &["-l", "-e", "64KiB"][..],
        &["-l", "-e", "64KiB", "-n"],
        &["-l", "-e", "8KiB"],
    ] {
        fails(&sim, "data", &image(flags), &format!("{flags:?}"));
    }
    sim.apply(&[
        "--part",
        "data",
        &sim.file("image", &image(&["-l", "-e", "16KiB", "-n"])),
    ])
    .exits(0);
}
