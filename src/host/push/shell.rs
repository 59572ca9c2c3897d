//! What a box's shell is told. ssh hands over one text, which the login shell of the box reads.

#![forbid(unsafe_code)]

use crate::base::shell::quoted;
use std::ffi::{OsStr, OsString};

/// A script for `sh`, as one command of whatever shell the user has there.
pub fn command(script: &OsStr) -> OsString {
    let mut command = OsString::from("exec sh -c ");
    command.push(quoted(script));
    command
}

/// Words of a command, quoted and apart.
pub fn words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> OsString {
    let mut all = OsString::new();
    for word in words {
        if !all.is_empty() {
            all.push(" ");
        }
        all.push(quoted(word));
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    #[test]
    fn whatever_is_in_a_word_reaches_the_program_as_it_is() {
        let odd: Vec<OsString> = [
            "",
            "a b",
            "it's",
            "$(reboot)",
            "`x`",
            "-n",
            "a\nb",
            "\\",
            "*",
            "'\\''",
            "ü\u{1b}",
        ]
        .map(OsString::from)
        .into_iter()
        .chain([OsString::from_vec(vec![0xff, b'\'', 0x80])])
        .collect();
        let mut script = OsString::from("printf '%s\\0' ");
        script.push(words(&odd));
        let output = Command::new("sh").arg("-c").arg(command(&script)).output().unwrap();
        let said: Vec<OsString> = output
            .stdout
            .split(|byte| *byte == 0)
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect();
        assert_eq!(said[..said.len() - 1], odd);
    }
}
