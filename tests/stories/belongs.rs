//! What a partition is for, and what it holds: other content is refused, and what is replaced is told.

use crate::containers::{MIB, pack, uimage};
use crate::simbox::{SimBox, bytes, flasher, read, tool};
use serde_json::json;
use std::path::Path;

fn tool_out(sim: &SimBox, script: &str) -> Vec<u8> {
    let dir = sim.dir.path();
    let _ = std::fs::remove_file(dir.join("out"));
    let prepare = "mkdir -p root/bin; tail -c +65 /bin/ls | head -c 30000 >root/bin/ls; echo root >root/name";
    tool(
        "sh",
        &["-ec", &format!("cd {} && {prepare} && {script}", dir.display())],
    );
    read(&dir.join("out"))
}

const SQUASHFS: &str = "mksquashfs root out -noappend -quiet >/dev/null";
const CPIO: &str = "(cd root; find . | cpio -o -H newc --quiet)";

#[track_caller]
fn refused(sim: &SimBox, part: &str, image: &[u8], says: &str) {
    let before = sim.flash();
    let run = sim.apply(&["--part", part, &sim.file("image", image)]).exits(78);
    assert_eq!(run.json()["code"], "content", "{run:?}");
    assert!(run.out.contains(says), "{says}: {run:?}");
    assert!(sim.flash() == before);
    let path = sim.file("image", image);
    sim.apply(&["--part", part, "--force", "content", &path]).exits(0);
    sim.fill(&before);
}

#[test]
fn a_partition_takes_what_it_is_for_and_nothing_else() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = read(Path::new(&uimage(&sim, &bytes(30_000, 1))));
    let squashfs = tool_out(&sim, SQUASHFS);
    let ramdisk = tool_out(&sim, &format!("{CPIO} | gzip -n >out"));
    let plain = tool_out(&sim, &format!("{CPIO} >out"));
    let data = sim.file("data", &bytes(5000, 2));
    let wrapped = sim.dir.path().join("wrapped");
    let flags = [
        "-A", "arm", "-O", "linux", "-T", "ramdisk", "-C", "none", "-n", "x", "-d",
    ];
    tool("mkimage", &[&flags[..], &[&data, wrapped.to_str().unwrap()]].concat());
    let wrapped = read(&wrapped);
    for (part, image) in [
        ("Kernel", &kernel),
        ("RootFS1", &ramdisk),
        ("RootFS1", &plain),
        ("RootFS1", &squashfs),
        ("RootFS2", &ramdisk),
        ("RootFS2", &bytes(5000, 3)),
    ] {
        sim.apply(&["--part", part, &sim.file("image", image)]).exits(0);
    }
    sim.fill(&vec![0xff; 16 * MIB]);
    refused(
        &sim,
        "Kernel",
        &ramdisk,
        "a packed ramdisk, which does not belong there (it holds uimage kernel)",
    );
    refused(&sim, "Kernel", &wrapped, "a uImage, which does not belong there");
    refused(&sim, "Kernel", &squashfs, "a squashfs, which does not belong there");
    refused(&sim, "Kernel", &bytes(5000, 3), "5,000 bytes of nothing that is known");
    refused(
        &sim,
        "RootFS1",
        &kernel,
        "a uImage, which does not belong there (it holds ramdisk or filesystem)",
    );
    refused(&sim, "RootFS1", &wrapped, "a uImage, which does not belong there");
    refused(&sim, "RootFS1", &bytes(5000, 3), "nothing that is known");
}

#[test]
fn a_profile_says_it_in_words_of_its_own() {
    let sim = SimBox::changed("generic", |profile| {
        profile["partitions"][2]["holds"] = json!(["squashfs", "raw"]);
    });
    sim.apply(&["--part", "kernel", &sim.file("image", &bytes(5000, 3))])
        .exits(0);
    let squashfs = tool_out(&sim, SQUASHFS);
    sim.apply(&["--part", "kernel", &sim.file("image", &squashfs)]).exits(0);
    let ramdisk = tool_out(&sim, &format!("{CPIO} | xz --check=crc32 >out"));
    let before = sim.flash();
    let run = sim.apply(&["--part", "kernel", &sim.file("image", &ramdisk)]).exits(78);
    assert!(run.out.contains("it holds squashfs or raw"), "{run:?}");
    assert!(sim.flash() == before);
    for words in ["kernels", "", "squashfs jffs2"] {
        let broken = SimBox::changed("generic", |profile| {
            profile["partitions"][2]["holds"] = json!([words]);
        });
        broken.run("devices", &[]).exits(64);
    }
}

/// Of ramdisks any member may be packed with anything, in any window, with zeros between and behind.
#[test]
fn ramdisks_are_taken_by_what_is_in_them() {
    let sim = SimBox::new("qnap-ts219");
    for (what, script) in [
        ("lzma -9", "CPIO | lzma -9 >out"),
        ("xz -9", "CPIO | xz -9 --check=crc32 >out"),
        ("zstd --ultra", "CPIO | zstd -q --ultra -22 --long=27 >out"),
        ("zstd of a known length", "CPIO >c; zstd -q -19 c -o out; rm c"),
        ("bzip2", "CPIO | bzip2 >out"),
        ("lz4 as kernels take it", "CPIO | lz4 -l -q >out"),
        ("lzop", "CPIO | lzop >out"),
        ("two members", "(CPIO | gzip; head -c 512 /dev/zero; CPIO | gzip) >out"),
        (
            "microcode in front",
            "(CPIO; head -c 512 /dev/zero; CPIO | zstd -q) >out",
        ),
        (
            "of two kinds",
            "(CPIO | gzip; CPIO | xz --check=crc32; head -c 3 /dev/zero) >out",
        ),
        (
            "ext2",
            "truncate -s 200k e; /sbin/mke2fs -q -F e 2>/dev/null; gzip -n <e >out; rm e",
        ),
    ] {
        let image = tool_out(&sim, &script.replace("CPIO", CPIO));
        let path = sim.file("image", &image);
        let run = sim.apply(&["--part", "RootFS1", &path]);
        assert_eq!(run.exit, 0, "{what}: {run:?}");
        assert!(
            sim.flash()[4 * MIB..4 * MIB + image.len()] == image,
            "{what} stays packed"
        );
    }
    // Cut anywhere, or with something else behind.
    for script in [
        "CPIO | gzip -n >out",
        "CPIO | xz --check=crc32 >out",
        "CPIO >out",
        "(CPIO | gzip; CPIO | gzip) >out",
        "CPIO | lz4 -l -q >out",
        "CPIO | lzop >out",
    ] {
        let image = tool_out(&sim, &script.replace("CPIO", CPIO));
        let before = sim.flash();
        for length in [
            image.len() / 3,
            image.len() / 2 + 30,
            image.len() - 700,
            image.len() - 300,
        ] {
            let run = sim.apply(&["--part", "RootFS1", &sim.file("image", &image[..length])]);
            assert!([65, 78].contains(&run.exit), "{script}, {length}: {run:?}");
        }
        let run = sim.apply(&[
            "--part",
            "RootFS1",
            &sim.file("image", &[&image[..], b"something"].concat()),
        ]);
        assert_eq!(run.exit, 65, "{script}: {run:?}");
        assert!(sim.flash() == before, "{script}");
    }
}

/// A build that ran out of room packs half an archive, and all checksums are right; and who makes an initrd on his workstation has
/// the workstation's programs in it.
#[test]
fn an_initial_ramdisk_is_whole_within_its_packing_and_for_this_processor() {
    let sim = SimBox::new("qnap-ts219");
    let judged = |script: &str, exit: i32, says: &str| {
        let path = sim.file("image", &tool_out(&sim, &script.replace("CPIO", CPIO)));
        let run = sim.run("plan", &["--part", "RootFS1", &path]).exits(exit);
        assert!(run.out.contains(says), "{script}: {run:?}");
    };
    for script in [
        "CPIO | head -c 700 | gzip >out",
        "CPIO | head -c 700 | xz --check=crc32 >out",
        "(CPIO | gzip; CPIO | head -c 60 | gzip) >out",
    ] {
        judged(script, 65, "is cut off");
    }
    judged("(CPIO; echo something) | zstd -q >out", 65, "is damaged");
    judged(
        "(cd root; find . | cpio -o -H odc --quiet) | gzip >out",
        65,
        "kernels do not take",
    );
    judged(
        "(CPIO; head -c 300 /dev/zero; CPIO; head -c 3 /dev/zero) | gzip >out",
        0,
        "",
    );
    let program = |place: &str, head: &str| format!("mkdir -p root/{place}; printf '{head}' >root/{place}/sh; ");
    let arm = r"\177ELF\001\001\001\0\0\0\0\0\0\0\0\0\002\0\050\0\001";
    let (x86, big) = (arm.replace("050", "076"), arm.replace(r"ELF\001\001", r"ELF\001\002"));
    let big = big.replace(r"\002\0\050\0", r"\0\002\0\050");
    for packing in ["| gzip", "| xz --check=crc32", "| cat"] {
        let with = |place: &str, head: &str| {
            let clean = "rm -rf root/usr root/bin root/lib";
            format!("{}CPIO {packing} >out; {clean}", program(place, head))
        };
        judged(&with("bin", arm), 0, "");
        judged(&with("usr/bin", &x86), 78, "for x86 processors");
        judged(&with("bin", &big), 78, "for big-endian boxes");
        // Firmware of other chips may be there.
        judged(&with("lib/firmware/bin", &x86), 0, "");
    }
}

/// Programs that pack make more kinds than kernels unpack: a kernel panics on these, whole as they are.
#[test]
fn ramdisks_that_no_kernel_unpacks_are_refused_with_what_makes_others() {
    let sim = SimBox::new("qnap-ts219");
    let extra = r"\037\213\010\004\0\0\0\0\0\003\004\0ab\0\0";
    let comment = r"\037\213\010\020\0\0\0\0\0\003words\0";
    let skipped = r"\120\052\115\030\003\0\0\0abc";
    for (script, says) in [
        (
            "CPIO | xz >out",
            "no kernel unpacks the xz: its checksum is not CRC32; xz --check=crc32",
        ),
        ("CPIO | xz --check=sha256 >out", "xz --check=crc32"),
        ("(CPIO | gzip; CPIO | xz) >out", "xz --check=crc32"),
        (
            &format!("(printf '{extra}'; CPIO | gzip -n | tail -c +11) >out"),
            "gzip -n",
        ),
        (
            &format!("(printf '{comment}'; CPIO | gzip -n | tail -c +11) >out"),
            "gzip -n",
        ),
        (
            &format!("(printf '{skipped}'; CPIO | zstd -q) >out"),
            "a skippable frame",
        ),
        ("CPIO | xz --format=lzma --lzma1=lc=1,lp=2 >out", "lc=3, lp=0, pb=2"),
        ("CPIO | lz4 -q >out", "lz4 -l"),
    ] {
        let path = sim.file("image", &tool_out(&sim, &script.replace("CPIO", CPIO)));
        let before = sim.flash();
        let run = sim.apply(&["--part", "RootFS1", &path]).exits(65);
        assert_eq!(run.json()["code"], "content", "{script}: {run:?}");
        assert!(run.out.contains(says), "{script}: {run:?}");
        assert!(sim.flash() == before, "{script}");
        sim.apply(&["--part", "RootFS1", "--force", "content", &path]).exits(0);
    }
    for script in [
        "CPIO >c; gzip c; mv c.gz out",
        "CPIO | xz --check=none >out",
        "CPIO | xz --format=lzma >out",
    ] {
        let path = sim.file("image", &tool_out(&sim, &script.replace("CPIO", CPIO)));
        sim.apply(&["--part", "RootFS1", &path]).exits(0);
    }
}

#[test]
fn padding_and_members_of_what_is_unpacked() {
    let sim = SimBox::new("qnap-ts219");
    let image = uimage(&sim, &bytes(60_000, 4));
    let plain = read(Path::new(&image));
    let halves = [&plain[..31_000], &plain[31_000..]];
    for (packer, flags) in [("gzip", "-n"), ("xz", "--check=crc32"), ("bzip2", "-9"), ("zstd", "-q")] {
        for zeros in [0, 4, 512, 100_000] {
            let mut packed = Vec::new();
            for half in halves {
                let path = pack(&sim.file("half", half), packer, &["-k", flags]);
                packed.extend(read(Path::new(&path)));
                packed.resize(packed.len() + zeros, 0);
            }
            sim.fill(&vec![0xff; 16 * MIB]);
            let run = sim.apply(&["--part", "Kernel", &sim.file("image", &packed)]);
            assert_eq!(run.exit, 0, "{packer}, {zeros}: {run:?}");
            assert!(
                sim.flash()[2 * MIB..2 * MIB + plain.len()] == plain,
                "{packer}, {zeros}"
            );
            packed.push(b'x');
            sim.apply(&["--part", "Kernel", &sim.file("image", &packed)]).exits(65);
        }
    }
    // lzma has no second member, but may be filled up.
    let mut packed = read(Path::new(&pack(&image, "lzma", &["-k"])));
    packed.resize(packed.len() + 512, 0);
    sim.apply(&["--part", "Kernel", &sim.file("image", &packed)]).exits(0);
    packed.push(b'x');
    sim.apply(&["--part", "Kernel", &sim.file("image", &packed)]).exits(65);
}

/// zstd's skippable frames, in front, between and behind, as pzstd writes them.
#[test]
fn frames_that_are_skipped() {
    let sim = SimBox::new("qnap-ts219");
    let image = uimage(&sim, &bytes(60_000, 5));
    let plain = read(Path::new(&image));
    let frame = |kind: u8, length: usize| {
        let mut frame = vec![0x50 + kind, 0x2a, 0x4d, 0x18];
        frame.extend((length as u32).to_le_bytes());
        frame.extend(bytes(length, 6));
        frame
    };
    let packed: Vec<_> = [&plain[..20_000], &plain[20_000..]]
        .map(|half| read(Path::new(&pack(&sim.file("half", half), "zstd", &["-q", "-k"]))))
        .into();
    let all = [
        frame(0, 4),
        frame(15, 0),
        packed[0].clone(),
        frame(7, 40_000),
        packed[1].clone(),
        frame(1, 9),
    ]
    .concat();
    sim.apply(&["--part", "Kernel", &sim.file("image", &all)]).exits(0);
    assert!(sim.flash()[2 * MIB..2 * MIB + plain.len()] == plain);
    for bad in [
        all[..all.len() - 1].to_vec(),
        all[..all.len() - 12].to_vec(),
        frame(0, 4),
    ] {
        sim.apply(&["--part", "Kernel", &sim.file("image", &bad)]).exits(65);
    }
}

#[test]
fn what_is_replaced_is_told_and_a_ubi_is_not_replaced_unless_forced() {
    let sim = SimBox::changed("thincan", |_| ());
    let squashfs = tool_out(&sim, SQUASHFS);
    let jffs2 = tool_out(&sim, "mkfs.jffs2 -l -n -e 16KiB -r root -o out");
    let ubi = tool_out(
        &sim,
        "printf '[v]\\nmode=ubi\\nvol_id=0\\nvol_type=dynamic\\nvol_name=v\\nvol_size=64KiB\\n' >i; \
         ubinize -o out -p 16KiB -m 512 i",
    );
    let says = |image: &[u8]| {
        let plan = sim
            .run(
                "plan",
                &["--format", "json", "--part", "data", &sim.file("image", image)],
            )
            .json();
        plan["checks"].to_string()
    };
    assert!(!says(&squashfs).contains("replaced"));
    sim.apply(&["--part", "data", &sim.file("image", &squashfs)]).exits(0);
    assert!(!says(&squashfs).contains("replaced"), "it is the same kind");
    assert!(says(&jffs2).contains("holds a squashfs now, which is replaced by a JFFS2"));
    assert!(says(&bytes(9000, 1)).contains("holds a squashfs now, which is replaced by nothing that is known"));
    sim.apply(&["--part", "data", &sim.file("image", &ubi)]).exits(0);
    assert!(!says(&ubi).contains("replaced"));
    let before = sim.flash();
    for image in [&squashfs, &jffs2, &bytes(9000, 1)] {
        let path = sim.file("image", image);
        let run = sim.apply(&["--part", "data", &path]).exits(78);
        assert_eq!(run.json()["code"], "content");
        assert!(run.out.contains("holds a UBI now"), "{run:?}");
        assert!(sim.flash() == before);
    }
    let path = sim.file("image", &squashfs);
    sim.apply(&["--part", "data", "--force", "content", &path]).exits(0);
    assert!(flasher(&["inspect", &path]).out.contains("a squashfs"));
}
