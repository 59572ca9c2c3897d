//! Completion for fish 3 and later.

#![forbid(unsafe_code)]

use super::{Kind, choices, first_words, global, is_group, kind, operations, quoted};
use crate::cli::table::{self, Flag, VerbRow};

pub(super) fn script() -> String {
    let mut out =
        String::from("# fish completion for flasher. Made by `flasher manual fish`.\n\ncomplete -c flasher -f\n");
    for flag in global() {
        out.push_str(&format!("complete -c flasher {}\n", option(flag)));
    }
    out.push_str("complete -c flasher -l help -s h -d 'help'\n");
    out.push_str("complete -c flasher -n __fish_use_subcommand -l version -s V -d 'the version'\n");
    for word in first_words() {
        let about = match is_group(word) {
            true => String::new(),
            false => format!(" -d {}", quoted(table::verb(word).summary)),
        };
        out.push_str(&format!(
            "complete -c flasher -n __fish_use_subcommand -a {word}{about}\n"
        ));
    }
    for verb in table::verbs() {
        of_verb(&mut out, verb);
    }
    out
}

fn of_verb(out: &mut String, verb: &'static VerbRow) {
    let seen = |word: &str| format!("__fish_seen_subcommand_from {word}");
    let condition = match verb.name.split_once(' ') {
        None => seen(verb.name),
        Some((group, member)) => {
            let others = super::members(group);
            out.push_str(&format!(
                "complete -c flasher -n '{}; and not {}' -a {member} -d {}\n",
                seen(group),
                seen(&others),
                quoted(verb.summary)
            ));
            format!("{}; and {}", seen(group), seen(member))
        }
    };
    let operations = operations(verb);
    if !operations.is_empty() {
        let words = operations.join(" ");
        out.push_str(&format!(
            "complete -c flasher -n '{condition}; and not {}' -a {}\n",
            seen(&words),
            quoted(&words)
        ));
    }
    let mut kinds: Vec<_> = verb.operands.iter().map(|operand| kind(operand)).collect();
    kinds.dedup();
    for kind in kinds.into_iter().filter(|kind| *kind != Kind::Word) {
        out.push_str(&format!("complete -c flasher -n '{condition}' {}\n", values(kind)));
    }
    for flag in table::shown().filter(|flag| !flag.verbs.is_empty() && flag.serves(Some(verb.name))) {
        out.push_str(&format!("complete -c flasher -n '{condition}' {}\n", option(flag)));
    }
}

/// What completes something of this kind.
fn values(kind: Kind) -> String {
    let words = choices(kind).join(" ");
    match kind {
        Kind::Word => String::new(),
        Kind::File => "-F".into(),
        Kind::Directory => "-a '(__fish_complete_directories)'".into(),
        Kind::Checks => format!("-a '(__fish_append , {words})'"),
        Kind::Board => format!("-F -a '{words}'"),
        _ => format!("-a '{words}'"),
    }
}

fn option(flag: &Flag) -> String {
    let mut words = format!("-l {}", flag.long);
    flag.alias
        .iter()
        .for_each(|alias| words.push_str(&format!(" -l {alias}")));
    flag.shorts
        .chars()
        .for_each(|short| words.push_str(&format!(" -s {short}")));
    if let Some(kind) = flag.value.filter(|_| !flag.is_optional()).map(kind) {
        // With files, or with nothing but what is listed.
        let required = match kind {
            Kind::File | Kind::Board => "-r",
            _ => "-x",
        };
        words.push_str(&format!(" {required} {}", values(kind)));
    }
    format!("{} -d {}", words.trim_end(), quoted(flag.help))
}
