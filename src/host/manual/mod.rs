//! The manual page and the completions of shells, made from the same tables as the parser and `--help`.

#![forbid(unsafe_code)]

mod bash;
mod fish;
mod man;
mod zsh;

use crate::base::check_id::CheckId;
use crate::base::error::{Exit, Result};
use crate::base::shell;
use crate::board::known;
use crate::cli::host::Manual;
use crate::cli::table::{self, Flag, VerbRow, is_group};
use crate::report::Reporter;

/// Prints one of them.
///
/// # Errors
/// None of its own.
pub fn run(what: Manual, reporter: &mut Reporter) -> Result<Exit> {
    let text = match what {
        Manual::Man => man::page(),
        Manual::Bash => bash::script(),
        Manual::Zsh => zsh::script(),
        Manual::Fish => fish::script(),
    };
    reporter.line(text.trim_end());
    Ok(Exit::Done)
}

/// What a value or an operand is, as far as a shell can complete it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    File,
    Directory,
    Board,
    Checks,
    Format,
    Server,
    Page,
    Verb,
}

/// The kind of what has this name in the tables.
fn kind(name: &str) -> Kind {
    match name.trim_matches(['[', ']', '…']) {
        "text|json" => Kind::Format,
        "SERVER" => Kind::Server,
        "WHAT" => Kind::Page,
        "VERB" => Kind::Verb,
        "DIR" => Kind::Directory,
        "BOARD" | "ID|FILE" => Kind::Board,
        name if name.starts_with("CHECK") => Kind::Checks,
        "IMAGE" | "PATH" | "BACKUP" => Kind::File,
        name if name.split(['|', '.', ' ']).any(|word| ["FILE", "OUT"].contains(&word)) => Kind::File,
        _ => Kind::Word,
    }
}

/// The words that something of this kind may be.
fn choices(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Board => known::ids().collect(),
        Kind::Checks => CheckId::ALL.iter().map(|check| check.as_str()).collect(),
        Kind::Format => vec!["text", "json"],
        Kind::Server => vec!["dhcpd", "dnsmasq", "tftpd-hpa"],
        Kind::Page => Manual::ALL.iter().map(|page| page.as_str()).collect(),
        Kind::Verb => first_words(),
        Kind::Word | Kind::File | Kind::Directory => Vec::new(),
    }
}

/// The words that may come first: verbs, and groups of them.
fn first_words() -> Vec<&'static str> {
    let mut words: Vec<_> = table::first_words().collect();
    let mut seen = Vec::new();
    words.retain(|word| {
        let new = !seen.contains(word);
        seen.push(*word);
        new
    });
    words
}

/// The second words of a group.
fn members(group: &str) -> String {
    table::members(group).collect::<Vec<_>>().join(" ")
}

/// What is done with a verb where it is written behind it, as in `pat create`: words in small letters among its operands, and
/// those with which the lines of its text begin.
fn operations(verb: &'static VerbRow) -> Vec<&'static str> {
    let small = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let rows = verb.text.lines().filter_map(|line| Some(line.split_once("   ")?.0));
    let of_rows = rows.filter_map(|row| row.strip_prefix(verb.name)?.split_whitespace().next());
    let mut found: Vec<_> = verb.operands.iter().copied().chain(of_rows).filter(small).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The flags of a verb, then those of all verbs.
fn flags(verb: &'static str) -> impl Iterator<Item = &'static Flag> {
    let own = table::shown().filter(move |flag| !flag.verbs.is_empty() && flag.serves(Some(verb)));
    own.chain(global())
}

/// The flags of all verbs.
fn global() -> impl Iterator<Item = &'static Flag> {
    table::shown().filter(|flag| flag.verbs.is_empty())
}

/// Every name of a flag, with its hyphens.
fn names(flag: &Flag) -> Vec<String> {
    let long = std::iter::once(flag.long).chain(flag.alias);
    let shorts = flag.shorts.chars().map(|short| format!("-{short}"));
    shorts.chain(long.map(|long| format!("--{long}"))).collect()
}

/// A text between single quotes of a shell.
fn quoted(text: &str) -> String {
    shell::quoted(text).to_string_lossy().into_owned()
}
