//! Files that one program reads in one way and another in another: an archive with something behind its end, a header whose lines
//! are not its records, metadata behind which somebody put padding.

use crate::formats::{metadata, trailer};
use crate::simbox::{SimBox, bytes, read, tool};
use std::fs;

const BLOCK: usize = 512;

/// An archive of OpenWrt's for a board `test`, by tar with these flags, and its members.
fn archive(sim: &SimBox, flags: &[&str]) -> Vec<u8> {
    let root = sim.dir.path().join("root");
    let inside = root.join("sysupgrade-test");
    fs::create_dir_all(&inside).unwrap();
    if !inside.join("CONTROL").exists() {
        fs::write(inside.join("CONTROL"), "BOARD=test\n").unwrap();
    }
    fs::write(inside.join("kernel"), bytes(10_000, 3)).unwrap();
    let out = sim.dir.path().join("tar");
    let fixed = ["-cf", out.to_str().unwrap(), "-C", root.to_str().unwrap()];
    tool("tar", &[flags, &fixed, &["sysupgrade-test"]].concat());
    read(&out)
}

/// Its bytes up to the blocks of zeros at its end.
fn without_end(archive: &[u8]) -> &[u8] {
    let end = archive.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    &archive[..end.next_multiple_of(BLOCK)]
}

fn sim() -> SimBox {
    SimBox::changed("generic", |profile| profile["openwrt"] = serde_json::json!(["test"]))
}

#[test]
fn nothing_but_padding_stands_behind_the_end_of_an_archive() {
    let sim = sim();
    let whole = archive(&sim, &[]);
    let before = sim.flash();
    for (behind, name) in [
        (whole.clone(), "a second archive"),
        (b"<html>504 Gateway Timeout</html>".to_vec(), "a page"),
        (bytes(3000, 7), "something else"),
    ] {
        let image = sim.file("image", &[&whole[..], &behind].concat());
        let run = sim.apply(&[&image]).exits(65);
        assert!(run.out.contains("behind the end of the tar, at 0x"), "{name}: {run:?}");
    }
    // busybox's tar goes on behind a single block of zeros, GNU's does not.
    let image = [without_end(&whole), &[0; BLOCK], &whole].concat();
    let run = sim.apply(&[&sim.file("image", &image)]).exits(65);
    assert!(run.out.contains("behind the end of the tar"), "{run:?}");
    assert!(sim.flash() == before);

    for padding in [0, 0xff] {
        let mut image = whole.clone();
        image.resize(image.len() + 70_000, padding);
        sim.apply(&[&sim.file("image", &image)]).exits(0);
    }
}

#[test]
fn a_line_within_a_comment_of_an_archive_is_no_name() {
    let sim = sim();
    // `kernel` by its own header, and `path=` only as the second line of a comment.
    let comment = "--pax-option=comment:=a\n36 path=sysupgrade-test/rootfs_data";
    let image = archive(&sim, &["--format=posix", comment]);
    sim.apply(&[&sim.file("image", &image)]).exits(0);
    assert_eq!(&sim.flash()[kernel_at(&sim)..][..10_000], &bytes(10_000, 3));

    // Attributes may be longer than names.
    let long = format!("--pax-option=SCHILY.xattr.user.note:={}", "x".repeat(9000));
    let image = archive(&sim, &["--format=posix", &long]);
    sim.apply(&[&sim.file("image", &image)]).exits(0);
}

/// Where the partition for the kernel begins.
fn kernel_at(sim: &SimBox) -> usize {
    let profile: serde_json::Value = serde_json::from_slice(&read(&sim.path().join("board.json"))).unwrap();
    let partitions = profile["partitions"].as_array().unwrap();
    let kernel = partitions
        .iter()
        .find(|partition| partition["name"] == "kernel")
        .unwrap();
    kernel["offset"].as_u64().unwrap() as usize
}

#[test]
fn every_board_that_control_names_counts_however_it_is_written() {
    let sim = sim();
    let inside = sim.dir.path().join("root/sysupgrade-test");
    fs::create_dir_all(&inside).unwrap();
    let long = format!("{}\nBOARD=other\n", "#".repeat(5000));
    for (control, says) in [
        ("BOARD=test\nBOARD=other\n", "its CONTROL for \\\"other\\\""),
        ("BOARD = other\r\n", "its CONTROL for \\\"other\\\""),
        (&long, "the CONTROL of the sysupgrade archive is too long"),
    ] {
        fs::write(inside.join("CONTROL"), control).unwrap();
        let run = sim.apply(&[&sim.file("image", &archive(&sim, &[]))]).exits(65);
        assert!(run.out.contains(says), "{control}: {run:?}");
    }
    fs::write(inside.join("CONTROL"), " BOARD = \"test\" \r\n").unwrap();
    sim.apply(&[&sim.file("image", &archive(&sim, &[]))]).exits(0);
}

#[test]
fn padding_does_not_hide_for_which_box_an_image_is() {
    let sim = sim();
    let before = sim.flash();
    let mut image = bytes(40_000, 5);
    metadata(&mut image, "\"another,box\"", "1.0");
    let whole = image.len();
    for (padding, more) in [(0, 40), (0, 100), (0xff, 512), (0xff, 200_000)] {
        image.truncate(whole);
        image.resize(whole + more, padding);
        let packed = sim.file("packed", &image);
        let packed = tool("gzip", &["-nc", &packed]).stdout;
        for (image, name) in [(&image, "as it is"), (&packed, "packed")] {
            // What is packed is looked at as far back as padding to an erase block goes.
            if name == "packed" && more > 65_000 {
                continue;
            }
            let run = sim.apply(&["--part", "kernel", &sim.file("image", image)]).exits(65);
            let says = format!("without it the file has {whole} bytes");
            assert!(run.out.contains(&says), "{name}, {more} of {padding}: {run:?}");
        }
    }
    assert!(sim.flash() == before);
    // A copy of a partition may have it, where an image was once written with its trailer.
    sim.apply(&["--as-is", "--part", "kernel", &sim.file("image", &image)])
        .exits(0);

    // Metadata that name no box.
    let mut image = bytes(40_000, 6);
    trailer(
        &mut image,
        1,
        &[&[0; 8], &br#"{"metadata_version":"1.1"}"#[..]].concat(),
    );
    let run = sim.apply(&["--part", "kernel", &sim.file("image", &image)]).exits(78);
    assert!(run.out.contains("the image is for no box that it names"), "{run:?}");
}
