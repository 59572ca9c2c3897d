//! How the flash is reached: in place where nobody uses it, otherwise by a takeover.

#![forbid(unsafe_code)]

use super::watchdog;
use crate::base::check_id::CheckId;
use crate::base::error::Result;
use crate::board::Board;
use crate::plan::{Check, Route};
use mtd_rs::PartitionId;

/// How the flash is to be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteWish {
    /// In place if nothing uses it.
    #[default]
    Either,
    /// In place or not at all.
    InPlace,
    /// By a takeover, whoever uses it: init's restart line starts it later.
    Takeover,
}

/// How these partitions are reached, and the checks about that.
///
/// # Errors
/// A system that does not answer.
pub fn route(board: &Board, ids: &[PartitionId], wish: RouteWish) -> Result<(Route, Vec<Check>)> {
    let held = board.holders(ids)?;
    let route = match held.is_empty() && wish != RouteWish::Takeover {
        true => Route::InPlace,
        false => Route::Staged,
    };
    let mut checks = route_checks(route, &held, wish == RouteWish::InPlace);
    // What is held and may not be taken over is refused for that.
    let refused = route == Route::Staged && wish == RouteWish::InPlace;
    if !board.is_sim() && !refused {
        checks.extend(watchdog::checks(route, &stages::watchdog::all()));
    }
    Ok((route, checks))
}

fn route_checks(route: Route, held: &[stages::Holder], in_place: bool) -> Vec<Check> {
    if route == Route::InPlace {
        return vec![nobody()];
    }
    let names: Vec<_> = held.iter().map(ToString::to_string).collect();
    let names = names.join("; ");
    let mut checks = vec![match in_place {
        false if held.is_empty() => nobody(),
        false => Check::pass(CheckId::Holders, format!("in use: {names}")),
        true => Check::fail(
            CheckId::Holders,
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
            Ok(way) => Check::pass(
                CheckId::Init,
                format!("{} can be taken over (way: {way})", stages::init::detect()),
            ),
            Err(refusal) => Check::fail(CheckId::Init, refusal.to_string(), refusal.remedy()),
        });
    }
    checks
}

fn nobody() -> Check {
    Check::pass(CheckId::Holders, "nothing uses these partitions")
}
