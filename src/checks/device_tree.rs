//! Whether the device tree that comes with a kernel is for this box: a kernel with another's starts, and then finds no disk, no
//! network, or pins that are connected to something else.

#![forbid(unsafe_code)]

use super::Facts;
use crate::base::check_id::CheckId;
use crate::base::quoted::Quoted;
use crate::board::{Board, Partition};
use crate::image::content::Content;
use crate::plan::Check;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Check> {
    facts.each(&|placed, partition| {
        let Some(content) = placed.content.as_ref().filter(|content| !content.compatible.is_empty()) else {
            return Vec::new();
        };
        let mut checks = vec![board(facts.board, partition, content)];
        checks.extend(chip(facts.board, partition, content));
        checks
    })
}

fn fail(what: String) -> Check {
    let remedy = "get the kernel for this box; --force=metadata if you know better";
    Check::fail(CheckId::Metadata, what, remedy).forceable()
}

/// Whether the box is one that the tree names.
fn board(board: &Board, partition: &Partition, content: &Content) -> Check {
    let made_for = &content.compatible;
    let here = &board.hardware.compatible;
    let signs = &board.profile.signs.compatible;
    let named = |names: &[String]| names.iter().any(|name| made_for.contains(name));
    // The first word names the board; those behind it are shared by many.
    let first = |list: &[String], of: &[String]| of.first().is_some_and(|word| list.contains(word));
    let known: Vec<String> = signs.iter().filter(|sign| here.contains(sign)).cloned().collect();
    let fits = first(made_for, here) || first(here, made_for) || named(if known.is_empty() { signs } else { &known });
    let tree = format!(
        "the device tree of the kernel for {} is for {}",
        partition.label(),
        list(made_for)
    );
    match fits {
        true => Check::pass(CheckId::Metadata, tree),
        false if here.is_empty() && signs.is_empty() => fail(format!("{tree}, and this box does not say what it is")),
        false => fail(format!(
            "{tree}, this box is {}",
            list(if here.is_empty() { signs } else { here })
        )),
    }
}

fn list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| Quoted(name).to_string()).collect();
    names.join(", ")
}

/// Whether it is for the same chip: boards with either have the same name.
fn chip(board: &Board, partition: &Partition, content: &Content) -> Option<Check> {
    let made_for = content.soc.as_ref()?;
    let tree = format!(
        "the device tree of the kernel for {} is for the chip {}",
        partition.label(),
        Quoted(made_for)
    );
    match &board.hardware.soc {
        Some(here) if here == made_for => Some(Check::pass(CheckId::Metadata, tree)),
        Some(here) => Some(fail(format!("{tree}, this box has {}", Quoted(here)))),
        // A simulated box has no chip unless its profile says so.
        None if board.is_sim() => Some(Check::warn(
            CheckId::Metadata,
            format!("{tree}, and which one this box has is not known"),
        )),
        None => Some(fail(format!("{tree}, and which one this box has is not known"))),
    }
}
