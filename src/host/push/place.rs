//! A directory on the box for what is put there: made by root just now, in RAM where there is any, and taken away by the box
//! itself as soon as the connection ends, however it ends. It is made by the session that has asked what box it is: on a slow
//! processor each session takes its time.

#![forbid(unsafe_code)]

use super::heard::{Heard, Said, Until};
use super::scratch::random;
use super::ssh::Connection;
use crate::base::digits;
use crate::base::error::{Context, Failure, Result};
use crate::base::quoted::one_line;
use crate::base::shell::quoted;
use crate::base::units::Size;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Take, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::thread::sleep;
use std::time::Duration;

/// KiB that are to be free beside the program: signatures, keys, a profile.
const BESIDE: u64 = 64;
/// Bytes of the longest answer.
const ANSWER: u64 = 64 << 10;
/// How long the box may take to take the directory away.
const LEAVE: Duration = Duration::from_secs(2);

/// What ends the answers of a visit.
const END: &str = "\nflasher-end\n";

/// Hears how much is to be free and how the directory is to be called, makes it where programs can be started, and goes on until
/// its standard input ends.
const MAKE: &str = r#"
read -r free name || exit
trap '' HUP
umask 077
for place in /tmp /dev/shm /run /var/run /var/tmp; do
    [ -d "$place" ] || continue
    set -- $(df -k "$place" 2>/dev/null | tail -n 1)
    while [ $# -gt 3 ]; do shift; done
    case $1 in
        '' | *[!0-9]*) ;;
        *) [ "$1" -ge "$free" ] || { echo "no=$place has $1 KiB free, $free are needed"; continue; } ;;
    esac
    mkdir "$place/$name" 2>/dev/null || { echo "no=$place cannot be written"; continue; }
    printf '#!/bin/sh\nexit 7\n' >"$place/$name/try"
    chmod 700 "$place/$name/try"
    "$place/$name/try" 2>/dev/null
    [ $? = 7 ] || { rm -rf "$place/$name"; echo "no=no program can be started in $place"; continue; }
    rm -f "$place/$name/try"
    echo "yes=$place/$name"
    cat >/dev/null
    rm -rf "$place/$name"
    exit
done
"#;

/// A session at the box, which has answered and can make a directory.
pub struct Visit {
    holder: Holder,
    until: Until,
    stdout: Output,
}

/// What such a session says.
type Output = BufReader<Take<Heard<ChildStdout>>>;

/// What was said, and the session; in its place what was said on standard error where it has ended.
pub type Answered = (Vec<u8>, std::result::Result<Visit, String>);

/// The process that stands for a session, which ends when this is dropped.
struct Holder {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Said,
}

impl Holder {
    /// The exit code of a session that has nothing more to hear, and what it said on standard error.
    fn last_words(mut self, stdout: Output, until: &Until) -> std::io::Result<(Option<i32>, String)> {
        if stdout.get_ref().limit() == 0 {
            return Err(std::io::Error::other("its answer does not end"));
        }
        drop(stdout);
        self.stdin = None;
        let code = until.ended(&mut self.child)?.code();
        Ok((code, self.said.text()))
    }
}

impl Visit {
    /// Has the box answer a script.
    ///
    /// # Errors
    /// A connection that breaks.
    pub fn begin(connection: &Connection<'_>, questions: &str) -> Result<Answered> {
        let mut script = OsString::from(format!("{{\n{questions}\n}} </dev/null\nprintf '\\nflasher-end\\n'\n"));
        script.push(MAKE);
        let until = connection.until();
        let mut child = connection.command(&script).spawn().context("ssh")?;
        let said = Said::of(child.stderr.take(), false);
        let stdin = child.stdin.take();
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure::system("ssh was started without a pipe"))?;
        let mut stdout = BufReader::new(Heard::new(stdout, until.clone()).take(ANSWER));
        let mut answer = Vec::new();
        let holder = Holder { child, stdin, said };
        loop {
            match stdout.read_until(b'\n', &mut answer) {
                Ok(0) => break,
                Ok(_) if answer.ends_with(END.as_bytes()) => {
                    answer.truncate(answer.len() - END.len());
                    return Ok((answer, Ok(Visit { holder, stdout, until })));
                }
                Ok(_) => (),
                Err(error) => return Err(connection.broken(&error.to_string())),
            }
        }
        let (code, said) = holder
            .last_words(stdout, &until)
            .map_err(|error| connection.broken(&error.to_string()))?;
        if connection.is_full(code, &said) {
            return Visit::begin(connection, questions);
        }
        match Connection::breaks(code) {
            true => Err(connection.broken(&said)),
            false => Ok((answer, Err(said))),
        }
    }

    /// Makes a directory with room for so many bytes.
    ///
    /// # Errors
    /// A box that has none.
    pub fn place(self, connection: &Connection<'_>, bytes: u64) -> Result<Place> {
        let Visit {
            mut holder,
            until,
            mut stdout,
        } = self;
        let name = format!("flasher-{}", random()?);
        if let Some(stdin) = &mut holder.stdin {
            let wanted = format!("{} {name}\n", bytes.div_ceil(1 << 10) + BESIDE);
            // One that does not hear it says why.
            let _ = stdin.write_all(wanted.as_bytes());
        }
        let mut refusals = Vec::new();
        for line in stdout.by_ref().lines().map_while(std::io::Result::ok) {
            if let Some(path) = made(&line, &name) {
                return Ok(Place {
                    path: path.to_owned(),
                    _holder: holder,
                });
            }
            refusals.extend(line.strip_prefix("no=").map(one_line));
        }
        let (code, said) = holder
            .last_words(stdout, &until)
            .map_err(|error| connection.broken(&error.to_string()))?;
        if Connection::breaks(code) {
            return Err(connection.broken(&said));
        }
        refusals.extend(said.lines().last().map(one_line));
        Err(Failure::system(format_args!(
            "the box has no directory for flasher, {}: {}",
            Size(bytes),
            refusals.join("; ")
        ))
        .hint("make room in its /tmp, or mount a tmpfs there"))
    }
}

/// The path in the answer that a directory of this name was made.
fn made<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let path = line.strip_prefix("yes=")?;
    let above = path.strip_suffix(name)?;
    (above.starts_with('/') && above.ends_with('/')).then_some(path)
}

/// The directory.
pub struct Place {
    /// Its path there.
    pub path: String,
    _holder: Holder,
}

impl Place {
    /// Puts a file into it.
    ///
    /// # Errors
    /// One that did not arrive whole.
    pub fn put(&self, connection: &Connection<'_>, name: &str, bytes: &[u8]) -> Result<()> {
        let output = connection.run(&self.taking(name), bytes)?;
        let length = String::from_utf8_lossy(&output.stdout);
        // A login may have said something before.
        let length = length.lines().last().unwrap_or_default();
        match output.status.success() && digits::decimal(length.trim()) == Some(bytes.len()) {
            true => Ok(()),
            false => Err(not_put(name, bytes, &output.said)),
        }
    }

    /// The script that takes a file from standard input, and says its length last.
    pub fn taking(&self, name: &str) -> OsString {
        let path = quoted(format!("{}/{name}", self.path));
        let mut script = OsString::from("umask 077; cat >");
        script.push(&path);
        script.push(" && chmod 700 ");
        script.push(&path);
        script.push(" && wc -c <");
        script.push(&path);
        script
    }
}

/// The failure of a file that did not arrive.
pub fn not_put(name: &str, bytes: &[u8], said: &str) -> Failure {
    Failure::system(format_args!(
        "{name} could not be put onto the box, {}: {}",
        Size(bytes.len() as u64),
        one_line(said.trim())
    ))
    .hint("make room in its /tmp")
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stdin = None;
        // One that has gone for its reboot answers no more.
        let step = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while matches!(self.child.try_wait(), Ok(None)) && waited < LEAVE {
            sleep(step);
            waited += step;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_that_was_asked_for_counts() {
        let made = |line| made(line, "flasher-01");
        assert_eq!(made("yes=/tmp/flasher-01"), Some("/tmp/flasher-01"));
        for other in [
            "yes=/tmp/\u{fc}",
            "yes=/etc",
            "yes=flasher-01",
            "yes=/tmp/x-flasher-01",
            "no=/tmp/flasher-01",
        ] {
            assert_eq!(made(other), None, "{other}");
        }
    }
}
