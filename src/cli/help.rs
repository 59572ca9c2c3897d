//! `--help`, made from the tables.

#![forbid(unsafe_code)]

use crate::cli::table;
use crate::cli::table::{Flag, VerbRow};
use std::fmt::Write;

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 verify differs · 64 usage · 65 image bad · 66 image not readable · 69 not supported
 70 bug · 71 system failed, flash untouched · 74 flash failed after the first erase · 75 busy · 77 not root
 78 refused by a check
";

/// The page of one verb, the list of a group, or the overview.
pub fn text(verb: Option<&str>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match verb {
        Some(group) if table::group(group).next().is_some() => rows(&mut out, table::group(group)),
        Some(verb) => page(&mut out, verb),
        None => overview(&mut out),
    };
    out.truncate(out.trim_end().len());
    out
}

fn overview(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "flasher {}: replaces the firmware of a small Linux box from inside the running system\n",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(
        out,
        "  flasher plan image.bin     what would happen\n  flasher apply image.bin    do it\n"
    )?;
    writeln!(out, "Usage: flasher [-q|-v] [--format text|json] VERB\n")?;
    rows(out, table::verbs())?;
    writeln!(out)?;
    table::flags()
        .filter(|flag| flag.verbs.is_empty())
        .try_for_each(|flag| row(out, flag))?;
    writeln!(out, "\n`flasher VERB --help` lists the options of a verb.\n")?;
    out.write_str(EXIT_CODES)
}

fn rows(out: &mut String, mut verbs: impl Iterator<Item = &'static VerbRow>) -> std::fmt::Result {
    verbs.try_for_each(|verb| {
        let call = format!("{} {}", verb.name, verb.operands.join(" "));
        writeln!(out, "  {call:<22} {}", verb.summary)
    })
}

fn page(out: &mut String, name: &str) -> std::fmt::Result {
    let verb = table::verb(name);
    writeln!(
        out,
        "Usage: flasher {} [OPTIONS] {}\n\n{}",
        verb.name,
        verb.operands.join(" "),
        verb.summary
    )?;
    if !verb.text.is_empty() {
        writeln!(out, "\n{}", verb.text)?;
    }
    writeln!(out)?;
    table::flags()
        .filter(|flag| flag.serves(Some(name)))
        .try_for_each(|flag| row(out, flag))?;
    writeln!(out)?;
    out.write_str(EXIT_CODES)
}

fn row(out: &mut String, flag: &Flag) -> std::fmt::Result {
    let mut names: Vec<String> = flag.shorts.chars().map(|short| format!("-{short}")).collect();
    names.push(format!("--{}", flag.long));
    names.extend(flag.alias.map(|alias| format!("--{alias}")));
    let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
    let left = format!("{}{value}", names.join(", "));
    match left.chars().count() > 28 {
        true => writeln!(out, "  {left}\n  {:<28} {}", "", flag.help),
        false => writeln!(out, "  {left:<28} {}", flag.help),
    }
}
