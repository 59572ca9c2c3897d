//! How the flash is reached: in place where nobody uses it, otherwise by a takeover.

#![forbid(unsafe_code)]

use super::watchdog;
use crate::base::check_id::CheckId;
use crate::base::elf::is_static;
use crate::base::error::Result;
use crate::board::Board;
use crate::plan::{Check, Route};
use mtd_rs::PartitionId;
use stages::Way;
use std::io;
use std::path::Path;

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
        checks.extend(stages::dumped_to(&board.map, ids).iter().map(|what| dumped(what)));
    }
    Ok((route, checks))
}

fn route_checks(route: Route, held: &[stages::Holder], in_place: bool) -> Vec<Check> {
    if route == Route::InPlace {
        return vec![nobody()];
    }
    let names = listed(held.iter());
    let staying = listed(held.iter().filter(|holder| holder.stays()));
    let mut checks = vec![match in_place {
        false if held.is_empty() => nobody(),
        false if staying.is_empty() => Check::pass(CheckId::Holders, format!("in use: {names}")),
        false => Check::fail(
            CheckId::Holders,
            format!("in use, also when everything has ended: {staying}"),
            "take that away (dmsetup remove NAME, echo 1 >/sys/block/zramN/reset or as it was made), then the same command again",
        ),
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
        checks.push(match takeover() {
            Ok(way) => Check::pass(
                CheckId::Init,
                format!("{} can be taken over (way: {way})", stages::init::detect()),
            ),
            Err(Against { what, remedy }) => Check::fail(CheckId::Init, what, remedy),
        });
    }
    checks
}

/// These holders, in a line.
pub fn listed<'a>(holders: impl Iterator<Item = &'a stages::Holder>) -> String {
    holders.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What stands against a takeover, and what can be done about it.
pub struct Against {
    /// The reason.
    pub what: String,
    /// The remedy.
    pub remedy: &'static str,
}

/// The way in which this box can be taken over by this program.
///
/// # Errors
/// The first reason against it.
pub fn takeover() -> std::result::Result<Way, Against> {
    let way = stages::takeover_route().map_err(|refusal| Against {
        what: refusal.to_string(),
        remedy: refusal.remedy(),
    })?;
    goes_alone(is_static(Path::new("/proc/self/exe"))).map(|()| way)
}

/// Nothing but the program itself goes into the RAM root.
fn goes_alone(is_static: io::Result<bool>) -> std::result::Result<(), Against> {
    match is_static {
        Ok(true) => Ok(()),
        Ok(false) => Err(Against {
            what: "this flasher is not static: what it is linked with would go with the old root".to_owned(),
            remedy: "take the static one for this processor, which cross/build makes",
        }),
        Err(error) => Err(Against {
            what: format!("whether this flasher is static cannot be told: {error}"),
            remedy: "mount -t proc proc /proc",
        }),
    }
}

/// Nothing ends this use, and it is one only when the kernel fails.
fn dumped(what: &str) -> Check {
    let text = format!("should the kernel oops meanwhile, it writes that over {what}");
    Check::warn(CheckId::Holders, text)
}

fn nobody() -> Check {
    Check::pass(CheckId::Holders, "nothing uses these partitions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Status;
    use stages::Holder;

    /// What a takeover frees is no reason against it.
    #[test]
    fn what_outlives_every_program_is_refused_by_name() {
        let swap = Holder::Swap {
            device: "/dev/mtdswap3".to_owned(),
        };
        let mapped = Holder::Stacked {
            device: "dm-0".to_owned(),
            on: "mtdblock3".to_owned(),
        };
        let served = Holder::Served {
            path: "/dev/mtdblock3".to_owned(),
        };
        let attached = Holder::UbiUntold { ubi: 0 };
        let about = |kinds: &[&Holder]| {
            let held: Vec<_> = kinds.iter().map(|kind| (*kind).clone()).collect();
            route_checks(Route::Staged, &held, false).swap_remove(0)
        };
        assert_eq!(about(&[&swap]).status, Status::Pass);
        for (kind, name) in [
            (&mapped, "dm-0 on mtdblock3"),
            (&served, "serves /dev/mtdblock3"),
            (&attached, "ubi0/mtd_num"),
        ] {
            let check = about(&[&swap, kind]);
            assert_eq!(check.status, Status::Fail);
            assert!(
                check.text.contains(name) && !check.text.contains("swap"),
                "{}",
                check.text
            );
        }
    }

    #[test]
    fn only_a_program_that_is_known_to_be_static_takes_a_box_over() {
        assert!(goes_alone(Ok(true)).is_ok());
        let against = |is_static| goes_alone(is_static).map_err(|against| against.what);
        // As these tests are.
        let own = against(is_static(Path::new("/proc/self/exe")));
        assert!(own.is_err_and(|what| what.contains("is not static")));
        let unknown = against(Err(io::ErrorKind::PermissionDenied.into()));
        assert!(unknown.is_err_and(|what| what.contains("cannot be told")));
    }
}
