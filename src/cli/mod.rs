//! The command line: from arguments to one options struct per verb. Parser and `--help` both read the
//! tables in `table`, so that neither can say what the other does not know.

#![forbid(unsafe_code)]

pub(crate) mod help;
#[cfg(feature = "host")]
pub(crate) mod host;
mod lookup;
#[cfg(feature = "host")]
pub(crate) mod network;
mod options;
pub(crate) mod poll;
#[cfg(feature = "host")]
pub(crate) mod push;
pub(crate) mod recovery;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use crate::base::code::Code;
use crate::base::error::{Failure, HELP, Result};
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::base::sizes;
use crate::checks;
use crate::checks::request::Checksum;
use crate::image::Unpacking;
use crate::layout::Choice;
use crate::report::listen::Listen;
use crate::report::{Format, Global, Verbosity};
use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use table::Flag;

pub use options::*;

/// Every value that any flag can set, before it is sorted into one verb's options.
#[derive(Default)]
struct Raw {
    global: Global,
    apply: Apply,
    poll: poll::Raw,
    recovery: recovery::Raw,
    #[cfg(feature = "host")]
    network: network::Raw,
    #[cfg(feature = "host")]
    push: push::Raw,
    positional: Vec<String>,
    /// `devices --profile`.
    profile: bool,
    #[cfg(feature = "host")]
    updater: Option<std::path::PathBuf>,
}

/// How an error is to be told whose words could not all be read.
pub fn format(words: &[OsString]) -> Format {
    let two = words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    match two || words.iter().any(|word| word == "--format=json") {
        true => Format::Json,
        false => Format::Text,
    }
}

/// Reads the command line.
///
/// # Errors
/// [`crate::base::error::Exit::Usage`] with the name of what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Global, Verb)> {
    let mut verb = None;
    read(args.into_iter().collect(), &mut verb).map_err(|failure| match verb {
        Some(verb) if verb != "help" && failure.hint.as_deref() == Some(HELP) => {
            failure.hint(format!("flasher {verb} --help"))
        }
        _ => failure,
    })
}

fn read(args: Vec<OsString>, verb: &mut Option<&'static str>) -> Result<(Global, Verb)> {
    let mut raw = Raw::default();
    raw.apply.typed = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut parser = Parser::from_args(args);
    let mut given = Vec::new();
    while let Some(arg) = parser.next().map_err(misused)? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                return Ok((raw.global, Verb::Print(help::text(*verb))));
            }
            Arg::Long("version") | Arg::Short('V') => return Ok((raw.global, Verb::Version)),
            Arg::Value(value) => {
                let word = lossless::text(&value.into_vec());
                match lookup::verb(*verb, &word)? {
                    // A variable of a script that is not set; as a path it would be the directory that somebody is in.
                    None if word.is_empty() => return Err(Failure::usage("an operand is empty")),
                    None => raw.positional.push(word),
                    more => *verb = more,
                }
            }
            Arg::Short(_) | Arg::Long(_) => {
                let flag = lookup::flag(&arg, *verb)?;
                let value = match flag.value {
                    Some(_) if flag.is_optional() => parser.optional_value(),
                    Some(_) => Some(parser.value().map_err(misused)?),
                    None => None,
                };
                if !flag.is_optional() && value.as_ref().is_some_and(|value| value.is_empty()) {
                    return Err(Failure::usage(format_args!("the value of --{} is empty", flag.long)));
                }
                // Neither of two values is dropped without a word: a checksum, a key, a box.
                if flag.is_alone() && given.contains(&flag.long) {
                    return Err(Failure::usage(format_args!("--{} is given twice", flag.long)));
                }
                given.push(flag.long);
                set(&mut raw, flag.long, value)?;
            }
        }
    }
    let Some(verb) = *verb else {
        return Err(Failure::usage("no verb given"));
    };
    if table::is_group(verb) {
        return Err(Failure::usage(format_args!(
            "{verb} needs one of {}",
            lookup::members(verb)
        )));
    }
    let global = raw.global.clone();
    Ok((global, finish(verb, raw)?))
}

fn misused(error: lexopt::Error) -> Failure {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => Failure::usage(format_args!(
            "option '{option}' takes no value, not even {}",
            Quoted(&value.to_string_lossy())
        )),
        // No other that the parser itself makes prints its argument through Debug.
        other => Failure::usage(other),
    }
}

/// The failure of a flag whose value is none of what it takes.
fn takes(flag: &str, what: &str, value: &str) -> Failure {
    Failure::usage(format_args!("--{flag} takes {what}, not {}", Quoted(value)))
}

/// A comma list; empty members are a typing error that must not pass for "no partition".
fn list(flag: &str, value: &str) -> Result<Vec<String>> {
    let words: Vec<String> = value.split(',').map(str::to_owned).collect();
    match words.iter().any(String::is_empty) {
        true => Err(Failure::usage(format_args!("--{flag} has an empty name"))),
        false => Ok(words),
    }
}

fn set(raw: &mut Raw, flag: &str, value: Option<OsString>) -> Result<()> {
    #[cfg(feature = "host")]
    raw.push.pass(flag, value.as_ref());
    let apply = &mut raw.apply;
    let value = value.unwrap_or_default().into_vec();
    let value = match flag {
        // Partitions are listed like this too.
        "part" => String::from_utf8_lossy(&value).into_owned(),
        _ => lossless::text(&value),
    };
    let its = |flags: &[Flag]| flags.iter().any(|known| known.long == flag);
    #[cfg(feature = "host")]
    if its(network::FLAGS) {
        return raw.network.set(flag, value);
    }
    #[cfg(feature = "host")]
    if its(push::FLAGS) {
        return raw.push.set(flag, value);
    }
    if its(poll::FLAGS) {
        return raw.poll.set(flag, value);
    }
    if its(recovery::FLAGS) {
        raw.recovery.set(flag, value);
        return Ok(());
    }
    match flag {
        "quiet" => raw.global.verbosity = Verbosity::Quiet,
        "verbose" => raw.global.verbosity = Verbosity::Verbose,
        "format" => {
            raw.global.format = match value.as_str() {
                "text" => Format::Text,
                "json" => Format::Json,
                other => return Err(takes(flag, "text or json", other)),
            }
        }
        "profile" => raw.profile = true,
        "dry-run" => apply.dry_run = true,
        "yes" => apply.yes = true,
        "part" => {
            for word in list(flag, &value)? {
                let choice = Choice::parse(&word).ok_or_else(|| takes(flag, "NAME or NAME=MEMBER", &word))?;
                apply.parts.push(choice);
            }
        }
        "as-is" => unpacking(apply, Unpacking::Never)?,
        "unpack" => unpacking(apply, Unpacking::Always)?,
        "force" => apply.force.extend(checks::known(&list(flag, &value)?)?),
        "backup" => apply.backup = Some(lossless::path(&value)),
        "env-config" => apply.env_config = Some(lossless::path(&value)),
        "pushed" => apply.pushed = true,
        "no-reboot" => apply.no_reboot = true,
        "in-place" => apply.in_place = true,
        "prepare" => apply.prepare = true,
        "rescue-shell" => apply.rescue_shell = true,
        "rescue-network" => apply.rescue_network = true,
        "listen" => {
            let wanted = Listen::parse(&value);
            apply.listen = Some(wanted.ok_or_else(|| takes(flag, "=PORT or =ADDRESS:PORT", &value))?);
        }
        "no-rollback" => apply.on_fault.rollback = false,
        "keep" => apply.keep.paths.push(value),
        "keep-to" => apply.keep.to = Some(value),
        "no-keep" => apply.keep.nothing = true,
        "mark-bad" => apply.on_fault.mark_bad = true,
        "key" => apply.trust.key = Some(lossless::path(&value)),
        "sha256" => {
            apply.trust.sha256 = Some(Checksum::of(value).ok_or_else(|| {
                Failure::usage("--sha256 takes 64 hexadecimal digits, or a file as sha256sum writes it")
            })?);
        }
        "fetch-config" => apply.trust.access.config = Some(lossless::path(&value)),
        "size" => {
            let what = "a number of bytes, such as 1048576, 0x100000 or 1M";
            apply.trust.size = Some(sizes::parse(&value).ok_or_else(|| takes(flag, what, &value))?);
        }
        "sim" => apply.at.sim = Some(lossless::path(&value)),
        "board" => apply.at.board = Some(value),
        #[cfg(feature = "host")]
        "updater" => raw.updater = Some(lossless::path(&value)),
        other => {
            return Err(Failure::new(
                crate::base::error::Exit::Bug,
                Code::Bug,
                format_args!("--{other} is in the table and nowhere else"),
            ));
        }
    }
    Ok(())
}

/// The two exclude each other.
fn unpacking(apply: &mut Apply, wanted: Unpacking) -> Result<()> {
    match apply.unpacking {
        Unpacking::Known => apply.unpacking = wanted,
        other if other == wanted => (),
        _ => return Err(Failure::usage("--as-is and --unpack exclude each other")),
    }
    Ok(())
}

/// Whether an operand is `PARTITION=FILE`. A path that has a `=` in it is written with `./` in front.
fn with_partition(operand: &str) -> Option<File> {
    let (partition, image) = operand.split_once('=')?;
    let path = partition.contains('/') && !partition.starts_with("/dev/");
    (!path && !partition.is_empty()).then(|| File {
        partition: partition.to_owned(),
        image: image.to_owned(),
    })
}

/// `IMAGE`, or `PARTITION=FILE` once or more often.
fn images(verb: &str, apply: &mut Apply, operands: &[String]) -> Result<()> {
    let files: Vec<_> = operands.iter().filter_map(|operand| with_partition(operand)).collect();
    if files.is_empty() && operands.len() == 1 {
        apply.image.clone_from(&operands[0]);
        return Ok(());
    }
    if let Some(empty) = files.iter().find(|file| file.image.is_empty()) {
        return Err(Failure::usage(format_args!(
            "there is no file for {}",
            Quoted(&empty.partition)
        )));
    }
    if files.len() != operands.len() {
        let failure = Failure::usage(format_args!(
            "{verb} takes one IMAGE, or PARTITION=FILE for each of several, but {} were given",
            operands.len()
        ));
        return Err(failure.hint(format!("flasher {verb} Kernel=uImage RootFS1=initrd")));
    }
    if !apply.parts.is_empty() {
        return Err(Failure::usage(
            "--part is not for PARTITION=FILE, which names the partition itself",
        ));
    }
    match <[File; 1]>::try_from(files) {
        Ok([only]) => {
            apply.image = only.image;
            apply.parts.push(Choice {
                partition: only.partition,
                member: None,
            });
        }
        Err(files) => {
            let names: Vec<_> = files.iter().map(|file| file.image.as_str()).collect();
            apply.image = names.join(", ");
            apply.files = files;
        }
    }
    Ok(())
}

fn finish(verb: &'static str, raw: Raw) -> Result<Verb> {
    #[cfg(feature = "host")]
    match verb {
        "pat" => return host::pat(&raw.positional, raw.apply.at.board, raw.updater),
        "qpkg" => return host::qpkg(&raw.positional),
        "manual" => return host::manual(&raw.positional),
        _ => (),
    }
    let Raw {
        mut apply,
        poll,
        recovery,
        #[cfg(feature = "host")]
        network,
        #[cfg(feature = "host")]
        push,
        positional,
        profile,
        ..
    } = raw;
    #[cfg(feature = "host")]
    if verb == "push" {
        exclusive(&apply)?;
        return Ok(Verb::Push(Box::new(push.finish(apply, &positional)?)));
    }
    if verb == "help" {
        return Ok(Verb::Print(help::text(lookup::named(&positional)?)));
    }
    if verb == "env" {
        return env(apply, positional);
    }
    if ["apply", "plan", "verify"].contains(&verb) && !positional.is_empty() {
        images(verb, &mut apply, &positional)?;
        exclusive(&apply)?;
        apply.dry_run |= verb == "plan";
        return Ok(match verb {
            "verify" => Verb::Verify(apply),
            _ => Verb::Apply(apply),
        });
    }
    let wanted = table::verb(verb).operands;
    let least = wanted.iter().filter(|operand| !operand.starts_with('[')).count();
    if !(least..=wanted.len()).contains(&positional.len()) {
        return Err(Failure::usage(format_args!(
            "{verb} takes {}, but {} given",
            match wanted.is_empty() {
                true => "no operand".to_owned(),
                false => wanted.join(" "),
            },
            match positional.len() {
                0 => "nothing was".to_owned(),
                1 => "1 was".to_owned(),
                n => format!("{n} were"),
            }
        )));
    }
    exclusive(&apply)?;
    let typed = std::mem::take(&mut apply.typed);
    let mut operands = positional.into_iter();
    let mut operand = || operands.next().unwrap_or_default();
    Ok(match verb {
        "restore" => {
            apply.image = operand();
            Verb::Restore(apply)
        }
        "inspect" => Verb::Inspect {
            image: operand(),
            access: apply.trust.access,
            typed,
        },
        "devices" => Verb::Devices { at: apply.at, profile },
        "status" => Verb::Status(apply.at),
        "poll" => Verb::Poll(Box::new(poll.finish(apply))),
        "backup" => Verb::Backup(Backup {
            dir: lossless::path(&operand()),
            at: apply.at,
            parts: names(apply.parts)?,
        }),
        "sim create" => Verb::SimCreate {
            board: operand(),
            dir: lossless::path(&operand()),
        },
        #[cfg(feature = "host")]
        "demo" => Verb::Demo,
        #[cfg(feature = "host")]
        "recovery serve" | "recovery config" => Verb::Network(network.finish(verb, operand(), apply.force)),
        _ if verb.starts_with("recovery ") => Verb::Recovery(recovery.finish(verb, operands.next(), apply)?),
        _ => Verb::Print(help::text(None)),
    })
}

fn exclusive(apply: &Apply) -> Result<()> {
    if apply.keep.nothing && (!apply.keep.paths.is_empty() || apply.keep.to.is_some()) {
        return Err(Failure::usage("--no-keep excludes --keep and --keep-to"));
    }
    match apply.prepare && (apply.in_place || apply.at.sim.is_some()) {
        true => Err(Failure::usage("--prepare excludes --in-place and --sim")),
        false => Ok(()),
    }
}

/// Partitions alone.
fn names(choices: Vec<Choice>) -> Result<Vec<String>> {
    let of = |choice: Choice| match choice.member {
        None => Ok(choice.partition),
        Some(_) => Err(Failure::usage(format_args!(
            "--part {choice}: only apply, plan and verify take members"
        ))),
    };
    choices.into_iter().map(of).collect()
}

/// `env`, `env NAME`, `env set NAME=VALUE…`.
fn env(apply: Apply, mut words: Vec<String>) -> Result<Verb> {
    if words.iter().any(|word| word.contains(|c| lossless::byte(c).is_some())) {
        return Err(Failure::usage("a variable of the environment is UTF-8"));
    }
    let set = match words.first().is_some_and(|word| word == "set") {
        true => words.split_off(1),
        false => Vec::new(),
    };
    if words.len() > 1 || set.is_empty() && words.first().is_some_and(|word| word == "set") {
        return Err(Failure::usage("env takes nothing, NAME, or set NAME=VALUE…"));
    }
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    for (index, word) in set.iter().enumerate() {
        if set[..index].iter().any(|other| name(other) == name(word)) {
            return Err(Failure::usage(format_args!("{} is given twice", Quoted(&name(word)))));
        }
    }
    if set.is_empty() && (apply.dry_run || !apply.force.is_empty()) {
        return Err(Failure::usage("only env set changes anything"));
    }
    Ok(Verb::Env(Env {
        at: apply.at,
        config: apply.env_config,
        name: words.pop().filter(|_| set.is_empty()),
        set,
        force: apply.force,
        dry_run: apply.dry_run,
    }))
}
