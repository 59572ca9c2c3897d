//! `env`: shows the boot loader's environment. `env set` goes the way of every update.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::machine::Order;
use crate::base::quoted::Shown;
use crate::cli::Env;
use crate::env::{Medium, Variables};
use crate::plan::told::number;
use crate::report::Reporter;
use crate::update;
use serde::Serialize;

#[derive(Serialize)]
struct CopyReport<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mtd: Option<u32>,
    #[serde(skip)]
    label: String,
    partition: String,
    offset: i64,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Report<'a> {
    size: u64,
    order: &'static str,
    copies: Vec<CopyReport<'a>>,
    /// Why it is only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_read: Option<&'a str>,
    variables: &'a Variables,
}

/// Prints the environment, or one value of it.
///
/// # Errors
/// An environment that is not known or not whole; [`Exit::Different`] for a variable that it has not.
pub fn show(options: &Env, reporter: &mut Reporter) -> Result<Exit> {
    let (board, environment) = update::read_environment(options)?;
    let variables = &environment.variables;
    if let Some(name) = &options.name {
        let value = variables.get(name).ok_or_else(|| {
            Failure::new(
                Exit::Different,
                Code::NotSet,
                format_args!("the environment has no {name}"),
            )
            .hint("flasher env")
        })?;
        match reporter.json() {
            true => reporter.object(&value),
            false => reporter.line(&value),
        }
        return Ok(Exit::Done);
    }
    let copies = environment.place.spots.iter().zip(&environment.copies).enumerate();
    let copies = copies
        .map(|(index, (spot, copy))| {
            let (mtd, label, partition) = match &spot.medium {
                Medium::Flash(id) => {
                    let partition = spot.of(&board)?;
                    (Some(number(*id)), partition.label(), partition.name.clone())
                }
                Medium::File(path) => {
                    let path = path.to_string_lossy().into_owned();
                    (None, Shown(&path).to_string(), path)
                }
            };
            Ok(CopyReport {
                mtd,
                label,
                partition,
                offset: spot.offset,
                active: index == environment.active,
                flags: environment.place.redundant().then_some(copy.flags),
                problem: copy.problem,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if reporter.json() {
        reporter.object(&Report {
            size: environment.place.spots[0].size,
            order: environment.copies[environment.active].order.map_or("", Order::as_str),
            copies,
            only_read: environment.only_read(),
            variables,
        });
        return Ok(Exit::Done);
    }
    variables.lines().for_each(|line| reporter.line(&line));
    if let Some(why) = environment.only_read() {
        reporter.detail(format_args!("only read: {why}"));
    }
    for copy in copies {
        let state = copy
            .problem
            .unwrap_or(if copy.active { "in use" } else { "the other copy" });
        reporter.detail(format_args!("{} 0x{:x}: {state}", copy.label, copy.offset));
    }
    Ok(Exit::Done)
}
