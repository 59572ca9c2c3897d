//! How long a plan will take, about.

#![forbid(unsafe_code)]

use crate::board::Board;
use crate::plan::{Plan, Write};
use mtd_rs::Timing;
use std::time::Duration;

/// Reading as it was measured: bytes, and the milliseconds that they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes read.
    pub bytes: u64,
    /// Milliseconds.
    pub millis: u64,
}

impl Pace {
    /// How fast the flash was read when the writes were compared with the image. Of a block that differs at least a part
    /// was read.
    pub fn measured(writes: &[Write], elapsed: Duration) -> Pace {
        const PART: u64 = 2 << 10;
        let total: u64 = writes.iter().map(Write::bytes).sum();
        let changing = Plan::changing(writes);
        let blocks: u64 = writes
            .iter()
            .map(|write| write.erase_blocks - write.unchanged.unwrap_or_default())
            .sum();
        Pace {
            bytes: total.saturating_sub(changing) + (blocks * PART).min(changing),
            millis: elapsed.as_millis() as u64,
        }
    }
}

/// The shortest time that says something about a chip, in milliseconds.
const LONG_ENOUGH: u64 = 200;

/// Seconds for comparing, erasing, programming, reading back and verifying. Erasing and programming take what the data
/// sheet of a usual chip of that kind calls typical (`mtd_rs::Timing`); reading takes what was measured, if it was.
pub fn seconds(board: &Board, writes: &[Write], pace: Option<Pace>) -> u64 {
    let pace = pace.filter(|pace| pace.millis >= LONG_ENOUGH && pace.bytes > 0);
    let micros: u64 = writes.iter().map(|write| micros(board, write, pace)).sum();
    micros.div_ceil(1_000_000)
}

fn micros(board: &Board, write: &Write, pace: Option<Pace>) -> u64 {
    let Some(partition) = board.partitions.iter().find(|partition| partition.mtd == write.mtd) else {
        return 0;
    };
    let timing = Timing::of(&partition.geometry);
    let block = u64::from(write.erase_size);
    let blocks = write.erase_blocks - write.unchanged.unwrap_or_default().min(write.erase_blocks);
    // The last verification reads everything. Of the rest, what changes is read back, and what is right is compared before,
    // unless that is known.
    let known = write.right.len() as u64 * block;
    let read = (2 * write.bytes()).saturating_sub(known);
    let reading = match pace {
        Some(pace) => read.saturating_mul(pace.millis) / pace.bytes * 1000,
        None => read.saturating_mul(1_000_000) / u64::from(timing.read_bytes_per_second.max(1)),
    };
    let erasing = block.div_ceil(u64::from(timing.erase_bytes.max(1))) * u64::from(timing.erase_us);
    let pages = block.div_ceil(u64::from(timing.program_bytes.max(1)));
    let programming = pages * u64::from(timing.program_ns) / 1000;
    reading + blocks * (erasing + programming)
}
