//! The manual page, in the macros of man(7).

#![forbid(unsafe_code)]

use super::names;
use crate::base::check_id::CheckId;
use crate::cli::help::{ABOUT, EXIT_CODES};
use crate::cli::table::{self, Flag};

/// When the command line was changed last. A page that took its date from the clock would be another one each day.
const DATE: &str = "2026-11-26";

const DESCRIPTION: &str = "\
.B flasher
replaces the firmware of a NAS, a router or a camera from inside the system that runs from the very flash that is to be
written. The whole plan is checked before anything is touched. If nothing uses the partitions, they are written in place.
Otherwise the box is taken over: flasher becomes process 1 in a root of its own in RAM, proves that nothing depends on the
flash any more, writes, reads everything back, and reboots.
.PP
.B flasher help
.I VERB
tells the same of one verb as this page does.
";

const FILES: &[(&str, &str)] = &[
    (
        "/etc/flasher/board.json",
        "the profile of this box, where it is none of the built-in boards",
    ),
    (
        "/etc/flasher/keys/",
        "public keys, of which one must have signed everything that is written",
    ),
    ("/etc/flasher/keep", "paths that are kept over an update, one a line"),
    ("/etc/fw_env.config", "where the boot loader's environment lies"),
    ("/usr/lib/flasher/", "the static binaries for boxes, on a workstation"),
];

const EXAMPLES: &[(&str, &str)] = &[
    (
        "flasher plan sysupgrade.bin",
        "What would be written, and what stands against it.",
    ),
    ("flasher apply sysupgrade.bin", "The same, done."),
    (
        "flasher apply Kernel=uImage RootFS1=initrd.gz",
        "Two files, as one update.",
    ),
    (
        "flasher apply -y --format json --sha256 SHA256SUMS sysupgrade.bin",
        "Unattended: nobody is asked, and a program reads what happens.",
    ),
    ("flasher backup copies", "A copy of every partition, for restore."),
];

pub(super) fn page() -> String {
    let mut out = String::from(".\\\" Made by `flasher manual man`.\n");
    let version = env!("CARGO_PKG_VERSION");
    out.push_str(&format!(
        ".TH FLASHER 1 {DATE} \"flasher {version}\" \"User Commands\"\n"
    ));
    out.push_str(&format!(".SH NAME\nflasher \\- {}\n", escaped(ABOUT)));
    out.push_str(".SH SYNOPSIS\n.B flasher\n");
    out.push_str("[\\fB\\-q\\fR|\\fB\\-v\\fR] [\\fB\\-\\-format\\fR \\fItext\\fR|\\fIjson\\fR]\n");
    out.push_str(".I VERB\n[\\fIOPTIONS\\fR] [\\fIOPERANDS\\fR]\n");
    out.push_str(&format!(".SH DESCRIPTION\n{DESCRIPTION}"));
    out.push_str(".SH VERBS\n");
    verbs(&mut out);
    out.push_str(".SH OPTIONS\n");
    for flag in table::shown() {
        option(&mut out, flag);
    }
    entry(
        &mut out,
        "\\fB\\-h\\fR, \\fB\\-\\-help\\fR",
        "The help of a verb, or an overview.",
    );
    entry(
        &mut out,
        "\\fB\\-V\\fR, \\fB\\-\\-version\\fR",
        "The version, and the commit it was made from.",
    );
    out.push_str(".SH CHECKS\nThese are the names for\n.BR \\-\\-force .\n");
    out.push_str("Not every check can be overridden; one that refuses says whether it can.\n.PP\n");
    let checks: Vec<_> = CheckId::ALL.iter().map(|check| escaped(check.as_str())).collect();
    out.push_str(&format!("{}\n", checks.join(",\n")));
    out.push_str(".SH EXIT STATUS\n");
    for code in EXIT_CODES.trim_start_matches("Exit codes: ").split(" · ") {
        let (code, what) = code.split_once(' ').unwrap_or((code, ""));
        entry(&mut out, &format!("\\fB{code}\\fR"), &sentence(what));
    }
    out.push_str(".SH ENVIRONMENT\n");
    entry(
        &mut out,
        "\\fBRUST_LOG\\fR",
        "How much is logged to standard error, as in flasher=debug.",
    );
    out.push_str(".SH FILES\n");
    for (path, what) in FILES {
        entry(&mut out, &format!("\\fI{}\\fR", escaped(path)), &sentence(what));
    }
    out.push_str(".SH EXAMPLES\n");
    for (command, what) in EXAMPLES {
        entry(&mut out, &format!("\\fB{}\\fR", escaped(command)), what);
    }
    out.push_str(".SH SEE ALSO\n.BR fw_printenv (1),\n.BR ubiupdatevol (8),\n.BR flash_erase (8)\n");
    out
}

fn verbs(out: &mut String) {
    for verb in table::verbs() {
        let operands: Vec<_> = verb
            .operands
            .iter()
            .map(|operand| format!(" {}", value(operand)))
            .collect();
        entry(
            out,
            &format!("\\fB{}\\fR{}", escaped(verb.name), operands.concat()),
            &sentence(verb.summary),
        );
        for line in verb.text.lines().filter(|line| !line.is_empty()) {
            match line.split_once("   ") {
                None => out.push_str(&format!(".IP\n{}\n", breakable(line))),
                Some((left, right)) => {
                    out.push_str(".RS\n");
                    entry(
                        out,
                        &format!("\\fB{}\\fR", escaped(left.trim_end())),
                        &sentence(right.trim_start()),
                    );
                    out.push_str(".RE\n");
                }
            }
        }
    }
}

fn option(out: &mut String, flag: &Flag) {
    let bold: Vec<_> = names(flag)
        .iter()
        .map(|name| format!("\\fB{}\\fR", escaped(name)))
        .collect();
    let tag = format!(
        "{}{}",
        bold.join(", "),
        flag.value
            .map(|name| format!("{}{}", if flag.is_optional() { "" } else { " " }, value(name)))
            .unwrap_or_default()
    );
    let mut text = sentence(flag.help);
    if !flag.verbs.is_empty() {
        text.push_str(&format!(" For {}.", flag.verbs.join(", ")));
    }
    entry(out, &tag, &text);
}

/// The name of a value or an operand: words in small letters as they are to be typed, the rest as what stands for something.
fn value(name: &str) -> String {
    match name.chars().any(|c| c.is_ascii_uppercase()) || name.contains('|') {
        true => format!("\\fI{}\\fR", escaped(name)),
        false => format!("\\fB{}\\fR", escaped(name)),
    }
}

/// A tag, and what it means. The tag is in roff already.
fn entry(out: &mut String, tag: &str, text: &str) {
    out.push_str(&format!(".TP\n{tag}\n{}\n", breakable(text)));
}

/// A phrase of the tables as a sentence: with a capital, unless a name stands first, and a full stop.
fn sentence(text: &str) -> String {
    let first = text.split([' ', ':']).next().unwrap_or_default();
    let word = first.chars().all(|c| c.is_ascii_lowercase()) && !["json", "env"].contains(&first);
    let mut whole = text.to_owned();
    if word && let Some(begin) = whole.get_mut(..1) {
        begin.make_ascii_uppercase();
    }
    if !whole.ends_with('.') {
        whole.push('.');
    }
    whole
}

/// A text on lines of at most 76 bytes or so, which diffs and old tools like; a sentence begins on a line of its own, as roff
/// wants it.
fn breakable(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map(String::as_str).unwrap_or_default();
        if last.ends_with('.') || last.len() + word.len() > 75 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
    lines.join("\n")
}

/// A text as roff has it: nothing in it is an order, and hyphens are those that can be typed.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '.' | '\'' if out.is_empty() => out.extend(['\\', '&', c]),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            '…' => out.push_str("..."),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}
