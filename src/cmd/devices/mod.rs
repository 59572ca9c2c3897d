//! `devices`: what this box is, and what `apply` would do on it.

#![forbid(unsafe_code)]

mod draft;
mod partition;
mod tree;

use crate::base::error::{Exit, Result};
use crate::base::quoted::Quoted;
use crate::base::units::Size;
use crate::board::bootloader::Bootloader;
use crate::board::selector::Where;
use crate::board::{Board, bootloader, usable};
use crate::checks;
use crate::report::Reporter;
use crate::slots;
use partition::{PartitionReport, describe};
use serde::Serialize;
use tree::Chip;

#[derive(Serialize)]
struct Report {
    board: String,
    board_name: String,
    route: &'static str,
    init: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ram_available: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watchdog: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    watchdogs: Vec<String>,
    partitions: Vec<PartitionReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slots: Option<slots::State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bootloader: Option<Bootloader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

/// Prints the box.
///
/// # Errors
/// A system without MTD, or one that does not answer.
pub fn run(at: &Where, profile: bool, reporter: &mut Reporter) -> Result<Exit> {
    let board = Board::discover(at)?;
    usable::usable(&board)?;
    if profile {
        let draft = draft::draft(&board)?;
        draft.lines.iter().for_each(|line| reporter.line(line));
        if !draft.left_out.is_empty() {
            reporter.warning(format_args!(
                "a profile has one chip, and every name once: without {}",
                draft.left_out.join(", ")
            ));
        }
        return Ok(Exit::Done);
    }
    let report = report(&board)?;
    match reporter.json() {
        true => reporter.object(&report),
        false => text(&report, &tree::chips(&board), reporter),
    }
    Ok(Exit::Done)
}

fn report(board: &Board) -> Result<Report> {
    let partitions = board
        .partitions
        .iter()
        .zip(board.holders_of_each()?)
        .map(|(partition, holders)| describe(board, partition, &holders))
        .collect::<Vec<_>>();
    // What is nobody's may be written in place; a box that runs from its flash is taken over, if it can be.
    let used = partitions.iter().any(|partition| !partition.used_by.is_empty());
    let (route, init) = match (board.is_sim(), used) {
        (true, _) => ("in-place", "none (simulated)".to_owned()),
        (false, false) => ("in-place", stages::init::detect().to_string()),
        (false, true) => match checks::takeover() {
            Ok(_) => ("staged", stages::init::detect().to_string()),
            Err(against) => ("none", against.what),
        },
    };
    let (bootloader, unread) = match bootloader::look(board) {
        Ok(found) => (found, None),
        // Only root can read it; the rest is for everybody.
        Err(_) if usable::root(board.is_sim()).is_err() => (None, None),
        Err(failure) => (None, Some(format!("the boot loader cannot be read: {}", failure.what))),
    };
    let real = !board.is_sim();
    let watchdogs = real.then(stages::watchdog::all).unwrap_or_default();
    let watchdogs: Vec<String> = watchdogs.iter().map(ToString::to_string).collect();
    Ok(Report {
        board: board.profile.id.clone(),
        board_name: board.profile.name.clone(),
        route,
        init,
        ram_available: real.then(stages::memory::available).flatten(),
        watchdog: watchdogs.first().cloned(),
        watchdogs,
        partitions,
        slots: slots::state(board),
        bootloader,
        remark: [board.remark.clone(), unread]
            .into_iter()
            .flatten()
            .reduce(|one, other| format!("{one}; {other}")),
    })
}

fn text(report: &Report, chips: &[Chip], reporter: &mut Reporter) {
    reporter.line(&format!("board: {} ({})", report.board, report.board_name));
    if let Some(remark) = &report.remark {
        reporter.warning(remark);
    }
    reporter.line(&format!("init: {} · route: {}", report.init, report.route));
    if let Some(available) = report.ram_available {
        reporter.line(&format!("RAM: {} available", Size(available)));
    }
    for watchdog in &report.watchdogs {
        reporter.line(&format!("watchdog: {watchdog}"));
    }
    if let Some(loader) = &report.bootloader {
        let built = loader.built.as_deref().unwrap_or("unknown");
        reporter.line(&format!(
            "boot loader: cksum {}, built {built}, recovery mode: {}",
            loader.cksum, loader.recovery
        ));
        if let Some(advice) = &loader.advice {
            reporter.warning(advice);
        }
    }
    if let Some(state) = &report.slots {
        reporter.line(&state.text());
    }
    let named = chips.iter().any(|chip| chip.name().is_some());
    for chip in chips {
        if named || chips.len() > 1 {
            match chip.name() {
                Some(name) => reporter.line(&format!("chip {}:", Quoted(name))),
                None => reporter.line("on a chip that is not known, or on several:"),
            }
        }
        for (depth, id) in &chip.lines {
            for partition in report.partitions.iter().filter(|partition| partition.id == *id) {
                reporter.line(&partition.line(*depth));
                for holder in &partition.used_by {
                    reporter.line(&format!("{:indent$}      used by {holder}", "", indent = 2 * depth));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::board::{Backend, sim};

    #[test]
    fn a_boot_loader_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("box");
        sim::create("qnap-ts219", &at).unwrap();
        let (sim, board) = (Some(at), None);
        let board = Board::discover(&Where { sim, board }).unwrap();
        let remark = || report(&board).unwrap().remark;
        assert_eq!(remark(), None);
        let Backend::Sim(backend) = &board.backend else {
            panic!("a simulated box");
        };
        let (offset, times) = (5, 1);
        backend.chip().inject(mtd_rs::Fault::ReadFails { offset, times });
        assert!(remark().unwrap().contains("the boot loader cannot be read"));
    }
}
