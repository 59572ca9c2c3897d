//! Everything that is known before the start, put together into one plan with one verdict: nothing is
//! stopped, unmounted or written before all of it has passed.

#![forbid(unsafe_code)]

pub mod bad_blocks;
pub mod ecc;
mod holders;
pub mod metadata;
pub mod partition;
pub mod request;
pub mod unused;

use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use crate::base::units::{Grouped, Size};
use crate::board::profile::Keep;
use crate::board::{Board, Partition};
use crate::bytes::store::Store;
use crate::checks::request::Trust;
use crate::image::signature::Key;
use crate::image::{Image, Part, content};
use crate::layout;
use crate::plan::{Check, ImageSummary, Pace, Plan, Ram, Request, Status, Write};
use crate::slots::Seen;
use crate::{plan, record, slots};
use std::time::Instant;

pub use holders::{Wish, in_use};

/// What the update needs in RAM beside the image: this program in the RAM root, its buffers, page tables.
pub const OVERHEAD: u64 = 2 << 20;

/// What to do where RAM is short.
pub const MORE_ROOM: &str = "copy the image to a disk that is mounted and name it there, stop services that use much memory, remove \
                             files from /tmp, or reboot and try again at once";
/// Every check that a plan can have, each also the code of a refusal by it. Which of them `--force` can override says
/// the check itself.
const CHECKS: [&str; 26] = [
    "aligned",
    "bad-blocks",
    "board",
    "bootloader",
    "bootloader-backup",
    "bootloader-checksum",
    "content",
    "cpu",
    "ecc",
    "environment",
    "fixed-offset",
    "holders",
    "image",
    "init",
    "keep",
    "metadata",
    "one-copy",
    "overlap",
    "partition",
    "ram",
    "settings",
    "sha256",
    "signature",
    "size",
    "slot",
    "writable",
];

/// What the verdict depends on beside board and image.
pub struct Question<'a> {
    /// What the user calls the image.
    pub name: &'a str,
    /// `--part` and `--force`.
    pub request: Request,
    /// `--key` and `--sha256`.
    pub trust: &'a Trust,
    /// The signature that stood behind the image.
    pub signature: Option<&'a str>,
    /// Whether every partition is copied first (`--backup`).
    pub backup: bool,
    /// `--in-place`, `--prepare`, or neither.
    pub wish: Wish,
    /// Which slot runs, on a box that has slots.
    pub slot: Option<&'a std::result::Result<Seen, String>>,
    /// Whether the old content is to be kept in RAM, as far as there is room.
    pub rollback: bool,
    /// What RAM could be had before the image was staged, in bytes.
    pub available: Option<u64>,
}

/// Looks for names that `--force` does not know. A known check that never yields is no error here: it goes on to fail.
///
/// # Errors
/// [`Exit::Usage`] for a name that no check has.
pub fn known_checks(names: &[String]) -> Result<()> {
    match names.iter().find(|name| !CHECKS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(
            Failure::usage(format_args!("there is no check {} to force", Quoted(name)))
                .hint(format!("the checks are {}", CHECKS.join(", "))),
        ),
    }
}

/// Puts the plan together; nothing is touched. `survey` is asked to fill in what is right already, and
/// only for writes that may be executed.
///
/// # Errors
/// Only a system that does not answer; what is wrong with image or box is a check that failed.
pub fn assemble(
    board: &Board,
    image: &Image,
    store: &Store,
    question: &Question<'_>,
    survey: &mut dyn FnMut(&mut [Write]) -> Result<()>,
) -> Result<Plan> {
    let mut checks = Vec::new();
    checks.extend(board.remark.as_ref().map(|remark| Check::warn("board", remark)));
    checks.extend(trust(question, image, store.delivered()));
    checks.extend(image.problem.as_ref().map(|problem| {
        Check::fail(
            "image",
            problem,
            "nothing overrides this check; if it is damaged, get it again from whoever made it",
        )
        .exit(Exit::ImageBad)
    }));
    let dump = match image.problem {
        Some(_) => None,
        None => chip_dump(board, image, store)
            .map_err(|error| Failure::new(Exit::ImageUnreadable, "image-unreadable", error))?,
    };
    let image = dump.as_ref().unwrap_or(image);
    checks.extend(metadata::metadata(board, image));
    let laid_out = match image.problem {
        Some(_) => Ok(Vec::new()),
        None => layout::layout(board, image, &question.request),
    };
    let mut writes = match laid_out {
        Ok(writes) => writes,
        Err(check) => {
            checks.push(check);
            Vec::new()
        }
    };
    if writes.is_empty() && checks.iter().all(|check| check.status != Status::Fail) {
        checks.push(Check::fail(
            "partition",
            "none of the image's parts may be written",
            "name them with --part",
        ));
    }
    let contents = writes
        .iter()
        .map(|write| look(image, store, write))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(|error| Failure::new(Exit::ImageUnreadable, "image-unreadable", error))?;
    let poured = image.parts.len() == 1 && writes.len() > 1;
    let dump = poured || image.format == "chip-dump";
    checks.extend(partition::judge(board, &mut writes, &contents, dump));
    checks.extend(unused::unused(image, &writes));
    let (last, first): (Vec<_>, Vec<_>) = writes.into_iter().partition(|write| write.recovery);
    let mut writes = [first, last].concat();
    checks.extend(bootloader(board, image, &writes, question));
    checks.push(place_of_record(board, &writes));

    let (judged, slot) = slots::judge(board, question.slot, &writes, &question.request);
    checks.extend(judged);
    // The other slot runs meanwhile, so there is nothing to be taken over.
    let wish = match slot {
        Some(_) if question.wish == Wish::Takeover => {
            return Err(Failure::usage(
                "--prepare is not for a box with two slots: the other slot is written while it runs",
            )
            .hint("leave --prepare out"));
        }
        Some(_) => Wish::InPlace,
        None => question.wish,
    };
    let route = in_use(board, &plan::touched(&writes, slot.as_ref()), wish, &mut checks)?;
    // An image that stays on its disk takes none.
    let staged = match store.delivered() {
        Store::Disk(_) => 0,
        _ => image.size,
    };
    let mut ram = Ram {
        rollback: 0,
        needed: staged + image.unpacking() + OVERHEAD,
        available: question.available.unwrap_or(u64::MAX),
    };
    checks.push(memory(ram));

    let valid = force(&mut checks, &question.request.force);
    let mut pace = None;
    if valid {
        let begun = Instant::now();
        survey(&mut writes)?;
        checks.extend(writes.iter().filter_map(ecc::just_now));
        pace = (!board.is_sim()).then(|| Pace::measured(&writes, begun.elapsed()));
    }
    // As much again stays free when the old content is kept.
    let changing = Plan::changing(&writes);
    let room = ram.available.saturating_sub(ram.needed + OVERHEAD);
    ram.rollback = if question.rollback && changing <= room {
        changing
    } else {
        0
    };
    Ok(Plan {
        valid,
        seconds: plan::seconds(board, &writes, pace),
        route,
        board: board.profile.id.clone(),
        image: ImageSummary {
            format: image.format.clone(),
            size: image.size,
            sha256: image.sha256.clone(),
        },
        checks,
        writes,
        ram,
        slot,
        keep: None,
    })
}

/// Overrides the checks that were named, and answers whether nothing stands against the writes then.
pub fn force(checks: &mut [Check], names: &[String]) -> bool {
    for check in &mut *checks {
        let forced = names.contains(&check.name) && check.forceable;
        if check.status == Status::Fail && forced {
            check.status = Status::Warn;
            check.text.push_str(" (forced)");
        }
    }
    checks.iter().all(|check| check.status != Status::Fail)
}

/// What the bytes of a write are. A raw image is looked at beyond the write's end, so that something too
/// long for its partition is called that and not damaged.
fn look(image: &Image, store: &Store, write: &Write) -> std::io::Result<Option<content::Content>> {
    let end = match image.parts.len() {
        1 => image.payload,
        _ => write.source + write.length,
    };
    content::look(store, write.source..end)
}

/// A raw image with the size of the known box's chip, which has a kernel or file system where a partition begins, is
/// taken apart as the chip is. The bytes of partitions that move from box to box belong to those around them.
fn chip_dump(board: &Board, image: &Image, store: &Store) -> std::io::Result<Option<Image>> {
    let profile = &board.profile;
    let whole = layout::accepted(profile, image).is_some() || image.parts.len() != 1;
    if profile.is_generic() || whole || image.payload != profile.chip.size {
        return Ok(None);
    }
    let mut known: Vec<_> = profile.partitions.iter().filter(|partition| !partition.moves).collect();
    known.sort_by_key(|partition| partition.offset);
    let mut parts = Vec::new();
    for partition in known {
        parts.push(Part {
            name: partition.name.clone(),
            offset: partition.offset,
            size: partition.size,
            content: content::look(store, partition.range())?,
        });
    }
    // The boot loader alone would not show that the rest is where it belongs.
    let plausible = parts.iter().any(|part| part.offset > 0 && part.content.is_some());
    Ok(plausible.then(|| Image {
        format: "chip-dump".into(),
        parts,
        ..image.clone()
    }))
}

fn trust(question: &Question<'_>, image: &Image, store: &Store) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(wanted) = &question.trust.sha256 {
        checks.push(match *wanted == image.sha256 {
            true => Check::pass("sha256", "the image has the checksum that was asked for"),
            false => Check::fail(
                "sha256",
                format!("the image has the checksum {}, not {wanted}", image.sha256),
                "copy the image again",
            )
            .exit(Exit::ImageBad),
        });
    }
    if let Some(path) = &question.trust.key {
        let verdict = Key::read(path).and_then(|key| key.verify(question.name, question.signature, store));
        checks.push(match verdict {
            Ok(signature) => Check::pass("signature", format!("{signature} is right")),
            Err(failure) => {
                let told = failure.told();
                Check::fail("signature", told.what, told.hint.unwrap_or_default()).exit(told.exit)
            }
        });
    }
    checks
}

/// A new boot loader that is not what it should be cannot be mended without a programmer, so that it is wanted must be
/// said three times: by its check, by its checksum, and by a copy of the old one.
fn bootloader(board: &Board, image: &Image, writes: &[Write], question: &Question<'_>) -> Vec<Check> {
    let ours = |partition: &&Partition| {
        partition.keep == Some(Keep::Bootloader) && writes.iter().any(|write| write.mtd == partition.mtd)
    };
    let Some(partition) = board.partitions.iter().find(ours) else {
        return Vec::new();
    };
    let label = partition.label();
    // A backup brings a checksum of each of its copies.
    let summed = question.trust.sha256.is_some() || image.format == "backup";
    let demand = |name, met, text: &str, remedy: &str| match met {
        true => Check::pass(name, text),
        false => Check::fail(
            name,
            format!("{label} holds the boot loader: {text} must be given"),
            remedy,
        ),
    };
    vec![
        demand(
            "bootloader-checksum",
            summed,
            "its checksum",
            "compare cksum or sha256sum with what its maker says, then add --sha256 HEX",
        ),
        demand(
            "bootloader-backup",
            question.backup,
            "a place for a copy of the old one",
            "add --backup DIR, and copy DIR to another machine",
        ),
    ]
}

fn place_of_record(board: &Board, writes: &[Write]) -> Check {
    let overwritten = |partition: &Partition| writes.iter().any(|write| write.mtd == partition.mtd);
    match board.record_partition() {
        _ if board.is_sim() => Check::pass("record", "the outcome is kept in status.json"),
        Some(partition) if !overwritten(partition) => {
            Check::pass("record", format!("the outcome is kept in {}", partition.label()))
        }
        _ if std::path::Path::new("/dev/pmsg0").exists() => {
            Check::pass("record", "the outcome is kept in memory that survives a reboot")
        }
        _ if !record::disks().is_empty() => Check::pass("record", "the outcome is kept on a disk, in flasher.record"),
        _ => Check::warn(
            "record",
            "nothing on this box keeps the outcome over a reboot: no partition named flasher, no ramoops, no disk \
             with a file flasher.record",
        ),
    }
}

fn memory(ram: Ram) -> Check {
    match ram.available >= ram.needed {
        true => Check::pass(
            "ram",
            match ram.available {
                u64::MAX => format!("{} needed", Size(ram.needed)),
                available => format!("{} needed, {} available", Size(ram.needed), Size(available)),
            },
        ),
        false => Check::fail(
            "ram",
            format!(
                "the update needs {} bytes of RAM (image, what unpacking it takes, and {}), {} are available: {} too few",
                Grouped(ram.needed),
                Size(OVERHEAD),
                Grouped(ram.available),
                Grouped(ram.needed - ram.available)
            ),
            MORE_ROOM,
        ),
    }
}

/// The failure of a plan that may not be executed: its first check that failed.
pub fn refusal(plan: &Plan) -> Option<Failure> {
    let check = plan.checks.iter().find(|check| check.status == Status::Fail)?;
    let failure = Failure::new(
        check.exit.unwrap_or(Exit::Refused),
        code(&check.name),
        format_args!("refused by check {}: {}", check.name, check.text),
    );
    Some(match &check.remedy {
        Some(remedy) => failure.hint(remedy.clone()),
        None => failure,
    })
}

/// The check's name as the code of the result.
fn code(name: &str) -> &'static str {
    CHECKS.into_iter().find(|code| *code == name).unwrap_or("refused")
}
