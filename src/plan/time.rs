//! How long a plan will take, about.

#![forbid(unsafe_code)]

use super::Step;
use mtd_rs::{FlashKind, Geometry, Timing};
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
    pub fn measured(steps: &[Step], elapsed: Duration) -> Pace {
        const PART: u64 = 2 << 10;
        let total: u64 = steps.iter().map(|step| step.write.bytes()).sum();
        let changing: u64 = steps.iter().map(Step::changing).sum();
        let blocks: u64 = steps
            .iter()
            .map(|step| step.write.erase_blocks - step.unchanged().unwrap_or_default())
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
pub fn seconds<'s>(steps: impl IntoIterator<Item = (&'s Step, &'s Geometry)>, pace: Option<Pace>) -> u64 {
    let pace = pace.filter(|pace| pace.millis >= LONG_ENOUGH && pace.bytes > 0);
    let micros: u64 = steps
        .into_iter()
        .map(|(step, geometry)| micros(step, geometry, pace))
        .sum();
    micros.div_ceil(1_000_000)
}

/// What a usual chip of that kind takes. NOR with erase blocks of 128 KiB and more is parallel: a Spansion S29GL512S has sectors of
/// 128 KiB, erased in 275 ms, and a buffer of 512 bytes, programmed in 340 µs. Where an erase block is twice as large, two such
/// chips lie side by side on the bus and work at the same time.
fn timing(geometry: &Geometry) -> Timing {
    const SECTOR: u32 = 128 << 10;
    match (geometry.kind, geometry.erase_size) {
        (FlashKind::Nor, SECTOR..) => Timing {
            program_bytes: geometry.erase_size / SECTOR * 512,
            program_ns: 340_000,
            erase_us: 275_000,
            erase_bytes: geometry.erase_size,
            ..Timing::S29GL
        },
        _ => Timing::of(geometry),
    }
}

fn micros(step: &Step, geometry: &Geometry, pace: Option<Pace>) -> u64 {
    let timing = timing(geometry);
    let block = u64::from(step.write.to.erase_size);
    let up_to_date = step.unchanged().unwrap_or_default().min(step.write.erase_blocks);
    let blocks = step.write.erase_blocks - up_to_date;
    // The last verification reads everything. Of the rest, what changes is read back, and what is up to date is compared
    // before, unless that is known.
    let read = (2 * step.write.bytes()).saturating_sub(up_to_date * block);
    let reading = match pace {
        Some(pace) => read.saturating_mul(pace.millis) / pace.bytes * 1000,
        None => read.saturating_mul(1_000_000) / u64::from(timing.read_bytes_per_second.max(1)),
    };
    let erasing = block.div_ceil(u64::from(timing.erase_bytes.max(1))) * u64::from(timing.erase_us);
    let pages = block.div_ceil(u64::from(timing.program_bytes.max(1)));
    let programming = pages * u64::from(timing.program_ns) / 1000;
    reading + blocks * (erasing + programming)
}
