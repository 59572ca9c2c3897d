//! A record beside an update: of one that is about to begin, or that failed before it came to the flash.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Harm, Result};
use crate::base::outcome::{Outcome, Tally};
use crate::board::lock::Lock;
use crate::board::{Backend, Board, Proof};
use crate::record::{self, Record, Versions};
use crate::report::Reporter;

/// Keeps it.
///
/// # Errors
/// Another flasher at work, or that it could be kept nowhere.
pub(crate) fn keep(board: &Board, record: &Record) -> Result<()> {
    match &board.backend {
        Backend::Sim(sim) => {
            let proof = Proof::Sim(Lock::of_sim(&sim.dir)?);
            record::save(board, record, Some(&proof))
        }
        Backend::Linux => {
            let _lock = Lock::of_this_box()?;
            record::save(board, record, free(board).as_ref())
        }
    }
}

/// What stands on record while the flash is changed, so that a power cut leaves a true one.
pub(super) fn interrupted() -> Failure {
    Failure::new(Exit::Flash, Code::Interrupted, "the update was interrupted").harm(Harm::Partly)
}

/// Keeps why an update ended before the engine began, or that it has begun.
pub(super) fn ended(board: &Board, failure: &Failure, sha256: &str, versions: &Versions, reporter: &mut Reporter) {
    let outcome = Outcome::failed(failure, Tally::default());
    let record = Record::now(&outcome, sha256, versions, &reporter.reached);
    // The partition of the record may be free although the planned ones are not.
    if let Err(error) = record::save(board, &record, free(board).as_ref()) {
        reporter.warning(format_args!("the outcome could not be kept: {error}"));
    }
}

/// That the record's own partition is free, whatever uses the others.
pub(super) fn free(board: &Board) -> Option<Proof> {
    let partition = board.record_partition()?;
    let proof = stages::prove_unheld_in_place(&board.map, &[partition.id]).ok()?;
    Some(Proof::Unheld(proof))
}
