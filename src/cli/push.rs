//! The command line of `push`: for workstations.

#![forbid(unsafe_code)]

use super::takes;
use crate::base::digits;
use crate::base::error::{Failure, Result};
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::shell;
use crate::cli::table::{Flag, VerbRow, flag};
use crate::cli::{Apply, images};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// `push`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The box, as ssh is told it.
    pub host: String,
    /// What is to be done there.
    pub apply: Apply,
    /// The options that the box's `apply` gets as they were typed, and their values.
    pub passed: Vec<(&'static str, Option<OsString>)>,
    /// The ssh program and options for it.
    pub ssh: Vec<String>,
    /// The flasher that the box is to run.
    pub binary: Option<PathBuf>,
    /// How long the box may take until it answers again, where that was said.
    pub wait: Option<Duration>,
    /// Take the host key that the new firmware has.
    pub new_host_key: bool,
    /// Compare the flash with the image at the end.
    pub verify: bool,
}

impl Push {
    /// The line that does this on the box, with the ssh that was named, for whoever types it here.
    pub fn on_the_box(&self, command: &str) -> String {
        let words = self.ssh.iter().chain([&self.host]);
        let mut line: Vec<_> = words.map(shell::typed).collect();
        line.push(command.to_owned());
        line.join(" ")
    }
}

/// The row of the table of verbs.
pub const VERBS: &[VerbRow] = &[VerbRow {
    name: "push",
    operands: &["[USER@]HOST", "IMAGE…"],
    summary: "replace the firmware of a box from here, over ssh, and see that it comes back with the new one",
    text: "Uses your own ssh with its configuration. Finds out the processor of the box,\n\
           puts the right flasher into its RAM, shows the plan and asks, sends IMAGE (or\n\
           PARTITION=FILE, once or more often) with its length and checksum, and follows\n\
           the update through the reboot to the record of the box.\n\n\
           --backup DIR, --env-config FILE and --sim DIR name files of the box; --key,\n\
           --sha256 and the file of --board are here. A signature is looked for beside\n\
           IMAGE. ^C before the hand-over stops it and the flash is untouched; afterwards\n\
           the box goes on by itself.",
}];

const PUSH: &[&str] = &["push"];

/// The rows of the table of flags.
pub const FLAGS: &[Flag] = &[
    flag(
        "ssh",
        Some("COMMAND"),
        PUSH,
        "OpenSSH's ssh with options, such as 'ssh -p 2222'; words with blanks in quotes; else $FLASHER_SSH, else ssh",
    ),
    flag(
        "binary",
        Some("FILE"),
        PUSH,
        "the flasher for the box; else flasher-PROCESSOR beside this program, in dist or in /usr/lib/flasher",
    ),
    flag(
        "wait",
        Some("SECONDS"),
        PUSH,
        "how long the box may take until it answers again; 600 if not given, and at least twice what the plan says",
    ),
    flag(
        "new-host-key",
        None,
        PUSH,
        "accept that the box has another ssh host key after the update",
    ),
    flag(
        "verify",
        None,
        PUSH,
        "send the image once more when the box is back and compare its flash with it",
    ),
];

/// Options of `apply` that go to the box as they are.
const PASSED: &[&str] = &[
    "part",
    "as-is",
    "unpack",
    "force",
    "backup",
    "env-config",
    "no-reboot",
    "in-place",
    "prepare",
    "rescue-shell",
    "rescue-network",
    "listen",
    "no-rollback",
    "keep",
    "keep-to",
    "no-keep",
    "mark-bad",
    "sim",
];

/// The values of these flags, before they are sorted.
#[derive(Default)]
pub(super) struct Raw {
    passed: Vec<(&'static str, Option<OsString>)>,
    ssh: Option<String>,
    binary: Option<PathBuf>,
    wait: Option<Duration>,
    new_host_key: bool,
    verify: bool,
}

impl Raw {
    /// Remembers an option of `apply` as it was typed.
    pub(super) fn pass(&mut self, flag: &str, value: Option<&OsString>) {
        if let Some(flag) = PASSED.iter().find(|known| **known == flag) {
            self.passed.push((flag, value.cloned()));
        }
    }

    pub(super) fn set(&mut self, flag: &str, value: String) -> Result<()> {
        match flag {
            "ssh" => self.ssh = Some(value),
            "binary" => self.binary = Some(lossless::path(&value)),
            "wait" => {
                let seconds = digits::decimal(&value).ok_or_else(|| takes(flag, "a number of seconds", &value))?;
                self.wait = Some(Duration::from_secs(seconds));
            }
            "new-host-key" => self.new_host_key = true,
            "verify" => self.verify = true,
            _ => (),
        }
        Ok(())
    }

    pub(super) fn finish(self, mut apply: Apply, words: &[String]) -> Result<Push> {
        let [host, operands @ ..] = words else {
            return Err(Failure::usage("push takes [USER@]HOST and IMAGE"));
        };
        if operands.is_empty() {
            return Err(Failure::usage(
                "push takes [USER@]HOST and IMAGE, but there is no image",
            ));
        }
        // ssh would take it for an option, and options of ssh run programs.
        if host.is_empty() || host.starts_with('-') {
            return Err(Failure::usage(format_args!("{} is no host", Quoted(host))));
        }
        images("push HOST", &mut apply, operands)?;
        let ssh = self.ssh.or_else(|| std::env::var("FLASHER_SSH").ok());
        let ssh = match &ssh {
            Some(line) => words_of(line).ok_or_else(|| {
                let what = format_args!("--ssh takes words as a shell does: {} ends within quotes", Quoted(line));
                Failure::usage(what).hint("close the quotes")
            })?,
            None => Vec::new(),
        };
        Ok(Push {
            host: host.clone(),
            apply,
            passed: self.passed,
            ssh: match ssh.is_empty() {
                true => vec!["ssh".to_owned()],
                false => ssh,
            },
            binary: self.binary,
            wait: self.wait,
            new_host_key: self.new_host_key,
            verify: self.verify,
        })
    }
}

/// The words of a line, of which those with blanks stand in quotes or have a backslash before each, as for a shell; `None`
/// for one that ends in the midst of that. Nothing else that a shell does is done.
fn words_of(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = letters.next()?;
                let word = word.get_or_insert_default();
                // Between double quotes a backslash stands for itself elsewhere.
                if quote.is_some() && !['"', '\\'].contains(&next) {
                    word.push('\\');
                }
                word.push(next);
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table;

    #[test]
    fn words_for_ssh_are_those_of_a_shell() {
        for (line, words) in [
            ("ssh -p 2222", Some(&["ssh", "-p", "2222"][..])),
            ("  ", Some(&[])),
            (
                "ssh -i 'my key' -F \"a b\"c",
                Some(&["ssh", "-i", "my key", "-F", "a bc"]),
            ),
            ("ssh my\\ key ''", Some(&["ssh", "my key", ""])),
            (
                r#"ssh 'a\b' "c\d" "e\"f" "g\\h" \'"#,
                Some(&["ssh", r"a\b", r"c\d", "e\"f", r"g\h", "'"]),
            ),
            (
                "ssh 'ProxyCommand=ssh -W %h:%p \"jump\"'",
                Some(&["ssh", "ProxyCommand=ssh -W %h:%p \"jump\""]),
            ),
            ("ssh 'my key", None),
            ("ssh \"my key", None),
            ("ssh \\", None),
        ] {
            let words = words.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words_of(line), words, "{line}");
        }
    }

    #[test]
    fn what_goes_to_the_box_is_known_there() {
        let serving = |verb: &'static str| {
            let known = move |flag: &&str| table::flags().any(|row| row.long == *flag && row.serves(Some(verb)));
            PASSED.iter().copied().filter(known).collect::<Vec<_>>()
        };
        assert_eq!(serving("apply"), PASSED);
        assert_eq!(serving("verify"), ["part", "as-is", "unpack", "env-config", "sim"]);
    }
}
