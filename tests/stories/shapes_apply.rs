//! The shapes of `shapes` once more: what a plan refuses `apply` refuses too, by the same checks and before it opens the flash.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, M, NEW, OLD, TS219, WHOLE, with};
use crate::simbox::{bytes, is_root};
use serde_json::Value;
use std::fs;

/// A box, what is typed as `--part`, and the check that refuses it.
type Shape = (&'static str, FakeBox, &'static [(&'static str, &'static str)]);

fn whole_chip() -> [Shape; 2] {
    let beside = FakeBox::new(NEW, &with(WHOLE, &TS219)).hardware("QNAP TS-119/TS-219");
    let above = FakeBox::new(
        NEW,
        &[
            mtd(0, "bmc", 32 * M, 0).anywhere(),
            mtd(1, "kernel", 2 * M, 512 * K).in_parent(0),
            mtd(2, "rofs", 24 * M, 4 * M).in_parent(0),
        ],
    );
    [
        (
            "the whole chip beside its partitions",
            beside.mounted("mtdblock0"),
            &[("spi0.0", "bootloader"), ("mtd0", "bootloader"), ("Kernel", "holders")],
        ),
        (
            "the whole chip as their parent",
            above.mounted("mtdblock2"),
            &[("bmc", "holders"), ("rofs", "holders")],
        ),
    ]
}

fn nested() -> [Shape; 2] {
    let parts = [
        mtd(0, "boot", 256 * K, 0),
        mtd(1, "firmware", 8 * M, 256 * K),
        mtd(2, "kernel", 2 * M, 0).in_parent(1),
        mtd(3, "rootfs", 6 * M, 2 * M).in_parent(1),
        mtd(4, "rootfs_data", 3 * M, 3 * M).in_parent(3),
    ];
    [
        (
            "three levels deep",
            FakeBox::new(NEW, &parts).mounted("mtdblock4"),
            &[
                ("firmware", "holders"),
                ("rootfs", "holders"),
                ("rootfs_data", "holders"),
            ],
        ),
        (
            "an UBI in a nested partition",
            FakeBox::new(NEW, &parts).ubi(4, "data"),
            &[
                ("firmware", "holders"),
                ("rootfs", "holders"),
                ("rootfs_data", "holders"),
            ],
        ),
    ]
}

fn side_by_side() -> [Shape; 3] {
    let second = "platform/soc/spi1.0";
    let chips = [
        mtd(0, "linux", 256 * K, 0),
        mtd(1, "fw-a", 4 * M, 256 * K),
        mtd(2, "fw-b", 8 * M, 0).on(second),
    ];
    let joined = mtd(3, "joined", 12 * M, 0).anywhere().on("platform/virtual_flash");
    let concat = [chips[0], chips[1], chips[2], joined];
    let twins = [mtd(0, "twin", M, 0), mtd(1, "twin", M, 0).on(second)];
    [
        (
            "two chips",
            FakeBox::new(NEW, &chips).mounted("mtdblock2"),
            &[("fw-b", "holders"), ("mtd2", "holders")],
        ),
        (
            "a concatenation",
            FakeBox::new(NEW, &concat).mounted("mtdblock3"),
            &[("joined", "holders"), ("fw-a", "holders"), ("fw-b", "holders")],
        ),
        (
            "two of one name",
            FakeBox::new(NEW, &twins).mounted("mtdblock1"),
            &[("twin", "partition"), ("mtd1", "holders")],
        ),
    ]
}

fn not_told() -> [Shape; 2] {
    let parts = [
        mtd(0, "kernel", M, 0).anywhere(),
        mtd(1, "rootfs", 6 * M, 0).anywhere(),
        mtd(2, "rootfs_data", 4 * M, 0).anywhere(),
        mtd(3, "firmware", 7 * M, 0).anywhere(),
    ];
    [
        (
            "no offsets",
            FakeBox::new(OLD, &parts).mounted("mtdblock2"),
            &[("kernel", "holders"), ("rootfs", "holders"), ("firmware", "holders")],
        ),
        (
            "no sysfs",
            FakeBox::new(OLD, &parts).without_sysfs().mounted("mtdblock2"),
            &[("kernel", "writable"), ("firmware", "writable")],
        ),
    ]
}

/// The checks that failed, and whether that of the holders names what is mounted or attached.
fn failed<'a>(checks: impl Iterator<Item = &'a Value>, fake: &FakeBox) -> Vec<(&'a str, bool)> {
    checks
        .filter(|check| check["status"] == "fail")
        .map(|check| {
            let text = check["text"].as_str().unwrap();
            let held = text.contains(&fake.mount_point()) || text.contains("ubi0 attached to mtd4");
            (check["name"].as_str().unwrap(), held)
        })
        .collect()
}

#[test]
fn what_a_plan_refuses_apply_refuses() {
    if !is_root() {
        return;
    }
    let image = tempfile::NamedTempFile::new().unwrap();
    fs::write(image.path(), bytes(1000, 1)).unwrap();
    let image = image.path().to_str().unwrap();
    let shapes = whole_chip()
        .into_iter()
        .chain(nested())
        .chain(side_by_side())
        .chain(not_told());
    for (shape, fake, refused) in shapes {
        for (part, check) in refused {
            let words = [
                "--in-place",
                "--force=content",
                "--format",
                "json",
                "--part",
                part,
                image,
            ];
            let plan = fake.run(&[&["plan"], &words[..]].concat()).exits(78).json();
            let plan = failed(plan["checks"].as_array().unwrap().iter(), &fake);
            assert!(
                plan.contains(&(check, *check == "holders")),
                "{shape}, {part}: {plan:?}"
            );
            let run = fake.run(&[&["apply", "-y"], &words[..]].concat()).exits(78);
            let events = run.events();
            let checks = events.iter().filter(|event| event["event"] == "check");
            assert_eq!(failed(checks, &fake), plan, "{shape}, {part}: {run:?}");
            let result = events.last().unwrap();
            assert_eq!((&result["harm"], &result["erased"]), (&"untouched".into(), &0.into()));
            assert_eq!(result["code"], plan[0].0, "{shape}, {part}: {run:?}");
        }
    }
}
