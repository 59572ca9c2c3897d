//! Copies of partitions: a file for each, with their checksums beside them.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Result};
use crate::base::files::{Readers, replace};
use crate::base::units::hex;
use crate::board::{Board, Partition};
use crate::image::backup::{SUMS, file_name};
use crate::plan::told::number;
use crate::report::Reporter;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Copies these partitions into the directory and lists them in `SHA256SUMS`.
///
/// # Errors
/// Flash that cannot be read, or a directory that cannot be written. What was there before is lost only when its successor is complete.
pub fn copy(board: &Board, partitions: &[&Partition], dir: &Path, reporter: &mut Reporter) -> Result<u64> {
    fs::create_dir_all(dir).context(dir.display())?;
    let total: u64 = partitions.iter().map(|partition| partition.capacity()).sum();
    let mut done = 0;
    let mut sums = String::new();
    for partition in partitions {
        let name = file_name(number(partition.id), &partition.name);
        let sum = replace(&dir.join(&name), Readers::Owner, |file| {
            read_out(board, partition, file, &mut |bytes| {
                done += bytes;
                reporter.progress("copying", done, total);
            })
        })?;
        sums.push_str(&format!("{sum}  {name}\n"));
    }
    replace(&dir.join(SUMS), Readers::Owner, |file| {
        file.write_all(sums.as_bytes()).context(SUMS)
    })?;
    Ok(total)
}

/// Reads the good blocks and answers their SHA-256.
///
/// # Errors
/// Flash that cannot be read or corrected, and a file that cannot be written.
pub fn read_out(
    board: &Board,
    partition: &Partition,
    file: &mut File,
    progress: &mut dyn FnMut(u64),
) -> Result<String> {
    let mut flash = board.open(partition)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 16 << 10];
    let before = flash.ecc_stats().map_err(Failure::system)?;
    for block in partition.good_blocks() {
        let mut at = block.start;
        while at < block.end {
            let take = buffer.len().min((block.end - at) as usize);
            flash.read(at, &mut buffer[..take]).map_err(Failure::system)?;
            hash.update(&buffer[..take]);
            file.write_all(&buffer[..take]).context("backup file")?;
            at += take as u64;
        }
        progress(block.end - block.start);
    }
    let after = flash.ecc_stats().map_err(Failure::system)?;
    match (before, after) {
        (Some(before), Some(after)) if after.failed != before.failed => Err(Failure::system(format_args!(
            "{}: {} pages read with errors that ECC could not correct, so this is no copy of what was written",
            partition.label(),
            after.failed.wrapping_sub(before.failed)
        ))
        .hint("flasher devices shows the counters; --part leaves this partition out")),
        _ => Ok(hex(&hash.finalize())),
    }
}
