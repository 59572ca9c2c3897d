//! What lies behind the image's end: nobody's business for most formats, and a danger for those that look at it.

use crate::containers::uimage;
use crate::simbox::{SimBox, bytes, read, tool};
use std::fs;
use std::ops::Range;

/// A JFFS2 of a file, for erase blocks of so many bytes.
fn jffs2(sim: &SimBox, block: usize, content: &[u8]) -> Vec<u8> {
    let [root, out] = ["root", "out"].map(|name| sim.dir.path().join(name));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("file"), content).unwrap();
    let (root, out) = (root.to_str().unwrap(), out.to_str().unwrap());
    tool(
        "mkfs.jffs2",
        &["-l", "-e", &format!("{block:#x}"), "-r", root, "-o", out],
    );
    read(out.as_ref())
}

/// Applies the image to a partition full of old content, and gives back what the chip holds before and after.
fn over_old_content(sim: &SimBox, part: &str, image: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let before = bytes(sim.flash().len(), 7);
    sim.fill(&before);
    let path = sim.file("image", image);
    sim.apply(&["--part", part, &path]).exits(0);
    (before, sim.flash())
}

fn outside(chip: &[u8], range: &Range<usize>) -> [Vec<u8>; 2] {
    [chip[..range.start].to_vec(), chip[range.end..].to_vec()]
}

/// At its mount JFFS2 looks at every block of its partition: old nodes behind the image would bring old files back.
#[test]
fn behind_a_jffs2_its_partition_is_blank_and_nothing_else_is_touched() {
    for (board, part, range, block) in [
        ("qnap-ts109", "RootFS1", 0x20_0000..0x60_0000, 0x2_0000),
        ("thincan", "boot", 0..0x40_0000, 0x4000),
    ] {
        let sim = SimBox::of_anything(board);
        let image = jffs2(&sim, block, &bytes(200_000, 3));
        assert!(!image.len().is_multiple_of(block), "its last block has a rest");
        let path = sim.file("image", &image);
        let plan = sim
            .run("plan", &["--format", "json", "--part", part, &path])
            .exits(0)
            .json();
        let blocks = (range.end - range.start) / block;
        assert_eq!(plan["writes"][0]["erase_blocks"], blocks);
        assert_eq!(plan["writes"][0]["length"], image.len());
        let warns = plan["checks"].as_array().unwrap().iter();
        let warn = warns
            .clone()
            .find(|check| check["status"] == "warn" && check["name"] == "content");
        let text = warn.expect("a warning")["text"].as_str().unwrap();
        assert!(text.contains("made blank behind the jffs2"), "{text}");
        // Of NAND the blocks are counted that the image needs, not those that are made blank.
        for check in warns.filter(|check| check["name"] == "bad-blocks") {
            let spare = blocks - image.len().div_ceil(block);
            assert!(
                check["text"].as_str().unwrap().contains(&format!(" {spare} more")),
                "{check}"
            );
        }

        let (before, after) = over_old_content(&sim, part, &image);
        assert!(after[range.start..][..image.len()] == image[..], "{board}");
        let rest = &after[range.start + image.len()..range.end];
        assert!(rest.iter().all(|byte| *byte == 0xff), "{board}: old content is left");
        assert!(
            outside(&after, &range) == outside(&before, &range),
            "{board}: a neighbour"
        );
        sim.run("verify", &["--part", part, &path]).exits(0);
        let again = sim.apply(&["--part", part, &path]).exits(0).json();
        assert_eq!(again["code"], "nothing-to-do");
        // One byte of an old node behind the end is enough.
        let mut chip = after;
        chip[range.end - 9] = 0;
        sim.fill(&chip);
        sim.run("verify", &["--part", part, &path]).exits(1);
        let result = sim.apply(&["--part", part, &path]).exits(0).json();
        assert_eq!(
            (result["erased"].as_u64(), result["unchanged"].as_u64()),
            (Some(1), Some(blocks as u64 - 1))
        );
        assert_eq!(sim.flash()[range.end - 9], 0xff);
    }
}

/// Images of kernel and root in one file have it at an erase block behind the kernel.
#[test]
fn behind_a_jffs2_or_ubi_that_stands_behind_a_kernel_it_is_blank_as_well() {
    let sim = SimBox::of_anything("qnap-ts109");
    let kernel = uimage(&sim, &bytes(100_000, 1));
    let mut kernel = read(kernel.as_ref());
    kernel.resize(0x2_0000, 0xff);
    let ubinize = "printf '[v]\\nmode=ubi\\nimage=file\\nvol_id=0\\nvol_type=static\\nvol_name=v\\n' >ini; \
                   ubinize -p 128KiB -m 1 -o out ini";
    let ubi = |sim: &SimBox| {
        sim.file("file", &bytes(1000, 3));
        tool("sh", &["-ec", &format!("cd {} && {ubinize}", sim.dir.path().display())]);
        read(&sim.dir.path().join("out"))
    };
    for root in [jffs2(&sim, 0x2_0000, &bytes(200_000, 3)), ubi(&sim)] {
        let image = [&kernel[..], &root].concat();
        let (_, after) = over_old_content(&sim, "RootFS1", &image);
        let part = &after[0x20_0000..0x60_0000];
        assert!(part[..image.len()] == image);
        assert!(
            part[image.len()..].iter().all(|byte| *byte == 0xff),
            "old content is left"
        );
    }
}

#[test]
fn behind_anything_else_the_old_content_stays() {
    let sim = SimBox::of_anything("qnap-ts109");
    let image = bytes(300_000, 5);
    let (mut before, after) = over_old_content(&sim, "RootFS1", &image);
    before[0x20_0000..][..image.len()].copy_from_slice(&image);
    assert!(after == before);
}
