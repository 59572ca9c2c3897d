//! Two slots for the firmware: one runs, the other is written meanwhile, and the environment then says that it boots.
//!
//! Only a profile can say that partitions are such a pair. Nothing here writes.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm};
use crate::base::outcome::Stopped;
use crate::board::Board;
use crate::board::profile::Slot;
use crate::env::{Change, Environment, Place};
use crate::plan::{Check, SlotSwitch, Write};
use mtd_rs::Overlap;
use serde::Serialize;
use std::path::Path;

/// Which slot runs, and the environment that says so.
pub struct Seen {
    /// The place in the profile of the slot that runs.
    pub active: usize,
    environment: Environment,
}

/// The same for people and programs, also where it cannot be told.
#[derive(Serialize)]
pub struct State {
    /// The slot that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The slot that the next update is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive: Option<String>,
    /// Why it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is planned with the slots, and the change of the environment that it takes.
pub struct Planned {
    /// For the plan.
    pub switch: SlotSwitch,
    /// The change that makes the written slot boot, done when everything else is verified.
    pub change: Change,
}

/// Looks which slot runs: the one that the environment boots, if it is not another one that is in use. `None` on a box
/// without slots.
pub fn look(board: &Board, config: Option<&Path>) -> Option<Result<Seen, String>> {
    let slots = &board.profile.slots;
    (!slots.is_empty()).then(|| {
        let seen = booting(board, config)?;
        let active = seen.active;
        let other = &slots[1 - active];
        if other_runs(board, active)? {
            return Err(format!(
                "the environment boots slot {}, but slot {} runs: reboot, or flasher env set {}",
                slots[active].name,
                other.name,
                other.environment.join(" ")
            ));
        }
        Ok(seen)
    })
}

/// The slot that the environment boots, whichever runs now: before the reboot that is the one that was written last, and
/// afterwards the one that runs.
fn booting(board: &Board, config: Option<&Path>) -> Result<Seen, String> {
    let place = Place::find(board, config).map_err(|failure| failure.told().what)?;
    let environment = Environment::read(board, place).map_err(|failure| failure.told().what)?;
    if let Some(doubt) = &environment.doubt {
        return Err(doubt.clone());
    }
    let boots = |index: usize| {
        let slot = board.profile.slots.get(index)?;
        let (name, value) = slot.environment.first()?.split_once('=')?;
        (environment.variables.get(name).as_deref() == Some(value)).then_some(index)
    };
    match (boots(0), boots(1)) {
        (Some(active), None) | (None, Some(active)) => Ok(Seen { active, environment }),
        _ => Err("the environment does not say which slot boots".into()),
    }
}

/// The slot whose partitions an image is compared with that names none; `None` on a box without slots.
pub fn to_compare(board: &Board, config: Option<&Path>) -> Option<Result<usize, String>> {
    (!board.profile.slots.is_empty()).then(|| booting(board, config).map(|seen| seen.active))
}

/// Why an image that names no slot is not compared, where it belongs into one and nobody knows which boots.
pub fn not_compared(board: &Board, problem: &str, writes: &[Write]) -> Option<Check> {
    let writes: Vec<_> = writes.iter().collect();
    let mut slots = board.profile.slots.iter();
    slots.any(|slot| reaches(board, slot, &writes)).then(|| {
        let text = format!("which slot boots cannot be told, so it is not known which to compare: {problem}");
        Check::fail(CheckId::Slot, text, "name the partitions of one with --part")
    })
}

/// Which slot was compared, and which boots.
#[derive(Serialize)]
pub struct Compared {
    /// The slot that was compared: of both, the one that boots.
    pub slot: String,
    /// The slot that the environment boots, where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boots: Option<String>,
    /// The slot that runs, where that is the other one: the box is still to boot, or its boot loader has gone back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
}

/// The same for these writes; `None` where they are in no slot.
pub fn compared(board: &Board, config: Option<&Path>, writes: &[&Write]) -> Option<Compared> {
    let boots = to_compare(board, config)?.ok();
    let slots = &board.profile.slots;
    let mut reached = (0..slots.len()).filter(|slot| reaches(board, &slots[*slot], writes));
    let first = reached.next()?;
    let slot = boots
        .filter(|boots| reached.any(|slot| slot == *boots))
        .unwrap_or(first);
    let other = boots.map(|boots| other_runs(board, boots).map_err(drop));
    // Where either may run, nobody knows which one it was that the boot loader took.
    let boots = boots.filter(|_| other != Some(Err(())));
    let runs = boots.filter(|_| other == Some(Ok(true))).map(|boots| 1 - boots);
    let name = |slot: usize| slots[slot].name.clone();
    Some(Compared {
        slot: name(slot),
        boots: boots.map(name),
        runs: runs.map(name),
    })
}

/// Whether it is seen that the other slot than this one runs; why that cannot be told.
fn other_runs(board: &Board, slot: usize) -> Result<bool, String> {
    let used = |slot: usize| in_use(board, slot);
    runs_other([used(slot)?, used(1 - slot)?].map(|used| used.map(|holder| holder.to_string())))
}

/// The same from what uses the slot that boots, and the other one. That nothing is in use says nothing: a root may be in RAM.
fn runs_other(uses: [Option<String>; 2]) -> Result<bool, String> {
    match uses {
        [Some(boots), Some(other)] => Err(format!(
            "both slots are in use, so that either may run: {boots}; {other}; end the use of the one that does not run"
        )),
        [None, Some(_)] => Ok(true),
        [_, None] => Ok(false),
    }
}

/// Something that uses partitions of the slot.
fn in_use(board: &Board, slot: usize) -> Result<Option<stages::Holder>, String> {
    let slot = &board.profile.slots[slot];
    let parts = board.partitions.iter().filter(|partition| slot.has(&partition.name));
    let ids: Vec<_> = parts.map(|partition| partition.id).collect();
    let holders = board.holders(&ids).map_err(|failure| failure.told().what)?;
    Ok(holders.into_iter().next())
}

/// The state of the slots of this box.
pub fn state(board: &Board) -> Option<State> {
    look(board, None).map(|seen| match seen {
        Ok(seen) => State {
            active: Some(board.profile.slots[seen.active].name.clone()),
            inactive: Some(board.profile.slots[1 - seen.active].name.clone()),
            problem: None,
        },
        Err(problem) => State {
            active: None,
            inactive: None,
            problem: Some(problem),
        },
    })
}

impl State {
    /// A line for people.
    pub fn text(&self) -> String {
        match (&self.active, &self.inactive) {
            (Some(active), Some(inactive)) => format!("slots: {active} boots, {inactive} takes the next update"),
            _ => format!("slots: {}", self.problem.as_deref().unwrap_or_default()),
        }
    }
}

/// The checks of writes that touch slots, and the switch. The checks say why there is none.
pub fn check(
    board: &Board,
    seen: Option<&Result<Seen, String>>,
    writes: &[&Write],
    force: &[CheckId],
) -> (Vec<Check>, Option<Planned>) {
    let slots = &board.profile.slots;
    let reached = |slot: usize| reaches(board, &slots[slot], writes);
    let Some(seen) = seen.filter(|_| reached(0) || reached(1)) else {
        return (Vec::new(), None);
    };
    let seen = match seen {
        Ok(seen) => seen,
        Err(problem) => {
            let text = format!("which slot runs cannot be told: {problem}");
            let remedy = "flasher env shows the environment; --force=slot writes, and switches nothing";
            return (vec![refuse(text, remedy)], None);
        }
    };
    let (active, target) = (&slots[seen.active], &slots[1 - seen.active]);
    if reached(seen.active) {
        let text = format!("slot {} runs, and would be overwritten", active.name);
        let remedy = format!("name the partitions of slot {}", target.name);
        return (vec![refuse(text, &remedy)], None);
    }
    match seen.environment.change(board, &target.environment) {
        Ok(change) => {
            let (checks, planned) = switched(board, seen.active, change, writes, force);
            (checks, Some(planned))
        }
        Err(failure) => {
            let check = Check::fail(CheckId::Environment, failure.told().what, "flasher env");
            (vec![check], None)
        }
    }
}

fn refuse(text: String, remedy: &str) -> Check {
    Check::fail(CheckId::Slot, text, remedy).forceable()
}

/// The checks of writes that are in the slot that does not run, and the switch to it.
fn switched(
    board: &Board,
    active: usize,
    change: Change,
    writes: &[&Write],
    force: &[CheckId],
) -> (Vec<Check>, Planned) {
    let slots = &board.profile.slots;
    let (active, target) = (&slots[active], &slots[1 - active]);
    let mut checks = change.checks(board);
    let is_written = |name: &String| writes.iter().any(|write| write.to.name.eq_ignore_ascii_case(name));
    if !target.partitions.iter().all(is_written) && !force.contains(&CheckId::Slot) {
        let text = format!("slot {} would get a part of a firmware only", target.name);
        let remedy = format!(
            "name {}, or --force=slot if the rest is right",
            target.partitions.join(",")
        );
        checks.push(refuse(text, &remedy));
    }
    if change
        .writes
        .iter()
        .any(|one| writes.iter().any(|other| share(board, one, other)))
    {
        checks.push(Check::fail(
            CheckId::Overlap,
            "the environment would be overwritten",
            "leave its partition out",
        ));
    }
    checks.push(Check::pass(
        CheckId::Slot,
        format!("slot {} runs, slot {} is written", active.name, target.name),
    ));
    let switch = SlotSwitch {
        active: active.name.clone(),
        written: target.name.clone(),
        environment: change.writes.clone(),
    };
    (checks, Planned { switch, change })
}

/// Whether a write changes bytes of this slot, or may, by whatever partition it reaches them.
fn reaches(board: &Board, slot: &Slot, writes: &[&Write]) -> bool {
    let partitions = board.partitions.iter().filter(|partition| slot.has(&partition.name));
    let mut areas = partitions.map(|partition| board.map.whole(partition.id));
    areas.any(|area| {
        writes
            .iter()
            .any(|write| board.map.overlap(&write.area(), &area) != Overlap::No)
    })
}

/// Whether two writes change bytes that both have, or may.
fn share(board: &Board, one: &Write, other: &Write) -> bool {
    board.map.overlap(&one.area(), &other.area()) != Overlap::No
}

/// Whether these writes are all in one slot.
pub fn are_in(board: &Board, slot: usize, writes: &[Write]) -> bool {
    let slot = &board.profile.slots[slot];
    !writes.is_empty() && writes.iter().all(|write| slot.has(&write.to.name))
}

/// The check of an image that the slot that runs has already.
pub fn runs_already() -> Check {
    Check::pass(CheckId::Slot, "the slot that runs has this image already")
}

/// How a run ends that stopped before the environment was switched: what boots is whole.
pub fn stopped(switch: &SlotSwitch, mut stopped: Stopped) -> Stopped {
    let failure = stopped.failure;
    stopped.failure = match failure.harm {
        Harm::Partly => {
            let mut failure = failure.code(Code::Inactive);
            failure.what += &format!("; slot {} was not touched and boots", switch.active);
            failure
        }
        _ => failure,
    };
    stopped
}

/// How a run ends that stopped while the environment was switched. With two copies the old one is whole; of an only
/// one nothing may be left.
pub fn not_switched(switch: &SlotSwitch, mut stopped: Stopped, lost: bool) -> Stopped {
    let (target, what) = (&switch.written, &stopped.failure.what);
    let failure = match lost {
        false => Failure::new(
            Exit::Flash,
            Code::Inactive,
            format_args!("slot {target} is written, but does not boot yet: {what}"),
        )
        .hint("run the same command again; flasher env shows what boots"),
        true => Failure::new(
            Exit::Flash,
            Code::Environment,
            format_args!(
                "slot {target} is written, but no whole environment is found, without which the boot loader takes its own \
                 defaults: {what}"
            ),
        )
        .hint("put a backup of it back with flasher restore, or let the boot loader saveenv; then try again"),
    };
    stopped.failure = failure.harm(Harm::Partly);
    stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot loader that has gone back runs the slot that the environment does not name.
    #[test]
    fn which_slot_runs_is_told_by_what_is_used_and_not_told_where_both_are() {
        let used = |what: &str| Some(what.to_owned());
        assert_eq!(runs_other([None, None]), Ok(false));
        assert_eq!(runs_other([used("/"), None]), Ok(false));
        assert_eq!(runs_other([None, used("/")]), Ok(true));
        assert!(runs_other([used("/"), used("/mnt")]).is_err_and(|why| why.contains("/; /mnt")));
    }
}
