//! `--help`, made from the tables, within 80 columns.

#![forbid(unsafe_code)]

use crate::cli::table;
use crate::cli::table::{Flag, VerbRow};

/// What the overview begins with.
pub const ABOUT: &str = "replaces the firmware of a small Linux box from inside the running system";

/// Each exit code and what it means.
pub const EXIT_CODES: &str = "Exit codes: 0 done · 1 verify differs · 64 usage · 65 image bad · 66 image not readable · \
    68 box or server not reached · 69 not supported · 70 bug · 71 system failed, flash untouched · 74 flash failed after the first erase · 75 busy · \
    77 not root · 78 refused by a check";

/// Columns of a line.
const WIDTH: usize = 80;

/// Where what a verb does begins, and what a flag does.
const VERBS: usize = 25;
const FLAGS: usize = 31;

/// The page of one verb, the list of a group, or the overview.
pub fn text(verb: Option<&str>) -> String {
    let mut out = String::new();
    match verb {
        Some(group) if table::is_group(group) => rows(&mut out, &mut table::group(group)),
        Some(verb) => page(&mut out, verb),
        None => overview(&mut out),
    }
    out.truncate(out.trim_end().len());
    out
}

fn overview(out: &mut String) {
    fill(out, 0, &["flasher ", ABOUT].concat());
    out.push_str("\n  flasher plan image.bin     what would happen\n  flasher apply image.bin    do it\n\n");
    out.push_str("Usage: flasher [-q|-v] [--format text|json] VERB\n\n");
    rows(out, &mut table::verbs());
    out.push('\n');
    table::shown()
        .filter(|flag| flag.verbs.is_empty())
        .for_each(|flag| row(out, FLAGS, &left(flag), flag.help));
    row(
        out,
        FLAGS,
        "-V, --version",
        "the version, and the commit it was made from",
    );
    out.push_str("\nflasher help VERB lists the options of a verb.\n\n");
    fill(out, 1, EXIT_CODES);
}

fn rows(out: &mut String, verbs: &mut dyn Iterator<Item = &'static VerbRow>) {
    verbs.for_each(|verb| row(out, VERBS, &call(verb), verb.summary));
}

fn page(out: &mut String, name: &str) {
    let verb = table::verb(name);
    let usage = ["Usage: flasher ", verb.name, " [OPTIONS] ", &verb.operands.join(" ")].concat();
    fill(out, 7, usage.trim_end());
    out.push('\n');
    fill(out, 0, verb.summary);
    if !verb.text.is_empty() {
        out.push('\n');
        verb.text.lines().for_each(|line| match line.split_once("   ") {
            Some((left, right)) => row(out, FLAGS, left, right.trim_start()),
            None => fill(out, 0, line),
        });
    }
    out.push('\n');
    table::shown()
        .filter(|flag| flag.serves(Some(name)))
        .for_each(|flag| row(out, FLAGS, &left(flag), flag.help));
    out.push('\n');
    fill(out, 1, EXIT_CODES);
}

/// How a verb is called.
fn call(verb: &VerbRow) -> String {
    [verb.name, " ", &verb.operands.join(" ")].concat()
}

/// The names of a flag, and that of its value.
fn left(flag: &Flag) -> String {
    let mut names = String::new();
    flag.shorts
        .chars()
        .for_each(|short| names.extend(['-', short, ',', ' ']));
    names.extend(["--", flag.long]);
    flag.alias.iter().for_each(|alias| names.extend([", --", alias]));
    let space = if flag.is_optional() { "" } else { " " };
    flag.value.iter().for_each(|value| names.extend([space, value]));
    names
}

/// Two columns, of which the right one begins at `column`: on a line of its own where the left one is too long.
fn row(out: &mut String, column: usize, left: &str, right: &str) {
    let left = ["  ", left.trim_end()].concat();
    match left.chars().count() + 1 < column {
        true => fill(out, column, &format!("{left:<column$}\0{right}")),
        false => fill(out, column, &format!("{left}\n{:column$}\0{right}", "")),
    }
}

/// Breaks a line where it gets too long; what follows begins at `column`. A zero stands before the first word that may go to the
/// next line; without one every word may.
fn fill(out: &mut String, column: usize, line: &str) {
    let (begin, words) = line.split_once('\0').unwrap_or(("", line));
    out.push_str(begin);
    let mut at = begin.rsplit('\n').next().unwrap_or_default().chars().count();
    for (index, word) in words.split(' ').enumerate() {
        let length = word.chars().count();
        match index {
            0 => (),
            _ if at + 1 + length > WIDTH => {
                out.push_str(&format!("\n{:column$}", ""));
                at = column;
            }
            _ => {
                out.push(' ');
                at += 1;
            }
        }
        out.push_str(word);
        at += length;
    }
    out.push('\n');
}
