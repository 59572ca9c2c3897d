//! `backup DIR`: every partition to a file of its own, with checksums.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::lossless;
use crate::base::units::{Count, Size};
use crate::board::{Board, Partition, usable};
use crate::cli::Backup;
use crate::report::Reporter;
use crate::update::backup;
use serde::Serialize;

#[derive(Serialize)]
struct Report {
    dir: String,
    partitions: usize,
    size: u64,
    /// Those whose copies were there already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<String>,
    /// Those that are not copied where none is named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

/// Copies.
///
/// # Errors
/// Flash that cannot be read, or a directory that cannot be written.
pub fn run(options: &Backup, reporter: &mut Reporter) -> Result<Exit> {
    usable::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    usable::usable(&board)?;
    let (mut partitions, left_out) = match options.parts.is_empty() {
        true => backup::everything(&board, reporter),
        false => {
            let named = options.parts.iter().map(|name| board.partition(name));
            let named: std::result::Result<Vec<_>, _> = named.collect();
            let unknown =
                |what| Failure::new(Exit::Refused, Code::Partition, what).hint("flasher devices lists the partitions");
            (named.map_err(unknown)?, Vec::new())
        }
    };
    // Whatever they were called: of each there is one copy.
    let mut seen = Vec::new();
    partitions.retain(|partition: &&Partition| {
        let new = !seen.contains(&partition.id);
        seen.push(partition.id);
        new
    });
    let copied = backup::copy(&board, &partitions, &options.dir, reporter)?;
    match reporter.json() {
        true => reporter.object(&Report {
            dir: lossless::of(&options.dir),
            partitions: partitions.len(),
            size: copied.size,
            kept: copied.kept,
            left_out,
        }),
        false => reporter.line(&format!(
            "{}, {}, in {}{}",
            Count(partitions.len() as u64, "partition"),
            Size(copied.size),
            options.dir.display(),
            copied.keeps()
        )),
    }
    Ok(Exit::Done)
}
