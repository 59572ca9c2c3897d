//! `docs/porting.md`, followed word for word on a box that is not recognised.

use crate::fakebox::{FakeBox, mtd};
use crate::shapes::{K, NEW};
use crate::simbox::{flasher, is_root, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/porting.md")).unwrap()
}

/// What stands in the page's only fence of that kind.
fn fence(kind: &str) -> String {
    let page = page();
    let parts: Vec<_> = page.split(&format!("\n```{kind}\n")).collect();
    assert_eq!(parts.len(), 2, "{kind}");
    parts[1].split("\n```").next().unwrap().to_owned()
}

/// The partitions as OpenWrt's `ar9330_glinet_gl-ar150.dts` has them.
fn router() -> FakeBox {
    let parts = [
        mtd(0, "u-boot", 0x40000, 0).read_only(),
        mtd(1, "u-boot-env", 0x10000, 0x40000),
        mtd(2, "firmware", 0xfa0000, 0x50000),
        mtd(3, "art", 0x10000, 0xff0000).read_only(),
    ];
    FakeBox::new(NEW, &parts)
        .proc("device-tree/model", "GL.iNet GL-AR150\0")
        .proc("device-tree/compatible", "glinet,gl-ar150\0qca,ar9330\0")
}

/// Every number of bytes as a number.
fn bytes(value: &Value) -> u64 {
    let text = value.as_str().unwrap();
    match (text.strip_prefix("0x"), text.strip_suffix('K'), text.strip_suffix('M')) {
        (Some(hex), ..) => u64::from_str_radix(hex, 16).unwrap(),
        (_, Some(kib), _) => kib.parse::<u64>().unwrap() * K,
        (.., Some(mib)) => mib.parse::<u64>().unwrap() * K * K,
        _ => text.parse().unwrap(),
    }
}

#[test]
fn the_draft_is_what_the_page_begins_with() {
    if !is_root() {
        return;
    }
    let draft: Value = serde_json::from_str(&router().run(&["devices", "--profile"]).exits(0).out).unwrap();
    let done: Value = serde_json::from_str(&fence("json")).unwrap();
    assert_eq!(bytes(&draft["chip"]["size"]), bytes(&done["chip"]["size"]));
    assert_eq!(bytes(&draft["chip"]["erase_size"]), bytes(&done["chip"]["erase_size"]));
    let pairs = draft["partitions"].as_array().unwrap().iter();
    let pairs = pairs.zip(done["partitions"].as_array().unwrap());
    assert_eq!(pairs.len(), 4);
    for (draft, done) in pairs {
        for field in ["mtd", "name", "read_only", "keep"] {
            assert_eq!(draft[field], done[field], "{draft}");
        }
        for field in ["offset", "size"] {
            assert_eq!(bytes(&draft[field]), bytes(&done[field]), "{draft}");
        }
    }
    for sign in done["signs"]["compatible"].as_array().unwrap() {
        assert!(
            draft["signs"]["compatible"].as_array().unwrap().contains(sign),
            "{draft}"
        );
    }
    // The box takes the profile, and then protects what it protects.
    let text = fence("json")
        .replace("\"arch\": \"mips\"", "\"arch\": \"x86\"")
        .replace("\"big\"", "\"little\"");
    let known = router().etc("flasher/board.json", text.as_bytes());
    assert_eq!(known.devices().json["board"], "gl-ar150");
    assert!(known.plan("art", &[]).refused().contains(&"settings"));
}

#[test]
fn the_commands_do_on_a_simulated_box_what_the_page_says() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::write(at("my.json"), fence("json")).unwrap();
    fs::write(at("kernel"), crate::simbox::bytes(0x180000, 7)).unwrap();
    let image = |arch: &str, name: &str| {
        let flags = [
            "-A",
            arch,
            "-O",
            "linux",
            "-T",
            "kernel",
            "-C",
            "none",
            "-n",
            "OpenWrt",
            "-d",
            &at("kernel"),
            &at(name),
        ];
        tool("mkimage", &flags);
    };
    image("mips", "image.bin");
    let program = Path::new(env!("CARGO_BIN_EXE_flasher")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .args(["-ec", &fence("sh")])
        .current_dir(dir.path())
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let flash = fs::read(at("box/flash.bin")).unwrap();
    let written = fs::read(at("image.bin")).unwrap();
    assert!(flash[0x50000..][..written.len()] == written);

    // What must not work.
    image("arm", "foreign.bin");
    fs::write(at("cut.bin"), &written[..written.len() / 2]).unwrap();
    for (name, part) in [("foreign.bin", None), ("cut.bin", None), ("image.bin", Some("u-boot"))] {
        let mut words = vec!["apply".to_owned(), "-y".into(), "--sim".into(), at("box")];
        words.extend(part.map(|part| format!("--part={part}")));
        words.push(at(name));
        let run = flasher(&words);
        assert!([65, 78].contains(&run.exit), "{name}: {run:?}");
        assert!(fs::read(at("box/flash.bin")).unwrap() == flash, "{name}");
    }
    let devices = flasher(&["devices", "--format", "json", "--sim", &at("box")])
        .exits(0)
        .json();
    assert_eq!(devices["board"], json!("gl-ar150"));
}
