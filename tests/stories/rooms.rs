//! The code flows one way: a room imports only what stands below it, and the crates below know nothing of the product. What
//! travels together is a struct, not a tuple.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src` from the ground up, as `docs/design.md` has them. Rooms of one line do not import each other, but for
/// what is said behind them.
const ROOMS: &[&str] = &[
    "base", "board", "bytes", "image", "plan", "recovery", "flash", "layout", "keep", "record", "report", "checks",
    "cli", "env", "slots", "update", "poll", "host", "cmd", "fuzz", "main",
];

/// Rooms that must not know each other although one stands below the other.
const STRANGERS: &[(&str, &str)] = &[
    ("image", "board"),
    ("bytes", "board"),
    ("board", "bytes"),
    ("plan", "bytes"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => (),
        }
    }
}

/// The part of a source that ships: tests may import what they like.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Every room that a source names behind `crate::`, alone or in braces.
fn imports(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            // Only the first words of each branch: `crate::{a::{b, c}, d}`.
            Some(group) => {
                let (mut depth, mut begins) = (0, true);
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && !c.is_whitespace() => {
                            found.insert(word(&group[at..]));
                            begins = false;
                        }
                        _ => (),
                    }
                }
            }
            None => {
                found.insert(word(rest));
            }
        }
    }
    found
}

/// The room of a file below `src`.
fn room(path: &Path) -> String {
    let inside = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn no_room_imports_what_stands_above_it() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 100, "the sources are found");
    let rank = |name: &str| ROOMS.iter().position(|room| *room == name);
    let mut wrong = Vec::new();
    for file in files {
        let own = room(&file);
        if own == "lib" {
            continue;
        }
        let Some(height) = rank(&own) else {
            wrong.push(format!("{}: the room {own} has no place", file.display()));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for other in imports(shipped(&text)) {
            let stranger = STRANGERS.contains(&(own.as_str(), other.as_str()));
            // Below the pipeline nobody knows who asks or how it is told.
            let told = ["cli", "report"];
            let below = rank(&own) < rank("update") && !told.contains(&own.as_str());
            let stranger = stranger || below && told.contains(&other.as_str());
            // A macro of the crate's own is no room.
            if rank(&other).is_some_and(|other| other > height) || stranger {
                wrong.push(format!("{}: {own} imports {other}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that climb:\n{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_however_they_are_written() {
    let text = "use crate::board::Board;\nuse crate::{checks::{self, Facts}, cli, report};\nlet x = crate::env::y();";
    let expected = ["board", "checks", "cli", "env", "report"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
}

/// `mtd-rs` knows nothing of flasher, and `stages` nothing of images.
#[test]
fn the_crates_below_know_nothing_of_the_product() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (krate, allowed) in [("mtd-rs", &[][..]), ("stages", &["mtd-rs"][..])] {
        let manifest = fs::read_to_string(root.join(krate).join("Cargo.toml")).unwrap();
        for other in ["mtd-rs", "stages", "mtd-flasher", "flasher"] {
            let named = manifest.lines().any(|line| {
                let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
                name == other
            });
            assert_eq!(named, allowed.contains(&other), "{krate} and {other}");
        }
        let mut files = Vec::new();
        sources(&root.join(krate).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("flasher::"), "{} names the product", file.display());
        }
    }
}

/// The signatures that take a tuple apart, by which a function has more parameters than clippy counts: only there does a colon
/// follow a parenthesis.
fn with_tuple_patterns(text: &str) -> impl Iterator<Item = &str> {
    let signatures = text
        .split("fn ")
        .skip(1)
        .map(|rest| rest.split(['{', '}']).next().unwrap());
    signatures.filter(|signature| signature.contains("):"))
}

#[test]
fn no_function_hides_parameters_in_a_tuple() {
    let found = |text| with_tuple_patterns(text).count();
    assert_eq!(
        found("fn a((b, c): (B, C)) {}\nfn d(\n    e: [u8; 4],\n    (f, g): &F,\n) -> (A, B) {}"),
        2
    );
    assert_eq!(
        found("fn a(b: (B, C), c: impl Fn(B) -> C) -> D { let (e, f): (E, F) = b; }"),
        0
    );
    let mut files = Vec::new();
    for dir in ["src", "stages/src", "mtd-rs/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let wrong: Vec<_> = with_tuple_patterns(shipped(&text)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
    }
}
