//! The updater of a Synology `.pat`: started by the box's update page as `updater -v /volume1`, from the directory into
//! which the `.pat` was unpacked (flipflip's page "DiskStation .pat Files"). It applies the images beside it, through
//! the same plan and checks.
//!
//! The system of these boxes runs from their disks, so their flash is written in place, and the page reboots the box.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Exit, Failure, Result};
use crate::base::lossless;
use crate::base::outcome::{Outcome, Tally};
use crate::board::selector::Where;
use crate::cli::Apply;
use crate::cmd::apply;
use crate::report::Reporter;
use crate::report::synology::Page;
use crate::update::stage::ImageSource;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the page looks for progress and message.
const PLACE: &str = "/tmp";
/// A simulated box and another place for the two files: for trying a `.pat` on a workstation.
const SIM: &str = "FLASHER_SIM";
const PLACE_SET: &str = "FLASHER_UPDATE_DIR";

/// Whether we were started by the name of an updater.
pub fn is_meant() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name).file_name().is_some_and(|name| name == "updater")
}

/// Applies the images beside this program. The exit code is below 126 in every case, as the page wants it.
///
/// # Errors
/// What was reported to the page.
pub fn run(args: impl IntoIterator<Item = OsString>, reporter: &mut Reporter) -> Result<Exit> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let place = set(PLACE_SET).unwrap_or_else(|| PLACE.into());
    reporter.attach(Box::new(Page::open(&place)));
    let options = understood(args).and_then(|()| {
        let program = std::env::current_exe().context("where the updater is")?;
        let dir = program.parent().unwrap_or(Path::new("/"));
        Ok(Apply {
            image: lossless::of(dir),
            at: Where {
                sim: set(SIM),
                board: None,
            },
            yes: true,
            // The page reboots; and a takeover would cut it off before it has said so.
            no_reboot: true,
            in_place: true,
            ..Apply::default()
        })
    });
    match options {
        Ok(options) => apply::run(&options, ImageSource::Pat, reporter),
        Err(failure) => {
            reporter.failure(&failure);
            reporter.outcome(&Outcome::failed(&failure, Tally::default()));
            Err(failure)
        }
    }
}

/// `-v VOLUME`; the volume does not matter to the flash.
fn understood(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let args: Vec<_> = args.into_iter().collect();
    match args.as_slice() {
        [v, _] if v == "-v" => Ok(()),
        _ => Err(
            Failure::usage("by the name of updater it takes -v VOLUME and nothing else")
                .hint("start it by another name for its other verbs"),
        ),
    }
}
