//! Makes the plan: once, for `plan`, `apply`, `verify`, `restore` and `env set` alike. Nothing is written.
//!
//! Layout, checks, verdict, survey and checksum happen here in this order, the last two in one pass, and what comes out never changes.

#![forbid(unsafe_code)]

use super::staged::{StagedImage, unreadable};
use super::survey::survey;
use super::version;
use crate::base::check_id::CheckId;
use crate::base::error::{Failure, Result};
use crate::base::format::Format;
use crate::base::phase::Phase;
use crate::base::units::hex;
use crate::board::Board;
use crate::bytes::hashing::Hashing;
use crate::bytes::store::Store;
use crate::checks::{self, Facts, OVERHEAD, RouteWish};
use crate::cli::Apply;
use crate::env::{self, Change, Place};
use crate::image::Image;
use crate::keep::{self, Asked};
use crate::layout::{self, Request};
use crate::plan::VolumeChanges;
use crate::plan::{
    self, Check, ImageSummary, KeptFiles, Pace, Plan, Ram, Route, SlotSwitch, Status, Step, Taken, Write,
};
use crate::record::Versions;
use crate::report::Reporter;
use crate::slots::{self, Planned};
use mtd_rs::{Geometry, PartitionId};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// What the plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be shown.
    Show,
    /// To be executed.
    Apply,
    /// To compare the flash with the image: that a partition is read-only or in use is no reason against that.
    Compare,
}

/// What the plan is made of.
pub struct Wanted<'a> {
    /// The box.
    pub board: &'a Board,
    /// The image.
    pub staged: &'a StagedImage,
    /// What the user asked for.
    pub options: &'a Apply,
    /// What for.
    pub purpose: Purpose,
    /// What becomes of the volumes of a UBI, for which the board is foreseen.
    pub volumes: Option<VolumeChanges>,
}

/// A plan, and what executing it takes beside the image.
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// The change of the environment that it has.
    pub change: Option<Change>,
    /// The version of the image, and that of the last one.
    pub versions: Versions,
}

/// What comparing rests on. The other checks are about writing.
const FOR_COMPARING: [CheckId; 8] = [
    CheckId::Sha256,
    CheckId::Signature,
    CheckId::Image,
    CheckId::Board,
    CheckId::Partition,
    CheckId::Size,
    CheckId::Overlap,
    CheckId::Unused,
];

/// A plan that still lacks its verdict.
struct Draft {
    image: ImageSummary,
    checks: Vec<Check>,
    writes: Vec<Write>,
    route: Route,
    ram: Ram,
    keep: Option<KeptFiles>,
    slot: Option<Planned>,
    volumes: Option<VolumeChanges>,
    versions: Versions,
}

/// Makes the plan of an image.
///
/// # Errors
/// Only a system that does not answer, or options that cannot be understood; what is wrong with image or box is a check that
/// failed.
pub fn prepare(wanted: &Wanted<'_>, reporter: &mut Reporter) -> Result<Prepared> {
    let Wanted {
        board, staged, options, ..
    } = *wanted;
    let config = options.env_config.as_deref();
    let place = match (Place::known(board, config), config) {
        (Err(failure), Some(_)) => return Err(failure),
        (known, _) => known,
    };
    // A backup has both slots and the environment, and goes back as it is.
    let of_slots = staged.image.format != Format::Backup;
    let seen = match wanted.purpose {
        Purpose::Compare => None,
        _ if !of_slots => None,
        _ => slots::look(board, config),
    };
    let running = seen.as_ref().and_then(|seen| Some(seen.as_ref().ok()?.active));
    let booting = match wanted.purpose == Purpose::Compare && of_slots {
        true => slots::to_compare(board, config),
        false => None,
    };
    let request = Request {
        parts: &options.parts,
        slot: match &booting {
            Some(booting) => booting.as_ref().ok().copied(),
            None => running.map(|active| 1 - active),
        },
    };
    let laid_out = layout::lay_out(board, &staged.image, &staged.store, &request).map_err(unreadable)?;
    let taken_as = laid_out.as_ref().ok().and_then(|laid_out| laid_out.taken_as.as_ref());
    let image = taken_as.unwrap_or(&staged.image);
    let mut checks = checks::all(&Facts {
        board,
        image,
        store: &staged.store,
        delivered: staged.delivered(),
        backup: options.backup.is_some(),
        laid_out: &laid_out,
    });
    let placed = laid_out.as_ref().map_or(&[][..], |laid_out| &laid_out.placed);
    let writes: Vec<Write> = placed.iter().map(|placed| placed.write.clone()).collect();
    if wanted.purpose == Purpose::Compare {
        let problem = booting.and_then(|booting| booting.err());
        return finish(wanted, to_compare(wanted, image, checks, problem, writes), reporter);
    }
    let listed: Vec<&Write> = writes.iter().collect();
    let versions = Versions {
        offered: staged.versions().into_iter().flatten().next().map(str::to_owned),
        before: Versions::before(board).before,
        action: options.action.clone(),
    };
    let installed = version::installed(board, &versions);
    let mut offered = staged.versions();
    offered.dedup();
    for offered in offered {
        checks.extend(checks::downgrade(offered, &installed, staged.is_demanded()));
    }
    if of_slots {
        let only_fw_env_config = config.is_none() && board.profile.environment.is_empty();
        checks.extend(env::kept(board, &place, only_fw_env_config, &listed));
        // Of what only the box's own file says the environment is not certain to be there.
        if let Ok(Some(place)) = &place
            && !only_fw_env_config
        {
            let copy = image.format == Format::ChipDump;
            checks.extend(env::brought(board, place, &staged.store, placed, copy)?);
        }
    }
    let (more, slot) = slots::check(board, seen.as_ref(), &listed, &options.force);
    checks.extend(more);
    let wish = route_wish(options, slot.is_some())?;
    let touched: Vec<&Write> = writes
        .iter()
        .chain(slot.iter().flat_map(|slot| &slot.change.writes))
        .collect();
    checks.extend(wanted.volumes.iter().flat_map(checks::volumes));
    let (route, more) = checks::route(board, &changed(wanted, &touched), wish)?;
    checks.extend(more);
    let mut ram = ram(wanted);
    checks.push(checks::ram(ram));
    let (keep, check) = keep::kept_files(&Asked {
        board,
        root: &version::root(board),
        request: &options.keep,
        force: &options.force,
        image: &staged.store,
        format: image.format,
        placed,
        volumes: wanted.volumes.as_ref(),
        writes: &touched,
        route,
        ram,
    })?;
    checks.extend(check);
    ram.needed += keep.as_ref().map_or(0, |keep| keep.bytes);
    let draft = Draft {
        image: summary(image),
        checks,
        writes,
        route,
        ram,
        keep,
        slot,
        volumes: wanted.volumes.clone(),
        versions,
    };
    match running {
        Some(active) if runs_already(wanted, active, &draft, reporter)? => nothing(wanted, draft),
        _ => finish(wanted, draft, reporter),
    }
}

/// The plan of a comparison: `problem` is why it cannot be told which slot boots.
fn to_compare(
    wanted: &Wanted<'_>,
    image: &Image,
    mut checks: Vec<Check>,
    problem: Option<String>,
    writes: Vec<Write>,
) -> Draft {
    checks.retain(|check| FOR_COMPARING.contains(&check.name));
    let targets = writes.iter().filter_map(|write| wanted.board.get(write.to.id));
    checks.extend(targets.filter_map(checks::too_many_blocks));
    if let Some(problem) = problem.filter(|_| wanted.options.parts.is_empty() && wanted.options.files.is_empty()) {
        checks.extend(slots::not_compared(wanted.board, &problem, &writes));
    }
    Draft {
        image: summary(image),
        checks,
        writes,
        route: Route::InPlace,
        ram: Ram::default(),
        keep: None,
        slot: None,
        volumes: None,
        versions: Versions::default(),
    }
}

/// The partitions whose users stand in the way of these writes, and of what becomes of volumes.
fn changed(wanted: &Wanted<'_>, writes: &[&Write]) -> Vec<PartitionId> {
    let mut all = plan::destinations(writes.iter().copied());
    // One that is not there yet has no users.
    all.retain(|id| {
        let volume = wanted.board.get(*id).and_then(|partition| partition.volume.as_ref());
        volume.is_none_or(|volume| volume.device != (0, 0))
    });
    if let Some(volumes) = &wanted.volumes {
        all.extend(volumes.touched());
        all.sort_unstable();
        all.dedup();
    }
    all
}

/// Verdict, survey, checksum, and the plan.
fn finish(wanted: &Wanted<'_>, draft: Draft, reporter: &mut Reporter) -> Result<Prepared> {
    let (board, staged) = (wanted.board, wanted.staged);
    let (mut checks, valid) = checks::verdict(draft.checks, &wanted.options.force);
    let mut pace = None;
    let mut hashing = match draft.image.sha256.is_empty() && wanted.purpose != Purpose::Compare {
        true => Hashing::of(&staged.store, wanted.purpose == Purpose::Show),
        false => None,
    };
    let steps: Vec<Step> = match valid {
        true => {
            let begun = Instant::now();
            let steps = survey(wanted, draft.writes, &mut hashing, reporter)?;
            checks.extend(steps.iter().filter_map(checks::just_now));
            let hashed = hashing.as_ref().map_or(Duration::ZERO, |hashing| hashing.spent);
            pace = (!board.is_sim()).then(|| Pace::measured(&steps, begun.elapsed().saturating_sub(hashed)));
            steps
        }
        false => draft.writes.into_iter().map(Step::unread).collect(),
    };
    let mut ram = draft.ram;
    // What was in a volume of another size cannot be put back.
    if wanted.options.on_fault.rollback && draft.volumes.is_none() {
        // As much again stays free when the old content is kept.
        let changing: u64 = steps.iter().map(Step::changing).sum();
        let room = ram.available.saturating_sub(ram.needed + OVERHEAD);
        ram.rollback = if changing <= room { changing } else { 0 };
    }
    let (slot, change) = draft.slot.map(|slot| (slot.switch, slot.change)).unzip();
    let mut image = draft.image;
    // A root that is right already keeps what was changed over it.
    let same = steps.iter().all(Step::is_up_to_date);
    let volumes = draft.volumes.filter(|volumes| volumes.resizes_any() || !same);
    let up_to_date = slot.is_none() && volumes.is_none() && same;
    let hash = match wanted.purpose {
        Purpose::Show => true,
        // What is on the flash already was found by comparing all of it.
        Purpose::Apply => !up_to_date,
        Purpose::Compare => false,
    };
    if hash && image.sha256.is_empty() {
        image.sha256 = checksum(&staged.store, hashing, reporter)?;
    }
    Ok(Prepared {
        plan: Plan {
            valid,
            route: draft.route,
            board: board.profile.id.clone(),
            image,
            images: staged.told.clone(),
            seconds: seconds(board, &steps, pace),
            checks,
            steps,
            ram,
            keep: draft.keep,
            slot,
            volumes,
        },
        change,
        versions: draft.versions,
    })
}

/// Makes the plan of a change of the environment.
///
/// # Errors
/// A system that does not answer.
pub fn of_environment(board: &Board, change: Change, force: &[CheckId]) -> Result<Prepared> {
    let mut checks = change.checks(board);
    let (route, more) = checks::route(board, &plan::destinations(&change.writes), RouteWish::InPlace)?;
    checks.extend(more);
    let (checks, valid) = checks::verdict(checks, force);
    let steps: Vec<Step> = change.writes.iter().cloned().map(Step::unread).collect();
    let block = change.bytes.first().map(Vec::as_slice).unwrap_or_default();
    Ok(Prepared {
        plan: Plan {
            valid,
            route,
            board: board.profile.id.clone(),
            image: ImageSummary {
                format: Format::UBootEnv,
                size: block.len() as u64,
                sha256: hex(&Sha256::digest(block)),
                taken: Taken::default(),
            },
            images: Vec::new(),
            checks,
            ram: Ram {
                rollback: super::execute::kept_of_environment(&steps),
                ..Ram::default()
            },
            seconds: seconds(board, &steps, None),
            steps,
            slot: None,
            keep: None,
            volumes: None,
        },
        change: Some(change),
        versions: Versions::before(board),
    })
}

/// Whether the slot that runs has this image, because the update before this one was the same. Not asked where another check
/// than that of the slot stands against the plan.
fn runs_already(wanted: &Wanted<'_>, active: usize, draft: &Draft, reporter: &mut Reporter) -> Result<bool> {
    let (checks, valid) = checks::verdict(draft.checks.clone(), &wanted.options.force);
    let others = |check: &Check| check.status == Status::Fail && check.name != CheckId::Slot;
    if valid && draft.slot.is_none() || checks.iter().any(others) {
        return Ok(false);
    }
    let request = Request {
        parts: &wanted.options.parts,
        slot: Some(active),
    };
    let staged = wanted.staged;
    let laid_out = layout::lay_out(wanted.board, &staged.image, &staged.store, &request).map_err(unreadable)?;
    let placed = laid_out.map(|laid_out| laid_out.placed).unwrap_or_default();
    let writes: Vec<Write> = placed.into_iter().map(|placed| placed.write).collect();
    if !slots::are_in(wanted.board, active, &writes) {
        return Ok(false);
    }
    let steps = survey(wanted, writes, &mut None, reporter)?;
    Ok(steps.iter().all(Step::is_up_to_date))
}

/// The plan of an image that runs already.
fn nothing(wanted: &Wanted<'_>, draft: Draft) -> Result<Prepared> {
    let (mut checks, _) = checks::verdict(draft.checks, &wanted.options.force);
    checks.retain(|check| check.name != CheckId::Slot);
    checks.push(slots::runs_already());
    Ok(Prepared {
        plan: Plan {
            valid: true,
            route: draft.route,
            board: wanted.board.profile.id.clone(),
            image: draft.image,
            images: wanted.staged.told.clone(),
            checks,
            steps: Vec::new(),
            ram: draft.ram,
            keep: draft.keep,
            seconds: 0,
            slot: None::<SlotSwitch>,
            volumes: None,
        },
        change: None,
        versions: draft.versions,
    })
}

/// How the flash is to be reached. Of two slots the other one runs meanwhile, so there is nothing to be taken over.
fn route_wish(options: &Apply, slots: bool) -> Result<RouteWish> {
    match (options.in_place, options.prepare) {
        (_, true) if slots => Err(Failure::usage(
            "--prepare is not for a box with two slots: the other slot is written while it runs",
        )
        .hint("leave --prepare out")),
        _ if slots => Ok(RouteWish::InPlace),
        (true, _) => Ok(RouteWish::InPlace),
        (_, true) => Ok(RouteWish::Takeover),
        _ => Ok(RouteWish::Either),
    }
}

fn summary(image: &Image) -> ImageSummary {
    ImageSummary {
        format: image.format,
        size: image.size,
        sha256: image.sha256.clone(),
        taken: Taken::of(image),
    }
}

fn ram(wanted: &Wanted<'_>) -> Ram {
    // An image that stays on its disk takes none.
    let delivered = wanted.staged.store.delivered();
    let in_ram = delivered.into_iter().filter(|store| !matches!(store, Store::Disk(_)));
    // No two files, and no two members, are unpacked at a time.
    let files = wanted.staged.files.iter().filter_map(|file| file.packing);
    let members = wanted.staged.members.iter().map(|member| member.packing);
    let most = |memory: Option<u64>| memory.unwrap_or(0);
    let unpacking = most(files.map(|packing| packing.memory).max()) + most(members.map(|packing| packing.memory).max());
    Ram {
        rollback: 0,
        needed: in_ram.map(Store::len).sum::<u64>() + unpacking + OVERHEAD,
        available: wanted.staged.available.unwrap_or(u64::MAX),
    }
}

/// The checksum of the bytes as they were delivered, which are those that will be written.
fn checksum(store: &Store, hashing: Option<Hashing>, reporter: &mut Reporter) -> Result<String> {
    let length = store.delivered_length();
    let progress = &mut |done| reporter.progress(Phase::Hashing, done, length);
    match hashing {
        Some(hashing) => hashing.finish(store, progress),
        None => store.sha256(progress),
    }
    .map_err(unreadable)
}

fn seconds(board: &Board, steps: &[Step], pace: Option<Pace>) -> u64 {
    let geometry = |id: PartitionId| board.get(id).map(|partition| &partition.geometry);
    let known: Vec<(&Step, &Geometry)> = steps
        .iter()
        .filter_map(|step| Some((step, geometry(step.write.to.id)?)))
        .collect();
    plan::seconds(known, pace)
}
