//! What arrived of an image before the connection broke. It stays in RAM until the next `flasher push`, which need not send it
//! again.

#![forbid(unsafe_code)]

use crate::base::files::{Directory, TEMPORARY};
use crate::board::{Backend, Board};
use crate::bytes::budget::Budget;
use crate::bytes::pull::Pull;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

const NAME: &str = "flasher.partial";

/// Keeps it, where there is room. That nothing is kept only costs time.
pub(super) fn keep(board: &Board, arrived: Vec<&mut dyn Pull>) {
    for directory in directories(board) {
        let _ = directory.remove(OsStr::new(NAME));
        let Ok(mut file) = directory.create(OsStr::new(NAME)) else {
            continue;
        };
        let mut sink = match board.is_sim() {
            true => Budget::new(&mut file, None, false),
            false => Budget::of_ram(&mut file),
        };
        // What fills the memory of the box is worth less than that.
        if arrived.into_iter().any(|file| io::copy(file, &mut sink).is_err()) {
            let _ = directory.remove(OsStr::new(NAME));
        }
        return;
    }
}

/// What was kept; it lasts as long as the file is open.
pub(super) fn take(board: &Board) -> Option<File> {
    let take = |directory: Directory| {
        let file = directory.file(OsStr::new(NAME)).ok()?;
        directory.remove(OsStr::new(NAME)).ok()?;
        Some(file)
    };
    directories(board).into_iter().find_map(take)
}

/// The directories in RAM where only root can have made it.
fn directories(board: &Board) -> Vec<Directory> {
    let places: Vec<&Path> = match &board.backend {
        Backend::Sim(sim) => vec![&sim.dir],
        Backend::Linux => TEMPORARY
            .iter()
            .map(Path::new)
            .filter(|place| stages::is_in_ram(place))
            .collect(),
    };
    places
        .into_iter()
        .filter_map(|place| Directory::open(place).ok())
        .collect()
}
