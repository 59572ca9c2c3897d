//! What is protected is protected by its bytes: a simulated box whose profile lets partitions overlap refuses as a plan says.

use crate::simbox::{SimBox, bytes};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;
const BLOCK: u64 = 256 << 10;

/// A TS-219 with one more partition over these bytes of its chip.
fn window(offset: u64, size: u64) -> SimBox {
    SimBox::changed("qnap-ts219", |profile| {
        let window = json!({"mtd": 6, "name": "window", "offset": offset, "size": size});
        profile["partitions"].as_array_mut().unwrap().push(window);
    })
}

/// The names of the checks that failed.
fn failed(plan: &Value) -> Vec<&str> {
    let checks = plan["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["status"] == "fail");
    failed.map(|check| check["name"].as_str().unwrap()).collect()
}

#[test]
fn the_boot_loader_is_refused_through_the_whole_chip() {
    let sim = window(0, 16 * MIB as u64);
    let image = sim.file("image", &bytes(16 * MIB, 1));
    let before = sim.flash();
    let result = sim.apply(&["--part", "window", &image]).exits(78).json();
    assert_eq!(
        (&result["code"], &result["harm"]),
        (&"bootloader".into(), &"untouched".into())
    );
    assert!(sim.flash() == before);
    // Forcing one of two is not enough.
    let force = |checks: &str| {
        sim.run(
            "plan",
            &["--format", "json", "--part", "window", "--force", checks, &image],
        )
    };
    assert_eq!(failed(&force("bootloader").json())[0], "settings");
    assert_eq!(failed(&force("settings").json())[0], "bootloader");
    let text = sim.run("devices", &[]).exits(0).out;
    let line = text.lines().find(|line| line.contains("window")).unwrap();
    for part in [
        "mtd0 \"U-Boot\" (bootloader)",
        "mtd4 \"U-Boot Config\" (settings)",
        "mtd5 \"NAS Config\" (settings)",
    ] {
        assert!(line.contains(&format!("contains {part}: kept unless forced")), "{text}");
    }
}

/// Each window against the truth of the board: the boot loader in the first two erase blocks, settings in the next six.
#[test]
fn a_window_is_refused_exactly_where_it_reaches_what_is_protected() {
    for (first, last) in [
        (0, 1),
        (1, 2),
        (1, 3),
        (2, 3),
        (2, 8),
        (7, 8),
        (7, 9),
        (8, 9),
        (8, 64),
        (0, 64),
    ] {
        let sim = window(first * BLOCK, (last - first) * BLOCK);
        let image = sim.file("image", &bytes(((last - first) * BLOCK) as usize, 2));
        let (loader, settings) = (first < 2, first < 8 && last > 2);
        let wanted: Vec<_> = [(loader, "bootloader"), (settings, "settings")]
            .into_iter()
            .filter_map(|(hit, name)| hit.then_some(name))
            .collect();
        let plan = |more: &[&str]| {
            let mut args = vec!["--format", "json", "--part", "window"];
            args.extend(more);
            args.push(&image);
            sim.run("plan", &args).json()
        };
        let refused = plan(&[]);
        let seen: Vec<_> = failed(&refused)
            .into_iter()
            .filter(|name| ["bootloader", "settings"].contains(name))
            .collect();
        assert_eq!(seen, wanted, "{first}..{last}");
        assert_eq!(refused["valid"], wanted.is_empty());
        let devices = sim.run("devices", &["--format", "json"]).exits(0).json();
        assert_eq!(devices["partitions"][6]["keep"].as_str(), wanted.first().copied());
        // A new boot loader needs its checksum and a copy of the old one besides.
        if !loader {
            assert_eq!(plan(&["--force", "settings"])["valid"], true, "{first}..{last}");
        }
    }
}

/// One byte in an erase block is all of the erase block.
#[test]
fn a_write_that_ends_within_an_erase_block_reaches_all_of_it() {
    let sim = SimBox::changed("qnap-ts109", |profile| {
        // The last erase block of RootFS2, and the first of NAS Config.
        let window = json!({"mtd": 6, "name": "window", "offset": 0x6e_0000, "size": 0x4_0000});
        profile["partitions"].as_array_mut().unwrap().push(window);
    });
    for (length, valid) in [(0x2_0000, true), (0x2_0001, false)] {
        let image = sim.file("image", &bytes(length, 3));
        let plan = sim
            .run("plan", &["--format", "json", "--part", "window", &image])
            .json();
        assert_eq!(plan["valid"], valid, "{length}");
        assert_eq!(failed(&plan).contains(&"settings"), !valid);
    }
}
