//! The inventory of `unsafe`: what is not in the table of `docs/threats.md` must not be there, and what is there has its reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => (),
        }
    }
}

/// How many lines of code open something unsafe.
fn blocks(text: &str) -> usize {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let opens = |line: &&str| {
        let mut words = line.match_indices("unsafe");
        words.any(|(at, word)| {
            let alone = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let next = line[at + word.len()..].trim_start();
            alone
                && ["{", "fn ", "impl ", "extern ", "trait "]
                    .iter()
                    .any(|begin| next.starts_with(begin))
        })
    };
    code.filter(opens).count()
}

#[test]
fn every_unsafe_block_is_listed_with_its_reason() {
    let mut files = Vec::new();
    for dir in ["src", "stages/src", "mtd-rs/src"] {
        sources(&root().join(dir), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in &files {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let count = blocks(&fs::read_to_string(file).unwrap());
        if count > 0 {
            found.insert(name, count);
        }
    }
    let threats = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let table = threats
        .split("\n## ")
        .find(|part| part.starts_with("`unsafe`\n"))
        .unwrap();
    let mut listed = BTreeMap::new();
    for row in table.lines().filter(|row| row.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(cells[3].len() > 20, "no reason: {row}");
        listed.insert(
            cells[1].trim_matches('`').to_owned(),
            cells[2].parse::<usize>().unwrap(),
        );
    }
    assert_eq!(found, listed, "docs/threats.md lists what is unsafe and why");
}

#[test]
fn what_is_unsafe_is_told_from_what_only_names_it() {
    assert_eq!(
        blocks("#![forbid(unsafe_code)]\n// unsafe { }\nlet not_unsafe = 1;\n"),
        0
    );
    assert_eq!(
        blocks("let x = unsafe { y() };\nunsafe fn f() {}\nunsafe impl Send for X {}\n"),
        3
    );
}

/// Each line of the tables names a test that is there.
#[test]
fn every_threat_names_tests_that_exist() {
    let mut files = Vec::new();
    for dir in ["src", "tests", "stages", "mtd-rs"] {
        sources(&root().join(dir), &mut files);
    }
    let texts: Vec<(String, String)> = files
        .iter()
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (stem, fs::read_to_string(path).unwrap())
        })
        .collect();
    let threats = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let mut rows = 0;
    for part in threats.split("\n## ").filter(|part| part.contains("| test |")) {
        for row in part
            .lines()
            .filter(|row| row.starts_with("| ") && !row.contains("| test |"))
        {
            rows += 1;
            let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
            let tests: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            assert!(!tests.is_empty(), "no test: {row}");
            for test in tests {
                let (file, name) = test.rsplit_once("::").unwrap_or((test, ""));
                let file = file.rsplit("::").next().unwrap();
                let called = format!("fn {name}(");
                let there = |(stem, text): &(String, String)| {
                    stem == file && (name.is_empty() || text.contains(&called)) || file == "stories" && stem == name
                };
                assert!(texts.iter().any(there), "there is no test {test}: {row}");
            }
        }
    }
    assert!(rows >= 20, "{rows}");
}
