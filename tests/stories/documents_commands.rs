//! The commands in the documents: those of `docs/fleets.md` are typed, and every command of flasher has a verb and options
//! that there are.

use crate::simbox::{bytes, flasher, is_root};
use crate::sshbox::binary;
use crate::sshfleet::{SshFleet, ansible, program};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A fence of a document: what stands behind its three marks, and what stands in it.
pub struct Fence {
    pub info: String,
    pub text: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn fences(text: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(info), false) => found.push(Fence {
                info: info.to_owned(),
                text: String::new(),
            }),
            (None, true) => {
                let fence = &mut found.last_mut().unwrap().text;
                fence.push_str(line);
                fence.push('\n');
            }
            _ => (),
        }
        open ^= line.trim_start().starts_with("```");
    }
    assert!(!open, "a fence is not closed");
    found
}

/// The workstation of the page: its files, its programs, and an ssh that knows the boxes by their names.
fn desk(fleet: &SshFleet, names: &[&str]) -> [(&'static str, Vec<u8>); 3] {
    let config = fleet.ssh_config(names);
    let bin = fleet.file("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["ssh", "scp"] {
        let words = match name {
            "scp" => format!(" -S {}/ssh", bin.display()),
            _ => String::new(),
        };
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/{name} -F {}{words} \"$@\"\n",
            config.display()
        );
        program(&bin.join(name), &script);
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_flasher"), bin.join("flasher")).unwrap();
    fs::copy(binary(), fleet.file("flasher")).unwrap();
    std::os::unix::fs::symlink(root().join("fleet"), fleet.file("fleet")).unwrap();
    // Nothing of the page is to reach this machine itself.
    fleet.hook(
        r#"mkdir -p $box/copied
command=$(printf '%s\n' "$command" | sed \
    -e "s,/tmp/flasher ,$box/flasher ,g" -e "s,/tmp/image,$box/copied/image,g" -e "s,/tmp/\$,$box/copied/,")
"#,
    );
    let images = [("image.bin", 1), ("nas.bin", 2), ("router.bin", 3)].map(|(name, seed)| (name, bytes(300_000, seed)));
    for (name, image) in &images {
        fs::write(fleet.file(name), image).unwrap();
    }
    images
}

#[test]
fn what_the_page_on_fleets_says_is_typed_and_does_what_it_says() {
    if !is_root() {
        return;
    }
    let page = fs::read_to_string(root().join("docs/fleets.md")).unwrap();
    let fleet = SshFleet::new(5);
    let [image, nas, router] = desk(&fleet, &["nas", "nas-1", "nas-2", "nas-3", "router-1"]).map(|(_, image)| image);
    let mut typed = 0;
    let mut left_out = Vec::new();
    for fence in fences(&page) {
        let (kind, note) = fence.info.split_once(' ').unwrap_or((&fence.info, ""));
        match (kind, note.split_once('=')) {
            ("json", None) => (),
            ("ini" | "yaml", Some(("file", name))) => fs::write(fleet.file(name), &fence.text).unwrap(),
            ("sh", Some(("not-run", why))) => left_out.push(why.to_owned()),
            ("sh", None) => {
                fleet.blank();
                let mut shell = ansible("bash", fleet.path());
                // As the page has it, and not from the tests' surroundings.
                shell.env_remove("ANSIBLE_CALLBACKS_ENABLED");
                let path = std::env::var("PATH").unwrap();
                shell.env("PATH", format!("{}:{path}", fleet.file("bin").display()));
                let output = shell.args(["-euo", "pipefail", "-c", &fence.text]).output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let failed = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}{said}{failed}", fence.text);
                typed += fence.text.lines().count();
                if fence.text.contains("root@nas") {
                    assert!(fleet.has(1, &image), "{}{said}{failed}", fence.text);
                }
                if fence.text.contains("ansible-playbook") {
                    assert!((2..=4).all(|number| fleet.has(number, &nas)), "{}{said}", fence.text);
                    assert_eq!(fleet.has(5, &router), fence.text.contains("update"), "{said}");
                    assert!(said.contains("FIRMWARE") && said.contains("nas-2"), "{said}");
                    assert_eq!(fleet.report()["totals"]["failed"], 0, "{said}");
                }
                // Until the box has booted.
                std::thread::sleep(Duration::from_secs(2));
            }
            _ => panic!("a fence of this kind says nothing to the test: {}", fence.info),
        }
    }
    assert!(typed > 10, "{typed}");
    assert_eq!(
        left_out,
        ["a-box-in-its-rescue", "on-a-box-whose-init-starts-flasher"],
        "each of them has a story of the lab"
    );
}

/// The words of the commands of flasher in a line of a shell, without the program itself.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap();
    // What another command answers is a word.
    let line = match (line.find("$("), line.rfind(')')) {
        (Some(from), Some(to)) if from < to => format!("{}N{}", &line[..from], &line[to + 1..]),
        _ => line.to_owned(),
    };
    let line = line.replace("--format json ", "").replace("--format text ", "");
    let mut found = Vec::new();
    for part in line.split(['|', ';', '&']) {
        let words: Vec<String> = part
            .split_whitespace()
            .map(|word| word.trim_matches(['\'', '"', '`', '(', ')']).to_owned())
            .collect();
        let is_flasher = |word: &String| word == "flasher" || word.ends_with("/flasher");
        // `scp flasher …` copies it.
        let copies = words
            .first()
            .is_some_and(|word| ["scp", "cp", "ls"].contains(&word.as_str()));
        if let Some(at) = words.iter().position(is_flasher).filter(|_| !copies) {
            found.push(words[at + 1..].to_vec());
        }
    }
    found
}

/// The verb of a command, which may be of two words.
fn verb(words: &[String]) -> Vec<&str> {
    let mut plain = words
        .iter()
        .map(String::as_str)
        .skip_while(|word| word.starts_with('-'));
    match (plain.next(), plain.next()) {
        (Some(first @ ("env" | "recovery" | "pat" | "qpkg" | "sim")), Some(second))
            if second.chars().all(|letter| letter.is_ascii_lowercase()) =>
        {
            vec![first, second]
        }
        (Some(first), _) => vec![first],
        (None, _) => Vec::new(),
    }
}

#[test]
fn every_command_of_flasher_in_a_document_has_a_verb_and_options_that_there_are() {
    let mut documents: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "fleet/README.md"]
        .map(|name| root().join(name))
        .into();
    let pages = fs::read_dir(root().join("docs")).unwrap();
    documents.extend(
        pages
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let fenced = fences(&text);
        let lines = fenced
            .iter()
            .filter(|fence| fence.info.is_empty() || fence.info.starts_with("sh"))
            .flat_map(|fence| fence.text.lines());
        for (line, words) in lines.flat_map(|line| commands(line).into_iter().map(move |words| (line, words))) {
            let verb = verb(&words);
            // A pattern, or the program alone.
            if verb.is_empty() || verb[0].chars().any(|letter| letter.is_ascii_uppercase()) {
                continue;
            }
            checked += 1;
            let help = helps.entry(verb.join(" ")).or_insert_with(|| {
                let run = flasher(&[&verb[..], &["--help"]].concat());
                if run.exit == 0 { run.out } else { String::new() }
            });
            let options = words.iter().filter(|word| word.len() > 1 && word.starts_with('-'));
            let unknown = options.map(|word| word.split('=').next().unwrap()).find(|word| {
                let known = |text: &str| {
                    text.split(|letter: char| letter.is_whitespace() || [',', '[', ']', '|', '='].contains(&letter))
                        .any(|known| known == *word)
                };
                !known(help) && !["--sim", "--format", "--help", "--version", "-q", "-v", "-"].contains(word)
            });
            if help.is_empty() {
                wrong.push(format!("{}: no verb {verb:?}: {line}", document.display()));
            } else if let Some(word) = unknown {
                wrong.push(format!("{}: {verb:?} has no {word}: {line}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 40, "{checked}");
    // The check itself.
    assert!(commands("cat x | ssh a /tmp/flasher apply -y - # flasher nope") == [["apply", "-y", "-"]]);
    assert!(commands("flasher --format json plan --size $(stat -c %s x) x") == [["plan", "--size", "N", "x"]]);
    assert!(commands("scp flasher box:").is_empty());
}
