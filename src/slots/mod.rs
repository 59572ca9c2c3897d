//! Two slots for the firmware: one runs, the other is written meanwhile, and the environment then says that it boots.
//!
//! Only a profile can say that partitions are such a pair. Nothing here writes.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Failure, Harm};
use crate::base::outcome::Stopped;
use crate::board::Board;
use crate::env::{Change, Environment, Place};
use crate::plan::{Check, Plan, Request, Status, Write};
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

/// What is planned with the slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// The slot that runs and is left alone.
    pub active: String,
    /// The slot that is written and boots then.
    pub written: String,
    /// The change that makes it boot, done when everything else is verified.
    pub environment: Change,
}

/// Looks which slot runs: the one that the environment boots, if it is not another one that is in use. `None` on a box
/// without slots.
pub fn look(board: &Board, config: Option<&Path>) -> Option<Result<Seen, String>> {
    let slots = &board.profile.slots;
    (!slots.is_empty()).then(|| {
        let place = Place::find(board, config).map_err(|failure| failure.told().what)?;
        let environment = Environment::read(board, place).map_err(|failure| failure.told().what)?;
        let boots = |index: usize| {
            let slot = slots.get(index)?;
            let (name, value) = slot.environment.first()?.split_once('=')?;
            (environment.variables.get(name).as_deref() == Some(value)).then_some(index)
        };
        let active = match (boots(0), boots(1)) {
            (Some(one), None) | (None, Some(one)) => one,
            _ => return Err("the environment does not say which slot boots".into()),
        };
        let other = &slots[1 - active];
        if in_use(board, active) == Some(false) && in_use(board, 1 - active) == Some(true) {
            return Err(format!(
                "the environment boots slot {}, but slot {} runs: reboot, or flasher env set {}",
                slots[active].name,
                other.name,
                other.environment.join(" ")
            ));
        }
        Ok(Seen { active, environment })
    })
}

/// Whether something uses partitions of the slot; `None` where that cannot be seen.
fn in_use(board: &Board, slot: usize) -> Option<bool> {
    if board.is_sim() {
        return None;
    }
    let names = &board.profile.slots.get(slot)?.partitions;
    let partitions = board
        .partitions
        .iter()
        .filter(|partition| names.contains(&partition.name));
    let holders = stages::holders(&board.targets(partitions)).ok()?;
    Some(!holders.is_empty())
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

/// Judges writes that touch slots, and plans the switch. The checks say why there is none.
pub fn judge(
    board: &Board,
    seen: Option<&Result<Seen, String>>,
    writes: &[Write],
    request: &Request,
) -> (Vec<Check>, Option<Switch>) {
    let slots = &board.profile.slots;
    let hit = |slot: usize| {
        let names = &slots[slot].partitions;
        names
            .iter()
            .filter(|name| writes.iter().any(|write| write.partition == **name))
            .count()
    };
    let check = |text: String, remedy: &str| vec![Check::fail("slot", text, remedy).forceable()];
    let Some(seen) = seen.filter(|_| hit(0) + hit(1) > 0) else {
        return (Vec::new(), None);
    };
    let seen = match seen {
        Ok(seen) => seen,
        Err(problem) => {
            let text = format!("which slot runs cannot be told: {problem}");
            return (
                check(
                    text,
                    "flasher env shows the environment; --force=slot writes, and switches nothing",
                ),
                None,
            );
        }
    };
    let (active, target) = (&slots[seen.active], &slots[1 - seen.active]);
    if hit(seen.active) > 0 {
        let text = format!("slot {} runs, and would be overwritten", active.name);
        return (
            check(text, &format!("name the partitions of slot {}", target.name)),
            None,
        );
    }
    let change = match seen.environment.change(board, &target.environment) {
        Ok(change) => change,
        Err(failure) => {
            return (
                vec![Check::fail("environment", failure.told().what, "flasher env")],
                None,
            );
        }
    };
    let mut checks = change.checks(board);
    if hit(1 - seen.active) < target.partitions.len() && !request.force.iter().any(|force| force == "slot") {
        let text = format!("slot {} would get a part of a firmware only", target.name);
        let remedy = format!(
            "name {}, or --force=slot if the rest is right",
            target.partitions.join(",")
        );
        checks.extend(check(text, &remedy));
    }
    if change
        .writes
        .iter()
        .any(|one| writes.iter().any(|other| other.mtd == one.mtd))
    {
        checks.push(Check::fail(
            "overlap",
            "the environment would be overwritten",
            "leave its partition out",
        ));
    }
    checks.push(Check::pass(
        "slot",
        format!("slot {} runs, slot {} is written", active.name, target.name),
    ));
    let switch = Switch {
        active: active.name.clone(),
        written: target.name.clone(),
        environment: change,
    };
    (checks, Some(switch))
}

/// The writes that the image would be in the slot that runs, where it may be there already: the update before this one
/// was the same. Nothing where another check than that of the slot stands against the plan.
pub fn same(board: &Board, active: usize, plan: &Plan, layout: impl FnOnce() -> Vec<Write>) -> Vec<Write> {
    let others = |check: &Check| check.status == Status::Fail && check.name != "slot";
    if plan.valid && plan.slot.is_none() || plan.checks.iter().any(others) {
        return Vec::new();
    }
    let writes = layout();
    let names = &board.profile.slots[active].partitions;
    match writes.iter().all(|write| names.contains(&write.partition)) {
        true => writes,
        false => Vec::new(),
    }
}

/// Takes everything out of a plan whose image runs already.
pub fn drop_writes(plan: &mut Plan) {
    plan.checks.retain(|check| check.name != "slot");
    plan.checks
        .push(Check::pass("slot", "the slot that runs has this image already"));
    plan.writes.clear();
    plan.slot = None;
    plan.valid = true;
}

impl Switch {
    /// How a run ends that stopped before the environment was switched: what boots is whole.
    pub fn stopped(&self, mut stopped: Stopped) -> Stopped {
        let failure = stopped.failure;
        stopped.failure = match failure.harm {
            Harm::Partly => {
                let mut failure = failure.code("inactive");
                failure.what += &format!("; slot {} was not touched and boots", self.active);
                failure
            }
            _ => failure,
        };
        stopped
    }

    /// How a run ends that stopped while the environment was switched. With two copies the old one is whole; of an only
    /// one nothing may be left.
    pub fn not_switched(&self, mut stopped: Stopped, lost: bool) -> Stopped {
        let (target, what) = (&self.written, &stopped.failure.what);
        let failure = match lost {
            false => Failure::new(
                Exit::Flash,
                "inactive",
                format_args!("slot {target} is written, but does not boot yet: {what}"),
            )
            .hint("run the same command again; flasher env shows what boots"),
            true => Failure::new(
                Exit::Flash,
                "environment",
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
}
