//! A directory on the box for what is put there: made by root just now, in RAM where there is any, and taken away by the box
//! itself as soon as the connection ends, however it ends.

#![forbid(unsafe_code)]

use super::scratch::random;
use super::ssh::Connection;
use crate::base::error::{Context, Failure, Result};
use crate::base::quoted::one_line;
use crate::base::shell::quoted;
use crate::base::units::Size;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin};
use std::thread::sleep;
use std::time::Duration;

/// KiB that are to be free beside the program: signatures, keys, a profile.
const BESIDE: u64 = 64;
/// Bytes of the longest answer.
const ANSWER: u64 = 64 << 10;
/// How long the box may take to take the directory away.
const LEAVE: Duration = Duration::from_secs(2);

/// Makes the directory where programs can be started, and goes on until its standard input ends.
const MAKE: &str = r#"
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

/// The directory.
pub struct Place {
    /// Its path there.
    pub path: String,
    holder: Child,
    stdin: Option<ChildStdin>,
}

impl Place {
    /// Makes one with room for so many bytes.
    ///
    /// # Errors
    /// A box that has none.
    pub fn make(connection: &Connection<'_>, bytes: u64) -> Result<Place> {
        let mut script = OsString::from(format!(
            "free={}\nname=flasher-{}\n",
            bytes.div_ceil(1 << 10) + BESIDE,
            random()?
        ));
        script.push(MAKE);
        let mut holder = connection.command(&script).spawn().context("ssh")?;
        let stdin = holder.stdin.take();
        let mut refusals = Vec::new();
        if let Some(stdout) = holder.stdout.take() {
            for line in BufReader::new(stdout.take(ANSWER))
                .lines()
                .map_while(std::io::Result::ok)
            {
                if let Some(path) = line.strip_prefix("yes=").filter(|path| path.starts_with('/')) {
                    return Ok(Place {
                        path: path.to_owned(),
                        holder,
                        stdin,
                    });
                }
                refusals.extend(line.strip_prefix("no=").map(one_line));
            }
        }
        drop(stdin);
        let output = holder.wait_with_output().context("ssh")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if connection.is_full(output.status.code(), &said) {
            return Place::make(connection, bytes);
        }
        if output.status.code() == Some(255) {
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

    /// Puts a file into it.
    ///
    /// # Errors
    /// One that did not arrive whole.
    pub fn put(&self, connection: &Connection<'_>, name: &str, bytes: &[u8]) -> Result<()> {
        let path = quoted(format!("{}/{name}", self.path));
        let mut script = OsString::from("umask 077; cat >");
        script.push(&path);
        script.push(" && chmod 700 ");
        script.push(&path);
        script.push(" && wc -c <");
        script.push(&path);
        let output = connection.run(&script, bytes)?;
        let length = String::from_utf8_lossy(&output.stdout);
        // A login may have said something before.
        let length = length.lines().last().unwrap_or_default();
        match output.status.success() && length.trim().parse() == Ok(bytes.len()) {
            true => Ok(()),
            false => Err(Failure::system(format_args!(
                "{name} could not be put onto the box, {}: {}",
                Size(bytes.len() as u64),
                one_line(String::from_utf8_lossy(&output.stderr).trim())
            ))
            .hint("make room in its /tmp")),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stdin = None;
        // One that has gone for its reboot answers no more.
        let step = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while matches!(self.holder.try_wait(), Ok(None)) && waited < LEAVE {
            sleep(step);
            waited += step;
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
