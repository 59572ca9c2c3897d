//! The words of a command line, looked up in the tables: verbs, the members of their groups, and flags.

#![forbid(unsafe_code)]

use super::table;
use super::table::Flag;
use crate::base::error::{Failure, Result};
use crate::base::quoted::{Quoted, one_line};
use crate::base::suggest::did_you_mean;
use lexopt::Arg;

/// The verb that this word continues; the first free word is a verb, or a group of verbs whose member is the next word.
/// `None` if the verb has all of its words already.
pub(super) fn verb(verb: Option<&'static str>, word: &str) -> Result<Option<&'static str>> {
    Ok(Some(match verb {
        None => table::first_words().find(|known| *known == word).ok_or_else(|| {
            let meant = did_you_mean("", word, &mut table::first_words());
            Failure::usage(format_args!("there is no verb {}{meant}", Quoted(word)))
        })?,
        Some(group) if table::is_group(group) => {
            let name = [group, " ", word].concat();
            let mut names = table::group(group).map(|known| known.name);
            names.find(|known| *known == name).ok_or_else(|| {
                let meant = did_you_mean("", word, &mut table::members(group));
                Failure::usage(format_args!(
                    "{group} has no verb {}, only {}{meant}",
                    Quoted(word),
                    members(group)
                ))
            })?
        }
        Some(_) => return Ok(None),
    }))
}

/// The verb or group that these words name; `None` for no word. What stands behind the verb, as in `help env set`, is on its page.
pub(super) fn named(words: &[String]) -> Result<Option<&'static str>> {
    let mut found = None;
    for word in words {
        found = match verb(found, word)? {
            None => break,
            more => more,
        };
    }
    Ok(found)
}

/// The second words of a group, for a message.
pub(super) fn members(group: &str) -> String {
    table::members(group).collect::<Vec<_>>().join(", ")
}

/// The flag that an argument names.
pub(super) fn flag(arg: &Arg<'_>, verb: Option<&'static str>) -> Result<&'static Flag> {
    let known = table::flags().find(|flag| match arg {
        Arg::Long(name) => flag.long == *name || flag.alias == Some(name),
        Arg::Short(name) => flag.shorts.contains(*name),
        Arg::Value(_) => false,
    });
    match known {
        Some(flag) if flag.serves(verb) => Ok(flag),
        Some(flag) => Err(Failure::usage(match verb {
            None => format!("--{} stands behind its verb: {}", flag.long, flag.verbs.join(", ")),
            Some(verb) => format!("--{} is not an option of {verb}", flag.long),
        })),
        None => Err(Failure::usage(match arg {
            Arg::Long(name) => {
                // Before the verb any flag may be meant.
                let near = table::flags().filter(|flag| verb.is_none() || flag.serves(verb));
                let words = ["help", "version"].into_iter();
                let meant = did_you_mean("--", name, &mut near.map(|flag| flag.long).chain(words));
                format!("there is no option --{}{meant}", one_line(name))
            }
            Arg::Short(name) => format!("there is no option -{}", name.escape_debug()),
            Arg::Value(value) => format!("unexpected {}", Quoted(&value.to_string_lossy())),
        })),
    }
}
