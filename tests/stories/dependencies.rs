//! What flasher is made of: every crate comes from the registry or from here, once, under a licence that `deny.toml` allows. The
//! same as `cargo deny check licenses bans sources`, without a program beside cargo.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crates that any target and any feature takes, tests among them.
fn packages() -> Vec<Value> {
    packages_of("Cargo.toml")
}

fn packages_of(manifest: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        // Not offline: nothing was compiled of what only other systems take, so it was not fetched yet.
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--all-features",
            "--manifest-path",
            manifest,
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// What stands in brackets behind `allow =` of deny.toml.
fn allowed() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("allow = ["));
    let words = line.unwrap().trim_end_matches(']').split(", ");
    words.map(|word| word.trim_matches('"').to_owned()).collect()
}

/// Whether an SPDX expression can be fulfilled with these licences: `AND` and `OR`, one level of brackets.
fn is_fulfilled(expression: &str, allowed: &[String]) -> bool {
    let alternatives = |text: &str| {
        text.split(" OR ")
            .any(|word| allowed.iter().any(|known| known == word.trim()))
    };
    expression
        .split(" AND ")
        .all(|part| alternatives(part.trim().trim_start_matches('(').trim_end_matches(')')))
}

/// It is a workspace of its own, which no other test builds.
#[test]
fn the_lock_file_of_what_is_fuzzed_is_of_today() {
    let packages = packages_of("fuzz/Cargo.toml");
    assert!(packages.iter().any(|package| package["name"] == "libfuzzer-sys"));
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let allowed = allowed();
    assert!(is_fulfilled("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
    assert!(!is_fulfilled("GPL-3.0-only", &allowed) && !is_fulfilled("MIT AND GPL-2.0-only", &allowed));
    for package in packages() {
        let license = package["license"].as_str().unwrap_or_default();
        assert!(is_fulfilled(license, &allowed), "{} has {license:?}", package["name"]);
    }
}

#[test]
fn every_crate_is_there_once_and_comes_from_the_registry() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        versions.entry(name.to_owned()).or_default().push(version.to_owned());
        match package["source"].as_str() {
            Some(source) => assert!(source.starts_with("registry+"), "{name} comes from {source}"),
            None => assert!(
                Path::new(package["manifest_path"].as_str().unwrap()).starts_with(root()),
                "{name} lies elsewhere"
            ),
        }
    }
    assert!(versions.len() > 20, "{versions:?}");
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "there twice: {versions:?}");
}
