//! The command line: from arguments to one options struct per verb. Parser and `--help` both read the
//! tables in `table`, so that neither can say what the other does not know.

#![forbid(unsafe_code)]

mod help;
#[cfg(feature = "host")]
pub(crate) mod host;
#[cfg(feature = "host")]
pub(crate) mod network;
mod options;
pub(crate) mod recovery;
mod table;
#[cfg(test)]
mod tests;

use crate::base::code::Code;
use crate::base::error::{Failure, Result};
use crate::base::lossless;
use crate::base::quoted::Quoted;
use crate::checks;
use crate::report::{Format, Global, Verbosity};
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use table::Flag;

pub use options::*;

/// Every value that any flag can set, before it is sorted into one verb's options.
#[derive(Default)]
struct Raw {
    global: Global,
    apply: Apply,
    recovery: recovery::Raw,
    #[cfg(feature = "host")]
    network: network::Raw,
    positional: Vec<String>,
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
    let mut raw = Raw::default();
    let mut verb: Option<&'static str> = None;
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(misused)? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                return Ok((raw.global, Verb::Print(help::text(verb))));
            }
            Arg::Long("version") | Arg::Short('V') => {
                return Ok((raw.global, Verb::Print(version())));
            }
            Arg::Value(value) => positional(&mut verb, &mut raw, value)?,
            Arg::Short(_) | Arg::Long(_) => {
                let flag = find(&arg)?;
                if !flag.serves(verb) {
                    return Err(Failure::usage(format_args!(
                        "--{} is no option of {}",
                        flag.long,
                        verb.unwrap_or("flasher")
                    )));
                }
                let value = match flag.value {
                    Some(_) => Some(parser.value().map_err(misused)?),
                    None => None,
                };
                set(&mut raw, flag.long, value)?;
            }
        }
    }
    let Some(verb) = verb else {
        return Err(Failure::usage("no verb given"));
    };
    if table::group(verb).next().is_some() {
        return Err(Failure::usage(format_args!("{verb} needs one of {}", members(verb))));
    }
    let global = raw.global.clone();
    Ok((global, finish(verb, raw)?))
}

/// The first free word is the verb, or a group of verbs whose member is the next word.
fn positional(verb: &mut Option<&'static str>, raw: &mut Raw, value: OsString) -> Result<()> {
    let word = text(value)?;
    *verb = Some(match *verb {
        None => table::verbs()
            .map(|known| known.name.split_once(' ').map_or(known.name, |(group, _)| group))
            .find(|known| *known == word)
            .ok_or_else(|| Failure::usage(format_args!("there is no verb {}", Quoted(&word))))?,
        Some(group) if table::group(group).next().is_some() => table::group(group)
            .map(|known| known.name)
            .find(|known| known.split_once(' ').is_some_and(|(_, member)| member == word))
            .ok_or_else(|| Failure::usage(format_args!("{group} knows {}, not {}", members(group), Quoted(&word))))?,
        Some(verb) => {
            raw.positional.push(word);
            verb
        }
    });
    Ok(())
}

/// The second words of a group.
fn members(group: &str) -> String {
    let members: Vec<_> = table::group(group)
        .filter_map(|verb| Some(verb.name.split_once(' ')?.1))
        .collect();
    members.join(", ")
}

fn find(arg: &Arg<'_>) -> Result<&'static Flag> {
    table::flags()
        .find(|flag| match arg {
            Arg::Long(name) => flag.long == *name || flag.alias == Some(name),
            Arg::Short(name) => flag.shorts.contains(*name),
            Arg::Value(_) => false,
        })
        .ok_or_else(|| Failure::usage(lexopt_name(arg)))
}

fn lexopt_name(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Long(name) => format!("there is no option --{name}"),
        Arg::Short(name) => format!("there is no option -{name}"),
        Arg::Value(value) => format!("unexpected {}", Quoted(&value.to_string_lossy())),
    }
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

fn text(value: OsString) -> Result<String> {
    value.string().map_err(|_| Failure::usage("an argument is no UTF-8"))
}

/// A comma list; empty members are a typing error that must not pass for "no partition".
fn list(flag: &str, value: String) -> Result<Vec<String>> {
    let words: Vec<String> = value.split(',').map(str::to_owned).collect();
    match words.iter().any(String::is_empty) {
        true => Err(Failure::usage(format_args!("--{flag} has an empty name"))),
        false => Ok(words),
    }
}

fn set(raw: &mut Raw, flag: &str, value: Option<OsString>) -> Result<()> {
    let apply = &mut raw.apply;
    let name = value.clone().unwrap_or_default().into_vec();
    let value = match (flag, value) {
        // Names that are bytes: of files, and of partitions as they are listed.
        ("keep", _) => lossless::text(&name),
        ("part", _) => String::from_utf8_lossy(&name).into_owned(),
        (_, Some(value)) => text(value)?,
        (_, None) => String::new(),
    };
    let its = |flags: &[Flag]| flags.iter().any(|known| known.long == flag);
    #[cfg(feature = "host")]
    if its(network::FLAGS) {
        return raw.network.set(flag, value);
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
                other => {
                    return Err(Failure::usage(format_args!(
                        "--format is text or json, not {}",
                        Quoted(other)
                    )));
                }
            }
        }
        "dry-run" => apply.dry_run = true,
        "yes" => apply.yes = true,
        "part" => apply.parts.extend(list(flag, value)?),
        "force" => apply.force.extend(checks::known(&list(flag, value)?)?),
        "backup" => apply.backup = Some(value.into()),
        "env-config" => apply.env_config = Some(value.into()),
        "no-reboot" => apply.no_reboot = true,
        "in-place" => apply.in_place = true,
        "prepare" => apply.prepare = true,
        "rescue-shell" => apply.rescue_shell = true,
        "no-rollback" => apply.on_fault.rollback = false,
        "keep" => apply.files.paths.push(value),
        "keep-to" => apply.files.to = Some(value),
        "mark-bad" => apply.on_fault.mark_bad = true,
        "key" => apply.trust.key = Some(value.into()),
        "sha256" => apply.trust.sha256 = Some(sha256(&value)?),
        "sim" => apply.at.sim = Some(value.into()),
        "board" => apply.at.board = Some(value),
        #[cfg(feature = "host")]
        "updater" => raw.updater = Some(value.into()),
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

fn sha256(value: &str) -> Result<String> {
    let valid = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match valid {
        true => Ok(value.to_ascii_lowercase()),
        false => Err(Failure::usage("--sha256 takes 64 hexadecimal digits")),
    }
}

fn finish(verb: &'static str, raw: Raw) -> Result<Verb> {
    #[cfg(feature = "host")]
    match verb {
        "pat" => return host::pat(&raw.positional, raw.apply.at.board, raw.updater),
        "qpkg" => return host::qpkg(&raw.positional),
        _ => (),
    }
    let Raw {
        mut apply,
        recovery,
        #[cfg(feature = "host")]
        network,
        positional,
        ..
    } = raw;
    if verb == "env" {
        return env(apply, positional);
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
    if apply.prepare && (apply.in_place || apply.at.sim.is_some()) {
        return Err(Failure::usage("--prepare excludes --in-place and --sim"));
    }
    let mut operands = positional.into_iter();
    let mut operand = || operands.next().unwrap_or_default();
    Ok(match verb {
        "apply" | "plan" => {
            apply.image = operand();
            apply.dry_run |= verb == "plan";
            Verb::Apply(apply)
        }
        "restore" => {
            apply.image = operand();
            Verb::Restore(apply)
        }
        "verify" => {
            apply.image = operand();
            Verb::Verify(apply)
        }
        "inspect" => Verb::Inspect { image: operand() },
        "devices" => Verb::Devices(apply.at),
        "status" => Verb::Status(apply.at),
        "backup" => Verb::Backup(Backup {
            dir: operand().into(),
            at: apply.at,
            parts: apply.parts,
        }),
        "sim create" => Verb::SimCreate {
            board: operand(),
            dir: operand().into(),
        },
        #[cfg(feature = "host")]
        "recovery serve" | "recovery config" => Verb::Network(network.finish(verb, operand(), apply.force)),
        _ if verb.starts_with("recovery ") => Verb::Recovery(recovery.finish(verb, operands.next(), apply)?),
        _ => Verb::Print(help::text(None)),
    })
}

/// `env`, `env NAME`, `env set NAME=VALUE…`.
fn env(apply: Apply, mut words: Vec<String>) -> Result<Verb> {
    let set = match words.first().is_some_and(|word| word == "set") {
        true => words.split_off(1),
        false => Vec::new(),
    };
    if words.len() > 1 || set.is_empty() && words.first().is_some_and(|word| word == "set") {
        return Err(Failure::usage("env takes nothing, NAME, or set NAME=VALUE…"));
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

fn version() -> String {
    concat!("flasher ", env!("CARGO_PKG_VERSION")).to_owned()
}
