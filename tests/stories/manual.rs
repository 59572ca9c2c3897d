//! The manual page and the completions of shells say what the program understands, and the real tools take them.

use crate::simbox::{flasher, tool};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Each page and the file that has it.
const FILES: [(&str, &str); 4] = [
    ("man", "docs/man/flasher.1"),
    ("bash", "completions/flasher.bash"),
    ("fish", "completions/flasher.fish"),
    ("zsh", "completions/_flasher"),
];

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

/// What a shell says, which is given the path of a file as `$1`.
fn shell(words: &[&str]) -> String {
    String::from_utf8(tool(words[0], &words[1..]).stdout).unwrap()
}

#[test]
fn the_files_are_those_that_the_program_makes() {
    for (page, name) in FILES {
        let made = flasher(&["manual", page]).exits(0).out;
        let there = fs::read_to_string(file(name)).unwrap_or_default();
        assert!(there == made, "{name} lags behind the command line: run cross/manual");
    }
    for words in [&["manual"][..], &["manual", "csh"], &["manual", "man", "bash"]] {
        flasher(words).exits(64);
    }
}

#[test]
fn the_readme_has_every_verb_and_the_exit_codes_of_the_help() {
    let readme = fs::read_to_string(file("README.md")).unwrap().replace('`', "");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let overview = flasher(&["--help"]).exits(0).out;
    let rows = readme.split("## ").find(|part| part.starts_with("Verbs\n")).unwrap();
    for verb in verbs(&overview).filter(|verb| !["help", "manual"].contains(verb)) {
        let named = |row: &str| {
            row.split('|')
                .nth(1)
                .is_some_and(|cell| cell.split([' ', ',']).any(|word| word == verb))
        };
        assert!(rows.lines().any(named), "{verb} is missing");
    }
    let codes = overview.split("\n\n").find(|part| part.starts_with("Exit codes:"));
    assert!(words(&readme).contains(&words(codes.unwrap())), "{codes:?}");
}

/// The first word of each verb in the overview of the help.
fn verbs(overview: &str) -> impl Iterator<Item = &str> {
    overview
        .lines()
        .filter_map(|row| row.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase()) && *word != "flasher")
}

#[test]
fn the_manual_page_has_every_verb_and_option_and_is_without_a_fault() {
    let page = file("docs/man/flasher.1");
    let lint = Command::new("mandoc")
        .args(["-Tlint", "-Wwarning", &page])
        .output()
        .unwrap();
    assert!(lint.status.success() && lint.stdout.is_empty(), "{lint:?}");
    let text = shell(&["mandoc", "-Tascii", "-Owidth=80", &page]);
    // A letter in bold is printed over itself.
    let mut plain = String::new();
    text.chars().for_each(|c| match c {
        '\u{8}' => drop(plain.pop()),
        c => plain.push(c),
    });
    let overview = flasher(&["--help"]).exits(0).out;
    for verb in verbs(&overview).chain(["--no-reboot", "--force", "--format", "78", "Refused by a check"]) {
        assert!(plain.contains(verb), "{verb} is missing");
    }
    assert!(plain.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn bash_completes_verbs_options_and_values() {
    let script = file("completions/flasher.bash");
    let complete = |line: &str| {
        let code =
            "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _flasher; echo \"${COMPREPLY[*]}\"";
        let words: Vec<&str> = ["bash", "-c", code, "bash", &script]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        shell(&words).trim_end().to_owned()
    };
    for (line, words) in [
        ("flasher app", "apply"),
        ("flasher -q --format json inspe", "inspect"),
        ("flasher recovery cr", "create"),
        ("flasher plan --fo", "--force --format"),
        ("flasher plan --format = j", "json"),
        ("flasher plan --force conte", "content"),
        ("flasher plan --force content,rec", "content,record"),
        ("flasher sim create qnap-ts1", "qnap-ts109"),
        ("flasher env ", "set"),
        ("flasher status --dr", ""),
        ("flasher inspect /etc/hostn", "/etc/hostname"),
    ] {
        assert_eq!(complete(line), words, "{line}");
    }
}

#[test]
fn fish_completes_verbs_options_and_values() {
    let script = file("completions/flasher.fish");
    let complete = |line: &str| {
        let said = shell(&[
            "fish",
            "--no-config",
            "-c",
            "source $argv[1]; complete -C $argv[2]",
            &script,
            line,
        ]);
        let words = said.lines().map(|line| line.split('\t').next().unwrap().to_owned());
        words.collect::<Vec<_>>().join(" ")
    };
    for (line, words) in [
        ("flasher app", "apply"),
        ("flasher recovery cr", "create"),
        ("flasher plan --fo", "--force --format"),
        ("flasher plan --format ", "json text"),
        ("flasher manual b", "bash"),
    ] {
        assert_eq!(complete(line), words, "{line}");
    }
}

#[test]
fn zsh_takes_its_completion() {
    let script = file("completions/_flasher");
    shell(&["zsh", "-n", &script]);
    let dir = Path::new(&script).parent().unwrap().display().to_string();
    let code = "fpath=($1 $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[flasher]";
    assert_eq!(shell(&["zsh", "-f", "-c", code, "zsh", &dir]), "_flasher\n");
}
