//! `devices`: what this box is, and what `apply` would do on it.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::{Exit, Result};
use crate::base::quoted::Quoted;
use crate::base::units::Size;
use crate::board::bootloader::Bootloader;
use crate::board::selector::Where;
use crate::board::usable;
use crate::board::{Board, Partition, bootloader};
use crate::plan::told::number;
use crate::report::Reporter;
use crate::slots;
use serde::Serialize;

#[derive(Serialize)]
struct PartitionReport {
    mtd: u32,
    name: String,
    /// `ubi0_1` of a volume, whose number is none of MTD's.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<String>,
    r#type: &'static str,
    size: u64,
    erase_size: u32,
    write_size: u32,
    bad_blocks: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bad_at: Vec<u64>,
    good_blocks: usize,
    writable: bool,
    used_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecc_corrected: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecc_failed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<CheckId>,
}

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
pub fn run(at: &Where, reporter: &mut Reporter) -> Result<Exit> {
    let board = Board::discover(at)?;
    usable::usable(&board)?;
    let report = report(&board)?;
    match reporter.json() {
        true => reporter.object(&report),
        false => text(&report, reporter),
    }
    Ok(Exit::Done)
}

fn report(board: &Board) -> Result<Report> {
    let partitions = board
        .partitions
        .iter()
        .map(|partition| describe(board, partition))
        .collect::<Result<Vec<_>>>()?;
    // What is nobody's may be written in place; a box that runs from its flash is taken over, if it can be.
    let used = partitions.iter().any(|partition| !partition.used_by.is_empty());
    let (route, init) = match (board.is_sim(), used) {
        (true, _) => ("in-place", "none (simulated)".to_owned()),
        (false, false) => ("in-place", stages::init::detect().to_string()),
        (false, true) => match stages::takeover_route() {
            Ok(()) => ("staged", stages::init::detect().to_string()),
            Err(refusal) => ("none", refusal.to_string()),
        },
    };
    let real = !board.is_sim();
    Ok(Report {
        board: board.profile.id.clone(),
        board_name: board.profile.name.clone(),
        route,
        init,
        ram_available: real.then(stages::memory::available).flatten(),
        watchdog: real.then(stages::watchdog::find).flatten().map(|dog| {
            let timeout = dog.timeout_s.map(|s| format!(", {s} s")).unwrap_or_default();
            let owner = dog.owner.map(|owner| format!(", fed by {owner}")).unwrap_or_default();
            let state = if dog.running { "running" } else { "not running" };
            format!("{} {state}{timeout}{owner}", dog.device)
        }),
        partitions,
        slots: slots::state(board),
        // Only root can read it; the rest is for everybody.
        bootloader: bootloader::look(board).unwrap_or_default(),
        remark: board.remark.clone(),
    })
}

fn describe(board: &Board, partition: &Partition) -> Result<PartitionReport> {
    let used_by = board.holders(&[partition.id])?;
    let used_by = used_by.iter().map(ToString::to_string).collect();
    Ok(PartitionReport {
        mtd: number(partition.id),
        name: partition.name.clone(),
        volume: partition.volume.as_ref().map(|_| partition.id.to_string()),
        r#type: partition.geometry.kind.as_str(),
        size: partition.geometry.size,
        erase_size: partition.geometry.erase_size,
        write_size: partition.geometry.write_size,
        bad_blocks: partition.bad.len(),
        bad_at: partition.bad.clone(),
        good_blocks: partition.good_blocks().count(),
        writable: partition.writable,
        used_by,
        ecc_corrected: partition.health.corrected,
        ecc_failed: partition.health.failed,
        keep: partition.keep.map(|keep| keep.check()),
    })
}

fn text(report: &Report, reporter: &mut Reporter) {
    reporter.line(&format!("board: {} ({})", report.board, report.board_name));
    if let Some(remark) = &report.remark {
        reporter.warning(remark);
    }
    reporter.line(&format!("init: {} · route: {}", report.init, report.route));
    if let Some(available) = report.ram_available {
        reporter.line(&format!("RAM: {} available", Size(available)));
    }
    if let Some(watchdog) = &report.watchdog {
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
    for partition in &report.partitions {
        let mut line = format!(
            "  {} {:<16} {:>9}  {}, erase block {}",
            partition
                .volume
                .clone()
                .unwrap_or_else(|| format!("mtd{}", partition.mtd)),
            Quoted(&partition.name).to_string(),
            Size(partition.size).to_string(),
            partition.r#type,
            Size(partition.erase_size.into())
        );
        if partition.bad_blocks > 0 {
            line.push_str(&format!(
                ", {} bad blocks, {} good",
                partition.bad_blocks, partition.good_blocks
            ));
        }
        if let Some(corrected) = partition.ecc_corrected.filter(|corrected| *corrected > 0) {
            line.push_str(&format!(", {corrected} bits corrected"));
        }
        if let Some(failed) = partition.ecc_failed.filter(|failed| *failed > 0) {
            line.push_str(&format!(", {failed} uncorrectable pages"));
        }
        if !partition.writable {
            line.push_str(", read-only");
        }
        if let Some(keep) = partition.keep {
            line.push_str(&format!(", {keep}: kept unless forced"));
        }
        reporter.line(&line);
        for holder in &partition.used_by {
            reporter.line(&format!("      used by {holder}"));
        }
    }
}
