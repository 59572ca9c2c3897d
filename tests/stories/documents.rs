//! The documents hold together: links lead somewhere, each law has a test, and nothing points to what nobody can read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            if let Err(why) = follow(&document, &text, &link) {
                broken.push(format!("{}: {link}: {why}", shown(&document)));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_law_names_tests_that_exist() {
    let design = fs::read_to_string(root().join("docs/design.md")).unwrap();
    let sources: BTreeMap<PathBuf, String> = files()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    let laws = design
        .split("\n## ")
        .find(|part| part.starts_with("The laws\n"))
        .unwrap();
    let rows: Vec<_> = laws.lines().filter(|line| numbered(line)).collect();
    assert_eq!(rows.len(), 11, "{rows:#?}");
    for row in rows {
        let tests: Vec<_> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.contains("::"))
            .collect();
        assert!(!tests.is_empty(), "no test for: {row}");
        for test in tests {
            let (file, name) = test.rsplit_once("::").unwrap();
            let file = file.rsplit("::").next().unwrap();
            let called = format!("{name}(");
            let found = sources.iter().any(|(path, text)| {
                let stem = path.file_stem().unwrap_or_default();
                (stem == file && text.contains(&called)) || (file == "stories" && stem == name)
            });
            assert!(found, "there is no test {test}, which is to show: {row}");
        }
    }
}

#[test]
fn nothing_points_to_a_document_that_is_not_in_the_repository() {
    let mut found = Vec::new();
    for (path, text) in files() {
        for (index, line) in text.lines().enumerate() {
            if let Some(pointer) = pointer(line) {
                found.push(format!(
                    "{}:{}: {pointer:?} in: {}",
                    shown(&path),
                    index + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_pointer_is_told_from_a_word_that_looks_like_one() {
    // Put together here, so that this file has none of them.
    for line in [
        concat!("see FAC", "TS, 8"),
        concat!("(law 2 of DES", "IGN.md)"),
        concat!("the page (se", "ed 004)"),
        concat!("what pa", "in 6 is about"),
        concat!("as LA", "B.md, 4, says"),
    ] {
        assert!(pointer(line).is_some(), "{line}");
    }
    for line in [
        "docs/design.md, law 3",
        "let seed = 7;",
        "FLASHER_LAB_SEED=1, and LAB-FIRMWARE",
        "a painful 6",
    ] {
        assert_eq!(pointer(line), None, "{line}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// What people read: Markdown in the root, in `docs`, and beside what it describes.
fn documents() -> Vec<PathBuf> {
    let of_root = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"].map(|name| root().join(name));
    let all: Vec<_> = files()
        .into_keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    for path in of_root {
        assert!(all.contains(&path), "{} is missing", shown(&path));
    }
    all
}

/// Every text file of the repository, and no product of it.
fn files() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !["target", "dist", ".git"].iter().any(|name| entry.file_name() == *name) {
                directories.push(entry.path());
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                found.insert(entry.path(), text);
            }
        }
    }
    found
}

/// Whether this begins a row of a numbered list.
fn numbered(line: &str) -> bool {
    line.split_once(". ")
        .is_some_and(|(number, _)| number.parse::<u8>().is_ok())
}

/// The targets of the links in a document, but for what stands in fences.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            found.extend(
                line.split("](")
                    .skip(1)
                    .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())),
            );
        }
    }
    found
}

/// Whether a link leads somewhere: to a file, and to one of its headings where it names one.
fn follow(document: &Path, text: &str, link: &str) -> Result<(), &'static str> {
    if link.starts_with("http://") || link.starts_with("https://") {
        return Ok(());
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = document.parent().unwrap_or(document).join(path);
    if !path.is_empty() && !target.exists() {
        return Err("there is no such file");
    }
    let text = match path.is_empty() || heading.is_empty() {
        true => text.to_owned(),
        false => fs::read_to_string(&target).map_err(|_| "it cannot be read")?,
    };
    match heading.is_empty() || headings(&text).any(|anchor| anchor == heading) {
        true => Ok(()),
        false => Err("there is no such heading"),
    }
}

/// The headings of a document as links name them: in small letters, without punctuation, a hyphen for each blank.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter_map(|line| {
            line.trim_start_matches('#')
                .strip_prefix(' ')
                .filter(|_| line.starts_with('#'))
        })
        .map(|title| {
            title
                .to_lowercase()
                .chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        })
}

/// The name of a note that only its writer had, if the line has one.
fn pointer(line: &str) -> Option<&'static str> {
    const NAMES: [&str; 6] = [
        concat!("FAC", "TS"),
        concat!("DES", "IGN"),
        concat!("LA", "B.md"),
        concat!("STY", "LE.md"),
        concat!("CRO", "SS.md"),
        concat!("MOV", "ES.md"),
    ];
    const NUMBERED: [&str; 3] = [concat!("se", "ed "), concat!("Se", "ed "), concat!("pa", "in ")];
    let part_of_a_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let alone = |at: usize| !part_of_a_word(line[..at].chars().next_back());
    let name = NAMES.into_iter().find(|name| {
        line.match_indices(name)
            .any(|(at, _)| alone(at) && !part_of_a_word(line[at + name.len()..].chars().next()))
    });
    name.or_else(|| {
        NUMBERED.into_iter().find(|word| {
            line.match_indices(word)
                .any(|(at, _)| alone(at) && line[at + word.len()..].starts_with(|next: char| next.is_ascii_digit()))
        })
    })
}
