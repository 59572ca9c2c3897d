//! The flasher that the box runs: found here for its processor, put into a directory there that root has just made,
//! and held against what it was here.

#![forbid(unsafe_code)]

use super::images::Beside;
use super::place::{self, Place, Visit};
use super::shell::words;
use super::ssh::Connection;
use super::target::{Processor, Target, processor};
use crate::base::code::Code;
use crate::base::digits;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::files;
use crate::base::quoted::{Quoted, one_line};
use crate::base::units::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A flasher that is ready on the box.
pub struct Installed {
    /// What it says that it is.
    pub version: String,
    /// Its path there.
    pub program: String,
    /// The directory for what else it needs.
    pub place: Place,
}

/// Bytes of the largest one, with all that helps to debug it.
const LARGEST: u64 = 256 << 20;

/// A device binary here.
pub struct Binary {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Binary {
    /// The one that was named, or that for the processor.
    ///
    /// # Errors
    /// [`Exit::Unsupported`] where there is none for it.
    pub fn find(named: Option<&Path>, target: &Target) -> Result<Binary> {
        let path = match (named, &target.processor) {
            (Some(path), _) => path.to_owned(),
            (None, Processor::Other(what)) => return Err(unknown(what)),
            (None, Processor::Known(name)) => {
                let places = places(name);
                places
                    .iter()
                    .find(|path| path.is_file())
                    .cloned()
                    .ok_or_else(|| missing(name, &places))?
            }
        };
        let bytes = files::read_plain(&path, LARGEST).context(path.display())?;
        let own = processor(&bytes, "");
        match (&own, &target.processor) {
            (Processor::Known(own), Processor::Known(box_is)) if own == box_is => Ok(Binary { path, bytes }),
            (_, Processor::Other(what)) => Err(unknown(what)),
            (own, Processor::Known(box_is)) => {
                let own = match own {
                    Processor::Known(name) => (*name).to_owned(),
                    Processor::Other(what) => what.clone(),
                };
                Err(Failure::new(
                    Exit::Unsupported,
                    Code::Cpu,
                    format_args!("{} is for {own}, and the box is {box_is}", path.display()),
                )
                .hint("name another one with --binary, or leave it out"))
            }
        }
    }

    /// Bytes.
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

fn unknown(what: &str) -> Failure {
    Failure::new(
        Exit::Unsupported,
        Code::Cpu,
        format_args!("there is no flasher for the processor of this box: {what}"),
    )
    .hint("flasher runs on armel, i586, mips, mipsel and x86_64")
}

fn missing(name: &str, places: &[PathBuf]) -> Failure {
    let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
    Failure::new(
        Exit::Unsupported,
        Code::NoBinary,
        format_args!(
            "the box is {name}, and there is no flasher for it here: {}",
            places.join(", ")
        ),
    )
    .hint(format!("cross/build {name} makes it; --binary FILE names it"))
}

/// Where the binary for a processor may be. Not in the working directory: what lies there would run as root.
pub(crate) fn places(name: &str) -> Vec<PathBuf> {
    let file = format!("flasher-{name}");
    let own = std::env::current_exe().ok();
    let mut places = own.map_or_else(Vec::new, |own| near(&own, &file));
    places.push(Path::new("/usr/lib/flasher").join(&file));
    places
}

/// Places near this program.
fn near(program: &Path, file: &str) -> Vec<PathBuf> {
    let Some(beside) = program.parent() else {
        return Vec::new();
    };
    let mut places = vec![beside.join(file), beside.join("dist").join(file)];
    // In a checkout it is target/release/flasher. Two directories higher than another place may be one where anybody can write.
    let target = beside.parent().filter(|target| target.ends_with("target"));
    if let Some(checkout) = target.and_then(Path::parent)
        && checkout.join("Cargo.toml").is_file()
    {
        places.push(checkout.join("dist").join(file));
    }
    places
}

/// What is done in the session that brings the program.
pub struct Also<'a> {
    /// Files that are put there before it.
    pub beside: &'a [Beside],
    /// What the box is asked next, where the program and the directory have these paths.
    pub ask: &'a dyn Fn(&str, &str) -> OsString,
}

/// Puts a flasher onto the box, unless it has one of our version, and asks it something. The directory is made in any case.
///
/// # Errors
/// A box without room, and a binary that does not run there or did not arrive as it was.
pub fn install(
    connection: &Connection<'_>,
    target: &Target,
    visit: Visit,
    named: Option<&Path>,
    also: &Also<'_>,
) -> Result<(Installed, Vec<u8>)> {
    let binary = match (&target.flasher, named) {
        (Some(_), None) => None,
        _ => Some(Binary::find(named, target)?),
    };
    let place = visit.place(connection, binary.as_ref().map_or(0, Binary::len))?;
    for file in also.beside {
        place.put(connection, &file.name, &file.bytes)?;
    }
    let mut installed = Installed {
        version: target.own_version.clone(),
        program: match (&binary, &target.flasher) {
            (None, Some(own)) => own.clone(),
            _ => format!("{}/{NAME}", place.path),
        },
        place,
    };
    let ask = (also.ask)(&installed.program, &installed.place.path);
    let answer = match binary {
        None => connection.run(&ask, b"")?.stdout,
        Some(binary) => installed.bring(connection, &binary, &ask)?,
    };
    Ok((installed, answer))
}

/// What it is called there.
const NAME: &str = "flasher";

impl Installed {
    /// Sends the binary and has it read itself and say its version: it runs there, it is whole, and it understands what it will be
    /// told. Answers what the box then said to a question that is put to no other program than this one.
    fn bring(&mut self, connection: &Connection<'_>, binary: &Binary, ask: &OsStr) -> Result<Vec<u8>> {
        let program = words([&self.program]);
        let sha256 = hex(&Sha256::digest(&binary.bytes));
        let mut script = self.place.taking(NAME);
        for part in [
            OsStr::new(" && "),
            &program,
            OsStr::new(" --version && "),
            &program,
            OsStr::new(" apply --pushed --help >/dev/null && read=$("),
            &program,
            OsStr::new(" --format json inspect "),
            &program,
            OsStr::new(") && echo \"$read\" && case $read in *"),
            OsStr::new(&sha256),
            OsStr::new("*)\n"),
            ask,
            OsStr::new("\n;; esac"),
        ] {
            script.push(part);
        }
        let output = connection.run(&script, &binary.bytes)?;
        let said = String::from_utf8_lossy(&output.stdout);
        // A login may have said something before.
        let begin = said.find("\nflasher ").map(|at| at + 1);
        let arrived = said[..begin.unwrap_or(said.len())].lines().last();
        if arrived.and_then(|length| digits::decimal(length.trim())) != Some(binary.bytes.len()) {
            return Err(place::not_put(NAME, &binary.bytes, &output.said));
        }
        let Some(begin) = begin else {
            return Err(Failure::new(
                Exit::Unsupported,
                Code::Cpu,
                format_args!(
                    "{} does not run on this box (exit code {}): {}",
                    binary.path.display(),
                    output.status.code().unwrap_or(-1),
                    one_line(output.said.trim())
                ),
            )
            .hint("its processor or kernel may be older than those that flasher is made for"));
        };
        let mut lines = said[begin..].splitn(3, '\n');
        let runs = lines.next().unwrap_or_default();
        let read = lines.next().and_then(|line| serde_json::from_str::<Value>(line).ok());
        let Some(read) = read else {
            let what = format_args!("{} is {}, which cannot be pushed", binary.path.display(), Quoted(runs));
            return Err(Failure::usage(what).hint("use binaries of one version"));
        };
        if read["sha256"].as_str() != Some(sha256.as_str()) {
            let failure = Failure::system("flasher did not arrive on the box as it was sent");
            return Err(failure.hint("the same command again"));
        }
        self.version = one_line(runs);
        Ok(lines.next().unwrap_or_default().as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_lies_above_the_program_counts_in_a_checkout_only() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let dist = dir.path().join("dist/flasher-mips");
        for (program, counts) in [
            ("target/release/flasher", true),
            ("flasher-1.0/bin/flasher", false),
            ("flasher", false),
        ] {
            let program = dir.path().join(program);
            let places = near(&program, "flasher-mips");
            assert_eq!(places[0], program.with_file_name("flasher-mips"));
            assert_eq!(places[2..].contains(&dist), counts, "{places:?}");
        }
    }
}
