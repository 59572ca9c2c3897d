//! The main job: planned bytes equal the image, every other byte is as it was.

use crate::simbox::{SimBox, bytes, flasher};

const MIB: usize = 1 << 20;

#[test]
fn an_image_over_two_partitions_changes_exactly_its_own_bytes() {
    let sim = SimBox::of_anything("qnap-ts109");
    let before = bytes(8 * MIB, 1);
    sim.fill(&before);
    // Ends in the middle of an erase block of RootFS1.
    let image = bytes(3 * MIB + 12_345, 2);
    let path = sim.file("image", &image);
    let result = sim.apply(&["--part", "Kernel,RootFS1", &path]).exits(0).json();
    assert_eq!(result["harm"], "written");
    assert_eq!(result["erased"], 25);

    let after = sim.flash();
    assert_eq!(after[..image.len()], image[..]);
    assert_eq!(after[image.len()..], before[image.len()..], "neighbours and tail");
    sim.run("verify", &["--part", "Kernel,RootFS1", &path]).exits(0);
}

#[test]
fn the_order_of_part_is_the_order_of_the_image() {
    let sim = SimBox::of_anything("qnap-ts109");
    let image = bytes(2 * MIB, 3);
    let path = sim.file("image", &image);
    // RootFS2 lies behind Kernel on the chip and takes the first MiB of the image here.
    sim.apply(&["--part", "RootFS2,mtd1", &path]).exits(0);
    let flash = sim.flash();
    assert_eq!(flash[6 * MIB..7 * MIB], image[..MIB]);
    assert_eq!(flash[..MIB], image[MIB..]);
}

#[test]
fn a_second_run_finds_nothing_to_do_and_erases_nothing() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 4));
    sim.apply(&["--part", "kernel", &path]).exits(0);
    let result = sim.apply(&["--part", "kernel", &path]).exits(0).json();
    assert_eq!((&result["erased"], &result["harm"]), (&0.into(), &"untouched".into()));
}

#[test]
fn nand_bad_blocks_are_passed_over() {
    let sim = SimBox::new("thincan");
    let chip = sim.path().join("flash.bin");
    // The second and third block of `boot` are bad; what they hold is not ours.
    std::fs::write(chip.with_extension("bin.bad"), "0x4000\n0x8000\n").unwrap();
    let image = bytes(3 * 16384, 5);
    let path = sim.file("image", &image);
    let before = sim.flash();
    sim.apply(&["--part", "boot", &path]).exits(0);
    let after = sim.flash();
    assert_eq!(after[..16384], image[..16384]);
    assert_eq!(
        after[16384..3 * 16384],
        before[16384..3 * 16384],
        "bad blocks are left alone"
    );
    assert_eq!(after[3 * 16384..5 * 16384], image[16384..]);
    sim.run("verify", &["--part", "boot", &path]).exits(0);
}

#[test]
fn the_plan_touches_nothing_and_is_what_apply_does() {
    let sim = SimBox::new("generic");
    let path = sim.file("image", &bytes(MIB, 6));
    sim.fill(&bytes(16 * MIB, 9));
    let before = sim.flash();
    let plan = sim
        .run("plan", &["--format", "json", "--part", "kernel", &path])
        .exits(0)
        .json();
    let dry = sim
        .run("apply", &["-n", "--format", "json", "--part", "kernel", &path])
        .exits(0)
        .json();
    assert_eq!(plan, dry);
    assert_eq!(sim.flash(), before);
    assert_eq!(plan["valid"], true);
    assert_eq!(plan["writes"][0]["erase_blocks"], 16);
    let result = sim.apply(&["--part", "kernel", &path]).exits(0).json();
    assert_eq!(result["erased"], plan["writes"][0]["erase_blocks"]);
}

#[test]
fn what_happened_is_told_afterwards() {
    let sim = SimBox::new("generic");
    let status = || sim.run("status", &["--format", "json"]).exits(0).json();
    assert_eq!(status()["result"], "none");
    let path = sim.file("image", &bytes(MIB, 7));
    sim.apply(&["--part", "kernel", &path]).exits(0);
    let after = status();
    assert_eq!((&after["result"], &after["harm"]), (&"ok".into(), &"written".into()));
    assert_eq!(after["image_sha256"].as_str().unwrap().len(), 64);
    assert!(after["finished"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn an_image_that_names_its_partition_needs_no_part() {
    let sim = SimBox::new("qnap-ts219");
    let kernel = sim.file("payload", &bytes(MIB, 8));
    let image = sim.dir.path().join("uImage");
    let image = image.to_str().unwrap();
    crate::simbox::tool(
        "mkimage",
        &[
            "-A", "arm", "-O", "linux", "-T", "kernel", "-C", "none", "-n", "test", "-d", &kernel, image,
        ],
    );
    let before = sim.flash();
    sim.apply(&[image]).exits(0);
    let content = std::fs::read(image).unwrap();
    let flash = sim.flash();
    assert_eq!(flash[2 * MIB..2 * MIB + content.len()], content[..]);
    assert_eq!(flash[..2 * MIB], before[..2 * MIB]);
}

#[test]
fn a_fresh_directory_is_needed_for_a_new_box() {
    let sim = SimBox::new("generic");
    let again = flasher(&["sim", "create", "generic", sim.path().to_str().unwrap()]).exits(64);
    assert!(again.err.contains("already"), "{again:?}");
}
