//! `recovery name`: the file name that one box asks for.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::files;
use crate::board::profile::Profile;
use crate::board::selector::Where;
use crate::board::{Board, usable};
use crate::cmd::recovery::copies::Copies;
use crate::recovery::{Layout, Mode, boards, name};
use crate::report::Reporter;
use serde::Serialize;
use std::path::Path;

/// Bytes of the longest copy that is searched: as many as the chip has.
const LONGEST: u64 = 16 << 20;

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    devices: Vec<&'static str>,
    source: &'static str,
}

/// Finds and prints it.
///
/// # Errors
/// [`Exit::Unsupported`] for a box that has no recovery mode, or whose boot loader does not tell.
pub fn run(at: &Where, from: Option<&Path>, reporter: &mut Reporter) -> Result<Exit> {
    let config = match from {
        Some(path) => kept(path, at)?,
        None => ours(at)?,
    };
    let Some(config) = config else {
        return Ok(say(boards::FIXED, "board", reporter));
    };
    let found = name::search(&config);
    match found.as_slice() {
        [one] => Ok(say(one, name::VARIABLE, reporter)),
        [] => Err(untold(
            "the boot loader configuration has no bootp_vendor_class, as on the TS-219P+",
        )),
        several => Err(untold(&format!(
            "the boot loader configuration has several of bootp_vendor_class: {}",
            several.join(", ")
        ))),
    }
}

/// What to do where the boot loader does not tell.
fn untold(what: &str) -> Failure {
    Failure::new(Exit::Unsupported, Code::NoName, what).hint(
        "a TS-219P+ asks for F_TS-219P+; any other: flasher recovery boards, or flasher recovery serve IMAGE, which \
         shows what the box asks for",
    )
}

fn say(name: &str, source: &'static str, reporter: &mut Reporter) -> Exit {
    let devices = boards::asking_for(name).map(|device| device.device).collect();
    let report = Report { name, devices, source };
    match reporter.json() {
        true => reporter.object(&report),
        false => {
            reporter.line(report.name);
            match report.devices.is_empty() {
                true => reporter.warning("no box that is known asks for this name"),
                false => reporter.detail(format_args!("asked for by {}", report.devices.join(", "))),
            }
        }
    }
    Exit::Done
}

/// The configuration of the box itself, or none where the name is fixed.
fn ours(at: &Where) -> Result<Option<Vec<u8>>> {
    usable::root(at.sim.is_some())?;
    let board = Board::discover(at)?;
    usable::usable(&board)?;
    let layout = Layout::wanted(&board.profile)?;
    let Some(slot) = config_slot(&layout) else {
        return Ok(None);
    };
    let partition = board
        .partition(&slot.partition.name)
        .map_err(|what| Failure::new(Exit::Unsupported, Code::Partition, what))?;
    let mut bytes = vec![0; partition.geometry.size as usize];
    board.open(partition)?.read(0, &mut bytes).map_err(Failure::system)?;
    Ok(Some(bytes))
}

fn config_slot(layout: &Layout) -> Option<&crate::recovery::Slot> {
    layout.slot(4).filter(|_| layout.mode() == Mode::Dhcp)
}

/// The configuration in a backup or a file.
fn kept(path: &Path, at: &Where) -> Result<Option<Vec<u8>>> {
    if !path.is_dir() {
        return files::read_plain(path, LONGEST)
            .map(Some)
            .map_err(super::copies::at(path));
    }
    let copies = Copies::open(path)?;
    let layout = match &at.board {
        Some(board) => Some(Layout::wanted(&Profile::find(board)?)?),
        // A lone mtd4 tells enough.
        None => copies.layout().ok(),
    };
    if layout.as_ref().is_some_and(|layout| layout.mode() == Mode::Fixed) {
        return Ok(None);
    }
    let copy = copies.get(4)?;
    files::read_plain(&copy.path, LONGEST)
        .map(Some)
        .map_err(super::copies::at(&copy.path))
}
