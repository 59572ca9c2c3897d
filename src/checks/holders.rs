//! How the flash is reached: in place where nobody uses it, otherwise by a takeover.

#![forbid(unsafe_code)]

use crate::base::error::{Failure, Result};
use crate::board::Board;
use crate::plan::{Check, Route, Write};

/// How the flash is to be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// In place if nothing uses it.
    #[default]
    Either,
    /// In place or not at all.
    InPlace,
    /// By a takeover, whoever uses it: init's restart line starts it later.
    Takeover,
}

/// How these writes are reached, and the checks about that.
///
/// # Errors
/// A system that does not answer.
pub fn in_use(board: &Board, writes: &[Write], wish: Wish, checks: &mut Vec<Check>) -> Result<Route> {
    let held = holders(board, writes)?;
    let route = match held.is_empty() && wish != Wish::Takeover {
        true => Route::InPlace,
        false => Route::Staged,
    };
    checks.extend(route_checks(route, &held, wish == Wish::InPlace));
    Ok(route)
}

/// Everything in use that the writes would pull the ground from.
fn holders(board: &Board, writes: &[Write]) -> Result<Vec<stages::Holder>> {
    if board.is_sim() || writes.is_empty() {
        return Ok(Vec::new());
    }
    let targets = board.targets(
        board
            .partitions
            .iter()
            .filter(|partition| writes.iter().any(|write| write.mtd == partition.mtd)),
    );
    stages::holders(&targets).map_err(|error| {
        Failure::system(format_args!("what uses the flash cannot be seen: {error}"))
            .hint("mount /proc: mount -t proc proc /proc")
    })
}

fn route_checks(route: Route, held: &[stages::Holder], in_place: bool) -> Vec<Check> {
    if route == Route::InPlace {
        return vec![nobody()];
    }
    let names: Vec<_> = held.iter().map(ToString::to_string).collect();
    let names = names.join("; ");
    let mut checks = vec![match in_place {
        false if held.is_empty() => nobody(),
        false => Check::pass("holders", format!("in use: {names}")),
        true => Check::fail(
            "holders",
            format!("in use, so nothing can be written in place: {names}"),
            // What is attached and not mounted is nobody's loss; the takeover detaches it by itself.
            match held.iter().map(stages::Holder::remedy).collect::<Option<Vec<_>>>() {
                Some(commands) => format!(
                    "{}, or leave --in-place out and let the box be taken over",
                    commands.join("; ")
                ),
                None => "end that use, or leave --in-place out and let the box be taken over".to_owned(),
            },
        ),
    }];
    if !in_place {
        checks.push(match stages::takeover_route() {
            Ok(()) => Check::pass("init", format!("{} can be taken over", stages::init::detect())),
            Err(refusal) => Check::fail("init", refusal.to_string(), refusal.remedy()),
        });
    }
    checks
}

fn nobody() -> Check {
    Check::pass("holders", "nothing uses these partitions")
}
