//! `pat create|list|extract|check`: Synology's `.pat` files on a workstation.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::elf::Elf;
use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::files;
use crate::base::files::Readers;
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::units::{Grouped, Size};
use crate::board::profile::Profile;
use crate::bytes::packed::Codec;
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::bytes::tar;
use crate::bytes::tar_entries::{self, FILE};
use crate::bytes::tar_write;
use crate::bytes::tar_write::Head;
use crate::cli::host::{Pat as Verb, PatCreate};
use crate::host::archive;
use crate::image::pat;
use crate::image::pat::{CHECKSUMS, Line, Pat, Sum, VERSION};
use crate::report::Reporter;
use serde::Serialize;
use std::fs::File;
use std::io;
use std::path::Path;

#[derive(Serialize)]
struct MemberReport {
    name: String,
    size: u64,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<String>,
    ok: bool,
    members: Vec<MemberReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

/// Does it.
///
/// # Errors
/// Files that cannot be read or written, or are no `.pat`.
pub fn run(verb: Verb, reporter: &mut Reporter) -> Result<Exit> {
    match verb {
        Verb::Create(options) => create(&options, reporter),
        // It shows what is there, also of one that no box would take.
        Verb::List { file } => {
            let (store, pat) = whatever(&file)?;
            report(&store, &pat, reporter)?;
            Ok(Exit::Done)
        }
        Verb::Check { file } => {
            let (store, pat) = whatever(&file)?;
            match report(&store, &pat, reporter)? {
                true => Ok(Exit::Done),
                false => Err(not_right(&file)),
            }
        }
        Verb::Extract { file, dir } => {
            let (store, pat) = open(&file)?;
            for member in &pat.members {
                if let Some(problem) = pat.problem(&store, member).context(&file)? {
                    return Err(archive::bad(format_args!("{file}: {problem}")));
                }
            }
            archive::apart(pat.members.iter().map(|member| member.name.clone()))?;
            archive::fresh_dir(&dir)?;
            archive::unpack(&store, &pat.members, &dir)?;
            report(&store, &pat, reporter)?;
            Ok(Exit::Done)
        }
    }
}

fn not_right(file: &str) -> Failure {
    archive::bad(format_args!("{file} is not what its {CHECKSUMS} lists"))
}

/// Opens a `.pat` whose list is right.
fn open(file: &str) -> Result<(Store<'_>, Pat)> {
    let (store, pat) = whatever(file)?;
    match pat.problems.first() {
        Some(problem) => Err(archive::bad(format_args!("{file}: {problem}"))),
        None => Ok((store, pat)),
    }
}

/// Opens a `.pat`, plain or packed, whatever is in its list.
fn whatever(file: &str) -> Result<(Store<'_>, Pat)> {
    let (mut store, _) = Source::open(file)?.in_place()?;
    let all = 0..store.len();
    if pat::is_encrypted(&store, &all).context(file)? {
        return Err(Failure::new(
            Exit::Unsupported,
            Code::Encrypted,
            format_args!("{file} is an encrypted .pat, as DSM 7 has them: only Synology's boxes can open it"),
        )
        .hint("let the box install it, or use a .pat of DSM 6 or older"));
    }
    if let Some(codec) = Codec::at(&store, &all).context(file)? {
        store = archive::open(&store, all, codec)?;
    }
    let bad = |error: io::Error| archive::bad(format_args!("{file}: {error}"));
    let all = 0..store.len();
    let pat = match tar_entries::is_tar(&store, &all).map_err(bad)? {
        true => Pat::whatever_is_listed(&store, tar::walk_all(&store, all).map_err(bad)?).map_err(bad)?,
        false => None,
    };
    match pat {
        Some(pat) => Ok((store, pat)),
        None => Err(archive::bad(format_args!(
            "{file} is not a .pat: not a tar with a {CHECKSUMS} in it"
        ))),
    }
}

fn report(store: &Store, pat: &Pat, reporter: &mut Reporter) -> Result<bool> {
    let mut members = Vec::new();
    for member in &pat.members {
        let problem = pat.problem(store, member).context(&member.name)?;
        members.push(MemberReport {
            name: member.name.clone(),
            size: member.data.end - member.data.start,
            ok: problem.is_none(),
            problem,
        });
    }
    let report = Report {
        unique: pat.unique.clone(),
        ok: members.iter().all(|member| member.ok) && pat.problems.is_empty(),
        members,
        problems: pat.problems.clone(),
    };
    if reporter.json() {
        reporter.object(&report);
        return Ok(report.ok);
    }
    if let Some(unique) = &report.unique {
        reporter.line(&format!("for {unique}"));
    }
    for member in &report.members {
        let problem = match &member.problem {
            Some(problem) => format!(": BAD: {problem}"),
            None => String::new(),
        };
        reporter.line(&format!(
            "  {:>10}  {}{problem}",
            Size(member.size).to_string(),
            member.name
        ));
    }
    for problem in &report.problems {
        reporter.line(&format!("BAD: {problem}"));
    }
    Ok(report.ok)
}

/// A file on its way into the archive.
struct Entry {
    name: String,
    mode: u32,
    bytes: Vec<u8>,
}

impl Entry {
    fn head(&self) -> Head<'_> {
        Head {
            name: &self.name,
            kind: FILE,
            mode: self.mode,
            uid: 0,
            gid: 0,
            size: self.bytes.len() as u64,
            mtime: DATE,
            link: "",
        }
    }
}

fn create(options: &PatCreate, reporter: &mut Reporter) -> Result<Exit> {
    let board = options
        .board
        .as_deref()
        .ok_or_else(|| Failure::usage("pat create needs --board").hint("add --board synology-ds213j"))?;
    let profile = Profile::find(board)?;
    let unique = profile.synology.first().cloned().ok_or_else(|| {
        Failure::new(
            Exit::Unsupported,
            Code::Board,
            format_args!("{board} is not a box that takes a .pat"),
        )
        .hint("flasher pat create --board synology-ds213j …")
    })?;
    let mut inputs = options.files.iter().chain(&options.updater);
    if inputs.any(|input| files::same(input, &options.out)) {
        return Err(Failure::usage(format_args!(
            "{} is one of the files that go into the .pat",
            options.out.display()
        ))
        .hint("name the .pat first: flasher pat create --board BOARD new.pat FILE…"));
    }
    let mut entries = vec![updater(options.updater.as_deref(), &profile)?];
    for path in &options.files {
        entries.push(entry(path, &profile)?);
    }
    if !entries.iter().any(|entry| entry.name == VERSION) {
        entries.push(Entry {
            name: VERSION.into(),
            mode: 0o644,
            bytes: format!("unique=\"{unique}\"\n").into_bytes(),
        });
    }
    for (index, entry) in entries.iter().enumerate() {
        let twin = entries[..index].iter().any(|other| other.name == entry.name);
        if twin || entry.name == CHECKSUMS {
            return Err(
                Failure::usage(format_args!("{} would be in the .pat twice", Quoted(&entry.name)))
                    .hint("name each file once; updater and checksum.syno are made here"),
            );
        }
    }
    let lines: Vec<Line> = entries
        .iter()
        .map(|entry| {
            let mut sum = Sum::new(entry.bytes.len() as u64);
            sum.update(&entry.bytes);
            sum.line(&entry.name)
        })
        .collect();
    entries.push(Entry {
        name: CHECKSUMS.into(),
        mode: 0o644,
        bytes: pat::format_checksum_syno(&lines).into_bytes(),
    });
    files::replace(&options.out, Readers::Everyone, |file| {
        write(file, &entries).context(options.out.display())
    })?;
    let out = lossless::of(&options.out);
    let (store, pat) = open(&out)?;
    match report(&store, &pat, reporter)? {
        true => Ok(Exit::Done),
        false => Err(not_right(&out)),
    }
}

/// The program that the box will run: any for its processor, or a script; this one if none is named.
fn updater(path: Option<&Path>, profile: &Profile) -> Result<Entry> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("this program")?,
    };
    let bytes = files::read_plain(&path, archive::LIMIT).context(path.display())?;
    let script = bytes.starts_with(b"#!");
    match profile.cpu {
        Some(cpu) if !script && Elf::of(&bytes).and_then(|elf| elf.cpu()) != Some(cpu) => Err(Failure::new(
            Exit::ImageBad,
            Code::Cpu,
            format_args!(
                "{} is neither a script nor a program for {} {} processors, which {} has",
                path.display(),
                cpu.order.as_str(),
                cpu.arch.as_str(),
                profile.id
            ),
        )
        .hint("name flasher's binary for the box with --updater, or another program or script; cross/build makes the binary")),
        _ => Ok(Entry {
            name: "updater".into(),
            mode: 0o755,
            bytes,
        }),
    }
}

/// A file of the user's, which must fit the partition of its name.
fn entry(path: &Path, profile: &Profile) -> Result<Entry> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| !name.contains(char::is_whitespace) && name.len() <= NAME)
        .ok_or_else(|| {
            Failure::usage(format_args!("{}: no name for a member of a .pat", path.display()))
                .hint("rename the file: as the partition that it is for, without blanks")
        })?;
    let bytes = files::read_plain(path, archive::LIMIT).map_err(|error| {
        Failure::new(
            Exit::ImageUnreadable,
            Code::ImageUnreadable,
            format_args!("{}: {error}", path.display()),
        )
    })?;
    if let Some(partition) = profile.partition(name).filter(|p| p.size < bytes.len() as u64) {
        return Err(Failure::new(
            Exit::ImageBad,
            Code::Size,
            format_args!(
                "{name} has {} bytes and its partition {}: {} bytes too many",
                Grouped(bytes.len() as u64),
                Grouped(partition.size),
                Grouped(bytes.len() as u64 - partition.size)
            ),
        )
        .hint("use a smaller one"));
    }
    Ok(Entry {
        name: name.to_owned(),
        mode: 0o644,
        bytes,
    })
}

/// Bytes of a name that every tar has room for.
const NAME: usize = 100;
/// The first of January 2009.
const DATE: u64 = 1_230_768_000;

fn write(file: &mut File, entries: &[Entry]) -> io::Result<()> {
    for entry in entries {
        // No time of this machine, so that the same files give the same .pat; and none that tar calls implausible.
        tar_write::append(&entry.head(), &mut entry.bytes.as_slice(), file)?;
    }
    tar_write::end(file)
}
