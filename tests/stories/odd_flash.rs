//! Flash that is damaged, hostile or new to us in the kernel's own words: it is listed where it can be, and not written.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, M, NEW};
use crate::simbox::is_root;

/// What is neither NOR nor NAND, or does not say, would be written as if it had no bad blocks.
#[test]
fn flash_of_a_kind_that_is_not_known_is_not_written() {
    if !is_root() {
        return;
    }
    let first = mtd(0, "kernel", M, 0);
    let path = "devices/platform/soc/spi0.0/mtd/mtd0/type";
    for (kind, refused) in [("nor", false), ("phase-change", true), ("", true)] {
        let plan = FakeBox::new(NEW, &[first]).sys(path, kind).plan("kernel", &[]);
        assert_eq!(plan.refused().contains(&"writable"), refused, "{kind}: {}", plan.json);
        assert!(
            !refused || plan.says("writable").contains("what kind of flash"),
            "{kind}"
        );
    }
}

#[test]
fn sizes_that_make_no_sense_are_shown_and_refused() {
    if !is_root() {
        return;
    }
    let odd = FakeBox::new(
        NEW,
        &[
            mtd(0, "kernel", 512 * K, 0),
            mtd(1, "out of reach", 0, 0),
            mtd(2, "no erase size", M, M).erase_size(0),
            mtd(3, "odd", M + 4096, 2 * M),
        ],
    );
    let devices = odd.devices();
    assert_eq!(devices.json["partitions"].as_array().unwrap().len(), 4);
    assert_eq!(devices.place("mtd1").2, [""; 0], "what is empty shares nothing");
    assert!(odd.plan("kernel", &[]).refused().is_empty());
    for (part, check) in [
        ("mtd1", "size"),
        ("mtd2", "aligned"),
        ("mtd2", "writable"),
        ("odd", "aligned"),
    ] {
        let plan = odd.plan(part, &[]);
        assert!(plan.refused().contains(&check), "{part}: {}", plan.json);
    }
    let path = "devices/platform/soc/spi0.0/mtd/mtd0/writesize";
    for (page, refused) in [("0", true), ("131072", true), ("3", true), ("256", false)] {
        let kernel = FakeBox::new(NEW, &[mtd(0, "kernel", 512 * K, 0)]).sys(path, page);
        let plan = kernel.plan("kernel", &[]);
        assert_eq!(plan.refused().contains(&"writable"), refused, "{page}: {}", plan.json);
        let told = plan
            .says("writable")
            .contains(&format!("erase blocks of 65536 and pages of {page} bytes"));
        assert_eq!(told, refused, "{page}: {}", plan.json);
    }
}

/// One of the two is wrong, and we would write by it.
#[test]
fn a_box_whose_lists_contradict_each_other_is_refused() {
    if !is_root() {
        return;
    }
    let listed = "dev:    size   erasesize  name\nmtd0: 00100000 00010000 \"kernel\"\n";
    let odd =
        |size: u64, more: &str| FakeBox::new(NEW, &[mtd(0, "kernel", size, 0)]).proc("mtd", &format!("{listed}{more}"));
    odd(M, "").run(&["devices"]).exits(0);
    let other = "mtd1: 00100000 00010000 \"rootfs\"\n";
    for (shown, device) in [(odd(2 * M, ""), "mtd0 \"kernel\""), (odd(M, other), "mtd1")] {
        let run = shown.run(&["devices"]).exits(71);
        let told = format!("list {device}: /proc/mtd and sysfs do not say the same of it");
        assert!(run.err.contains(&told), "{run:?}");
        assert!(run.err.contains("next:  compare cat /proc/mtd with"), "{run:?}");
    }
    let size = 1 << 63;
    let hostile = FakeBox::new(NEW, &[mtd(0, "kernel", size, 0)])
        .run(&["devices"])
        .exits(71);
    assert!(
        hostile
            .err
            .contains("mtd0 \"kernel\": 140737488355328 erase blocks are more"),
        "{hostile:?}"
    );
}
