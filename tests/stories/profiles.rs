//! Profiles of users: drafted by `devices --profile`, found by themselves, and told where they are wrong.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, M, NEW, OLD};
use crate::simbox::{SimBox, bytes, flasher, is_root};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn router() -> FakeBox {
    let parts = [
        mtd(0, "u-boot", 192 * K, 0).read_only(),
        mtd(1, "u-boot-env", 64 * K, 192 * K),
        mtd(2, "factory", 64 * K, 256 * K),
        mtd(3, "firmware", 8000 * K, 320 * K),
        mtd(4, "data", 8064 * K, 8320 * K),
        mtd(5, "other", M, 0).on("platform/soc/spi1.0"),
    ];
    FakeBox::new(NEW, &parts).hardware("Vendor My Router v2")
}

/// A draft is a profile that can be used as it is where everything is known.
#[test]
fn a_draft_is_a_profile_of_the_box() {
    if !is_root() {
        return;
    }
    let run = router().run(&["devices", "--profile"]).exits(0);
    let profile: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(profile["id"], "vendor-my-router-v2");
    assert_eq!(profile["signs"]["machine"], json!(["Vendor My Router v2"]));
    assert_eq!(
        profile["chip"],
        json!({"kind": "nor", "size": "16M", "erase_size": "64K"})
    );
    assert!(profile["cpu"]["arch"].is_string() && profile["ram"].is_string());
    let parts = profile["partitions"].as_array().unwrap();
    assert_eq!(
        parts[0],
        json!({"mtd": 0, "name": "u-boot", "offset": "0x0", "size": "192K", "read_only": true, "keep": "bootloader"})
    );
    assert_eq!(
        (&parts[1]["keep"], &parts[2]["keep"]),
        (&"settings".into(), &"settings".into())
    );
    assert_eq!(
        parts[3],
        json!({"mtd": 3, "name": "firmware", "offset": "0x50000", "size": "8000K"})
    );
    assert_eq!(parts.len(), 5);
    assert!(run.err.contains("without mtd5 \"other\""), "{run:?}");

    // It makes a simulated box, and the box itself takes it, found by itself.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.json");
    fs::write(&file, &run.out).unwrap();
    let sim = SimBox::new(file.to_str().unwrap());
    assert_eq!(sim.flash().len(), 16 << 20);
    let known = router().etc("flasher/board.json", run.out.as_bytes());
    let devices = known.devices();
    assert_eq!(devices.json["board"], "vendor-my-router-v2");
    assert!(known.plan("u-boot-env", &[]).refused().contains(&"settings"));
    assert!(known.plan("firmware", &[]).refused().is_empty());
    let generic = known
        .run(&["devices", "--format", "json", "--board", "generic"])
        .exits(0)
        .json();
    assert_eq!(generic["board"], "generic", "--board stands above it");
}

/// A box with the partitions of each built-in board drafts a profile with which it is what it was; and one whose partitions end
/// within erase blocks does.
#[test]
fn the_draft_of_any_box_is_taken_by_that_box() {
    if !is_root() {
        return;
    }
    let number = |value: &Value| -> u64 {
        let text = value.as_str().unwrap_or_default();
        value
            .as_u64()
            .or_else(|| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok())
            .or_else(|| Some(text.strip_suffix('K')?.parse::<u64>().ok()? << 10))
            .or_else(|| Some(text.strip_suffix('M')?.parse::<u64>().ok()? << 20))
            .unwrap()
    };
    let odd = vec![
        mtd(0, "u-boot", 192 * K, 0),
        mtd(1, "kernel", 1_300_000, 192 * K),
        mtd(2, "rootfs", 4 * M - 192 * K - 1_300_000, 192 * K + 1_300_000),
    ];
    let mut boxes = vec![odd];
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/board/profiles");
    for entry in fs::read_dir(dir).unwrap() {
        let profile: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let parts = profile["partitions"].as_array().unwrap().iter();
        let fixed = parts.filter(|part| part["moves"] != true);
        let made = fixed.map(|part| {
            let name: &'static str = part["name"].as_str().unwrap().to_owned().leak();
            let index = part["mtd"].as_u64().unwrap() as u32;
            mtd(index, name, number(&part["size"]), number(&part["offset"]))
                .erase_size(number(&profile["chip"]["erase_size"]) as u32)
        });
        let made: Vec<_> = made.collect();
        // The partitions of a ThinCan are others on each.
        boxes.extend((!made.is_empty()).then_some(made));
    }
    assert!(boxes.len() > 20);
    for parts in boxes {
        let shown = |fake: &FakeBox| -> Vec<Value> {
            let devices = fake.run(&["devices", "--format", "json"]).exits(0).json();
            let all = devices["partitions"].as_array().unwrap().clone();
            let one = |part: &Value| {
                json!([
                    part["mtd"],
                    part["name"],
                    part["offset"],
                    part["keep"],
                    part["overlaps"]
                ])
            };
            all.iter().map(one).collect()
        };
        let fake = FakeBox::new(NEW, &parts);
        let draft = fake.run(&["devices", "--profile"]).exits(0).out;
        let known = FakeBox::new(NEW, &parts).etc("flasher/board.json", draft.as_bytes());
        assert_eq!(shown(&known), shown(&fake), "{draft}");
    }
}

/// What decides what is protected is root's, and fits the box, or is refused.
#[test]
fn a_profile_that_is_found_by_itself_must_be_roots_and_fit() {
    if !is_root() {
        return;
    }
    let text = router().run(&["devices", "--profile"]).exits(0).out;
    for (content, mode, word) in [
        (text.clone(), 0o666, "root"),
        (
            text.replace("8000K", "7936K"),
            0o644,
            "partition \"firmware\" is not as there",
        ),
        ("{".to_owned(), 0o644, "line 1 column"),
    ] {
        let fake = router().etc("flasher/board.json", content.as_bytes());
        let path = fake.etc_path("flasher/board.json");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let run = fake.run(&["devices"]);
        assert!(run.err.contains(word) && run.out.is_empty(), "{word}: {run:?}");
        fake.run(&["devices", "--board", "generic"]).exits(0);
    }
}

/// What is not known has to be filled in: the draft of an old kernel's box is none that is taken.
#[test]
fn what_a_draft_does_not_know_has_to_be_filled_in() {
    if !is_root() {
        return;
    }
    let parts = [
        mtd(0, "boot", 192 * K, 0).anywhere(),
        mtd(1, "system", 4 * M, 0).anywhere(),
        mtd(2, "inner", M, 0).anywhere(),
    ];
    let old = FakeBox::new(OLD, &parts);
    let text = old.run(&["devices", "--profile"]).exits(0).out;
    assert!(text.contains("\"offset\": \"?\""), "{text}");
    let run = old
        .etc("flasher/board.json", text.as_bytes())
        .run(&["devices"])
        .exits(64);
    assert!(
        run.err.contains("a number of bytes") && run.err.contains("line "),
        "{run:?}"
    );
}

/// Each mistake with the line and the column where it stands.
#[test]
fn what_is_wrong_in_a_profile_is_told_with_its_place() {
    let good = r#"{
  "id": "mine", "name": "a box",
  "chip": { "kind": "nor", "size": "1M", "erase_size": "64K" },
  "ram": "64M",
  "partitions": [
    { "mtd": 0, "name": "boot", "offset": 0, "size": "128K" },
    { "mtd": 1, "name": "system", "offset": "0x20000", "size": 917504 }
  ],
  "accepts": [{ "format": "raw", "parts": ["system"] }]
}
"#;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.json");
    for (from, to, what, place) in [
        ("\"128K\"", "\"100K\"", "not a multiple of 0x10000", "line 6 column 25"),
        ("\"0x20000\"", "\"0x1f000\"", "not a multiple of", "line 7 column 25"),
        ("917504", "9175040", "does not lie on the chip", "line 7 column 25"),
        ("\"raw\"", "\"row\"", "\"row\" is none of", "line 9 column"),
        ("\"raw\", ", "\"raw\", \"role\": \"kernl\", ", "kernl", "line 9 column"),
        (
            "[\"system\"] }",
            "[\"sistem\"] }",
            "there is no partition \"sistem\"",
            "line 9 column 44",
        ),
        ("\"128K\"", "\"128X\"", "a number of bytes", "line 6 column"),
        ("\"ram\"", "\"rum\"", "rum", "line 4 column"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        fs::write(&file, bad).unwrap();
        let run = flasher(&["sim", "create", file.to_str().unwrap(), "/nonexistent/x"]).exits(64);
        assert!(
            run.err.contains(what) && run.err.contains(place),
            "{what}, {place}: {run:?}"
        );
    }
    // A raw image that the profile knows the place of.
    fs::write(&file, good).unwrap();
    let sim = SimBox::new(file.to_str().unwrap());
    let content = bytes(100_000, 1);
    let image = sim.file("image", &content);
    sim.apply(&[&image]).exits(0);
    assert!(sim.flash()[0x2_0000..][..content.len()] == content);
}

/// The schema knows every word of the built-in profiles.
#[test]
fn the_schema_describes_the_built_in_profiles() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(root.join("docs/board.schema.json")).unwrap()).unwrap();
    for entry in fs::read_dir(root.join("src/board/profiles")).unwrap() {
        let path = entry.unwrap().path();
        let profile: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        valid(&profile, &schema, &schema, &path.display().to_string());
    }
}

/// As much of JSON Schema as ours has.
fn valid(value: &Value, schema: &Value, root: &Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    if let Some(object) = value.as_object() {
        for (name, value) in object {
            let property = &schema["properties"][name];
            assert!(!property.is_null(), "{at}: no {name} in the schema");
            valid(value, property, root, &format!("{at}/{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        valid(item, &schema["items"], root, &format!("{at}/{index}"));
    }
}
