//! `backup DIR`: every partition to a file of its own, with checksums.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::units::Size;
use crate::board::{Board, usable};
use crate::cli::Backup;
use crate::report::Reporter;
use crate::update::backup;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Report<'a> {
    dir: &'a Path,
    partitions: usize,
    size: u64,
    /// Those whose copies were there already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<String>,
}

/// Copies.
///
/// # Errors
/// Flash that cannot be read, or a directory that cannot be written.
pub fn run(options: &Backup, reporter: &mut Reporter) -> Result<Exit> {
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    let partitions = match options.parts.is_empty() {
        // Volumes are in the copies of what they lie on.
        true => board.partitions.iter().filter(|p| p.volume.is_none()).collect(),
        false => options
            .parts
            .iter()
            .map(|name| board.partition(name))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|what| {
                Failure::new(Exit::Refused, Code::Partition, what).hint("flasher devices lists the partitions")
            })?,
    };
    let copied = backup::copy(&board, &partitions, &options.dir, reporter)?;
    match reporter.json() {
        true => reporter.object(&Report {
            dir: &options.dir,
            partitions: partitions.len(),
            size: copied.size,
            kept: copied.kept,
        }),
        false => reporter.line(&format!(
            "{} partitions, {}, in {}{}",
            partitions.len(),
            Size(copied.size),
            options.dir.display(),
            copied.keeps()
        )),
    }
    Ok(Exit::Done)
}
