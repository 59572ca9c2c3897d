//! From here on the flash is being changed: opens the partitions against the proof, writes, verifies.
//! The same for a simulated box, in place, and as PID 1.

#![forbid(unsafe_code)]

use crate::board::{Board, Proof};
use crate::error::{Exit, Failure, Result};
use crate::flash::{self, Phase, Progress, Stopped, Target, Verified};
use crate::image::store::Store;
use crate::plan::Write;
use crate::report::Reporter;
use crate::report::signals::Signals;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that would end a process and must not end this one.
const SIGNALS: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Turns signals into a flag, so that a person who presses ^C is answered instead of left with half a
/// firmware. SIGPIPE is ignored by the Rust runtime already.
fn deafen() -> Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        signal_hook::flag::register(signal, Arc::clone(&asked))
            .map_err(|error| Failure::system(format_args!("signal {signal}: {error}")))?;
    }
    Ok(asked)
}

/// Executes the writes.
///
/// # Errors
/// How far it came, and why not further.
pub fn execute(
    board: &Board,
    writes: &[Write],
    store: &Store,
    proof: &Proof,
    reporter: &mut Reporter,
) -> std::result::Result<Verified, Stopped> {
    let untouched = |failure| Stopped {
        failure,
        tally: flash::Tally::default(),
    };
    let asked = deafen().map_err(untouched)?;
    let targets = open(board, writes, proof).map_err(untouched)?;
    let mut signals = Signals::begin(board.profile.signals.as_ref());
    let mut observer = |progress: Progress| {
        if asked.swap(false, Ordering::Relaxed) {
            reporter.warning("asked to stop, but half-written flash does not boot: going on");
        }
        let phase = match progress.phase {
            Phase::Write => "writing",
            Phase::Verify => "verifying",
        };
        signals.tick();
        reporter.progress(phase, progress.done, progress.total);
    };
    let result = flash::write(targets, store, &mut observer).and_then(|written| written.verify(store, &mut observer));
    signals.end(result.is_ok());
    result
}

/// Opens every partition before the first one is written, each found again by number, name and geometry.
fn open<'a>(board: &Board, writes: &'a [Write], proof: &Proof) -> Result<Vec<Target<'a>>> {
    writes
        .iter()
        .map(|write| {
            let partition = board
                .partitions
                .iter()
                .find(|partition| {
                    partition.mtd == write.mtd
                        && partition.name == write.partition
                        && partition.geometry.size == write.size
                        && partition.geometry.erase_size == write.erase_size
                        && partition.bad == write.bad
                })
                .ok_or_else(|| {
                    Failure::new(
                        Exit::System,
                        "mtd",
                        format_args!("mtd{} is not {:?} as it was planned", write.mtd, write.partition),
                    )
                })?;
            Ok(Target {
                write,
                flash: board.open_writable(partition, proof)?,
            })
        })
        .collect()
}
