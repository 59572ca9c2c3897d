//! `recovery boards`: the table of file names.

#![forbid(unsafe_code)]

use crate::base::error::{Exit, Result};
use crate::recovery::boards::DEVICES;
use crate::report::Reporter;

/// Prints the table.
///
/// # Errors
/// None.
pub fn run(reporter: &mut Reporter) -> Result<Exit> {
    if reporter.json() {
        reporter.object(&DEVICES);
        return Ok(Exit::Done);
    }
    for device in DEVICES {
        let names = device.names.join(" or ");
        let remark = device.remark.map(|remark| format!("  ({remark})")).unwrap_or_default();
        reporter.line(&format!("{:<13} {:<11} {names}{remark}", device.device, device.board));
    }
    reporter.line("\nA name that begins with F_ may go on after that: F_TS-219_debian is right for a TS-219.");
    Ok(Exit::Done)
}
