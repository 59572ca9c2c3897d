//! What the verbs of recovery's network side share: the image that is given to a box, and the name it asks for.

#![forbid(unsafe_code)]

pub mod config;
pub mod net;
pub mod serve;

use crate::base::check_id::CheckId;
use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::quoted::Quoted;
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::cli::network::{Network, NetworkVerb, is_file_name};
use crate::image::signature::{KEYS, Keyring};
use crate::recovery::check::Report;
use crate::recovery::refusal::{accept, improper, unreadable};
use crate::recovery::{Layout, Mode, boards, check};
use crate::report::Reporter;
use std::net::Ipv4Addr;
use std::path::Path;

/// Runs one of the verbs.
///
/// # Errors
/// Those of the verb.
pub fn run(verb: NetworkVerb, reporter: &mut Reporter) -> Result<Exit> {
    match verb {
        NetworkVerb::Serve(network) => serve::run(&network, reporter),
        NetworkVerb::Config { network, server } => config::run(&network, server, reporter),
    }
}

/// Where a box of the TS-109 kind looks for its image; it cannot be told otherwise.
pub(super) const FIXED_SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 11);

pub(super) fn nameless() -> Failure {
    Failure::usage("neither the image nor its name tells what the box asks for: say so with --name")
        .hint("flasher recovery boards lists the names; flasher recovery serve IMAGE shows what the box asks for")
}

/// Reads and checks an image that is to be given to a box.
pub(super) fn read(
    image: &str,
    force: &[CheckId],
    reporter: &mut Reporter,
) -> Result<(Store<'static>, Layout, Report)> {
    let (store, sha256) = Source::open(image)?.into_memory()?;
    // Whoever demands signatures demands them of what a box gets from here too.
    let keys = Keyring::of(&[KEYS.into()])?;
    if !keys.is_empty() {
        keys.verify(image, None, &store)?;
    }
    let report = check::check(&store, sha256)?.map_err(unreadable)?;
    let layout = Layout::all()?
        .into_iter()
        .find(|layout| report.board.as_ref() == Some(&layout.board));
    let Some(layout) = layout else {
        return Err(improper(image, &report.problems, false));
    };
    for problem in accept(image, &report, force)? {
        reporter.warning(problem);
    }
    Ok((store, layout, report))
}

/// The name under which a box is to ask for this image: what the user says, else what the boot loader configuration in the
/// image says, or the file's own name if it begins with that, else the file's own if it begins as some box wants it.
///
/// # Errors
/// A file whose name is for another box than the image says: the box of the image would refuse it.
pub(super) fn served_name(network: &Network, layout: &Layout, report: &Report) -> Result<Option<String>> {
    if layout.mode() == Mode::Fixed {
        return Ok(Some(boards::FIXED.to_owned()));
    }
    let file = Path::new(&network.image).file_name().and_then(|name| name.to_str());
    let file = file.filter(|name| boards::beginning(name, Mode::Dhcp).is_some() && is_file_name(name));
    let inside = match report.names.as_slice() {
        [one] if is_file_name(one) => Some(one.as_str()),
        _ => None,
    };
    Ok(match (&network.name, inside, file) {
        (Some(said), ..) => Some(said.clone()),
        (None, Some(inside), Some(file)) if file.starts_with(inside) => Some(file.to_owned()),
        (None, Some(inside), Some(file)) => {
            let what = format_args!(
                "the file is called {}, but the boot loader configuration in it is that of a box that asks for a name \
                 beginning with {}",
                Quoted(file),
                Quoted(inside)
            );
            return Err(Failure::new(Exit::ImageBad, Code::RecoveryImage, what).hint(format!(
                "--name {inside} for the box that the image is of, --name {file} for the other one; or use its own image"
            )));
        }
        (None, Some(inside), None) => Some(inside.to_owned()),
        (None, None, file) => file.map(str::to_owned),
    })
}
