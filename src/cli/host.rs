//! The command lines of verbs that only a workstation has.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::words::words;
use crate::cli::Verb;
use crate::cli::table::{Flag, VerbRow};
use std::path::PathBuf;

words! {
    /// What `manual` prints.
    pub enum Manual {
        /// The manual page.
        Man = "man",
        /// Completion for bash.
        Bash = "bash",
        /// Completion for fish.
        Fish = "fish",
        /// Completion for zsh.
        Zsh = "zsh",
    }
}

/// `pat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pat {
    /// Make one.
    Create(PatCreate),
    /// What is in it.
    List {
        /// The `.pat`.
        file: String,
    },
    /// Hold its members against its list.
    Check {
        /// The `.pat`.
        file: String,
    },
    /// Check and unpack it.
    Extract {
        /// The `.pat`.
        file: String,
        /// A new directory.
        dir: PathBuf,
    },
}

/// `pat create`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatCreate {
    /// The box.
    pub board: Option<String>,
    /// The flasher that the box will run.
    pub updater: Option<PathBuf>,
    /// The `.pat` to make.
    pub out: PathBuf,
    /// What goes into it.
    pub files: Vec<PathBuf>,
}

/// `pat` and its operands.
pub(super) fn pat(words: &[String], board: Option<String>, updater: Option<PathBuf>) -> Result<Verb> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(Verb::Pat(match words.as_slice() {
        ["create", out, files @ ..] if !files.is_empty() => Pat::Create(PatCreate {
            board,
            updater,
            out: lossless::path(out),
            files: files.iter().map(|file| lossless::path(file)).collect(),
        }),
        ["list", file] => Pat::List {
            file: (*file).to_owned(),
        },
        ["check", file] => Pat::Check {
            file: (*file).to_owned(),
        },
        ["extract", file, dir] => Pat::Extract {
            file: (*file).to_owned(),
            dir: lossless::path(dir),
        },
        _ => {
            return Err(Failure::usage(
                "pat takes create OUT FILE…, list FILE, check FILE, or extract FILE DIR",
            ));
        }
    }))
}

/// `qpkg` and its operands.
pub(super) fn qpkg(words: &[String]) -> Result<Verb> {
    match words {
        [extract, file, dir] if extract == "extract" => Ok(Verb::QpkgExtract {
            file: file.clone(),
            dir: lossless::path(dir),
        }),
        _ => Err(Failure::usage("qpkg takes extract FILE DIR")),
    }
}

/// `manual` and its operand.
pub(super) fn manual(words: &[String]) -> Result<Verb> {
    let known = || {
        let all: Vec<_> = Manual::ALL.iter().map(|page| page.as_str()).collect();
        all.join(", ")
    };
    match words {
        [word] => Manual::from_word(word)
            .map(Verb::Manual)
            .ok_or_else(|| Failure::usage(format_args!("manual takes one of {}, not {}", known(), Quoted(word)))),
        _ => Err(Failure::usage(format_args!("manual takes one of {}", known()))),
    }
}

/// The rows of the table of verbs.
pub const VERBS: &[VerbRow] = &[
    VerbRow {
        name: "pat",
        operands: &["create", "OUT.pat", "FILE…"],
        summary: "make a Synology .pat whose updater is flasher; also list, check, extract",
        text: "pat create --board ID [--updater FLASHER] OUT.pat FILE…   FLASHER is the binary for the box\n\
               pat list FILE   the members\n\
               pat check FILE   whether they are what checksum.syno lists, and nothing else is there\n\
               pat extract FILE DIR   the same, then unpack into a new directory",
    },
    VerbRow {
        name: "qpkg",
        operands: &["extract", "FILE", "DIR"],
        summary: "unpack a QNAP package into a new directory, and check its files against their .cksum",
        text: "",
    },
    VerbRow {
        name: "demo",
        operands: &[],
        summary: "show an update from the first look to the record, on a simulated box",
        text: "",
    },
    VerbRow {
        name: "manual",
        operands: &["WHAT"],
        summary: "print the manual page (man), or the completions of a shell (bash, fish, zsh)",
        text: "",
    },
];

/// The rows of the table of flags.
pub const FLAGS: &[Flag] = &[Flag {
    long: "updater",
    alias: None,
    shorts: "",
    value: Some("FILE"),
    verbs: &["pat"],
    help: "the flasher that the box will run, for its processor",
}];
