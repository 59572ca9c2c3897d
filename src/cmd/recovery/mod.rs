//! `recovery`: images for the boot loader's own recovery mode, and the network side of it. A verb a file.

#![forbid(unsafe_code)]

mod boards;
mod check;
mod config;
mod copies;
mod create;
mod name;
#[cfg(feature = "host")]
mod serve;

use crate::cli::recovery::{Network, Recovery};
use crate::error::{Exit, Failure, Result};
use crate::image::source::Source;
use crate::image::store::Store;
use crate::recovery::check::{self as checking, Report};
use crate::recovery::{Layout, Mode, boards as table};
use crate::report::Reporter;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// Runs one of them.
///
/// # Errors
/// Those of the verb.
pub fn run(verb: &Recovery, reporter: &mut Reporter) -> Result<Exit> {
    match verb {
        Recovery::Create(options) => create::run(options, reporter),
        Recovery::Check { image } => check::run(image, reporter),
        Recovery::Boards => boards::run(reporter),
        Recovery::Name { at, from } => name::run(at, from.as_deref(), reporter),
        Recovery::Serve(network) => serve(network, reporter),
        Recovery::Config { network, server } => config::run(network, *server, reporter),
    }
}

#[cfg(feature = "host")]
fn serve(network: &Network, reporter: &mut Reporter) -> Result<Exit> {
    serve::run(network, reporter)
}

#[cfg(not(feature = "host"))]
fn serve(network: &Network, _: &mut Reporter) -> Result<Exit> {
    Err(Failure::new(
        Exit::Unsupported,
        "host-only",
        "serving images is left out of this flasher, which is made for small boxes",
    )
    .hint(format!(
        "run flasher recovery serve on a workstation, or give its server the entries of: flasher recovery config {}",
        network.image
    )))
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, "image-unreadable", error)
}

/// Where a box of the TS-109 kind looks for its image; it cannot be told otherwise.
const FIXED_SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 11);

fn nameless() -> Failure {
    Failure::usage("neither the image nor its name tells what the box asks for: say so with --name")
        .hint("flasher recovery boards lists the names; flasher recovery serve IMAGE shows what the box asks for")
}

/// The checks of a recovery image have one name for `--force`.
const CHECK: &str = "content";

/// Reads and checks an image that is to be given to a box.
fn read(image: &str, force: &[String], reporter: &mut Reporter) -> Result<(Store, Layout, Report)> {
    let (store, sha256) = Source::open(image)?.into_memory()?;
    let report = checking::check(&store, sha256)?.map_err(unreadable)?;
    let layout = Layout::all()?
        .into_iter()
        .find(|layout| report.board.as_ref() == Some(&layout.board));
    let Some(layout) = layout else {
        return Err(improper(image, &report.problems, false));
    };
    accept(image, &report, force, reporter)?;
    Ok((store, layout, report))
}

/// Refuses an image with something wrong in it, unless that is forced.
fn accept(image: &str, report: &Report, force: &[String], reporter: &mut Reporter) -> Result<()> {
    if let Some(other) = force.iter().find(|name| *name != CHECK) {
        return Err(Failure::usage(format_args!(
            "--force={other}: only {CHECK} can be overridden here"
        )));
    }
    if report.ok {
        return Ok(());
    }
    if force.is_empty() {
        return Err(improper(image, &report.problems, true));
    }
    for problem in &report.problems {
        reporter.warning(problem);
    }
    Ok(())
}

fn improper(image: &str, problems: &[String], forceable: bool) -> Failure {
    let hint = match forceable {
        true => "use an image that starts; --force=content overrides this",
        false => "flasher recovery create makes a proper one",
    };
    Failure::new(
        Exit::ImageBad,
        "recovery-image",
        format_args!("{image} is no proper recovery image: {}", problems.join("; ")),
    )
    .hint(hint)
}

/// The name under which a box is to ask for this image: what the user says, else the file's own if it begins as some
/// box wants it, else what the boot loader configuration in the image says.
fn served_name(network: &Network, layout: &Layout, report: &Report) -> Option<String> {
    if layout.mode() == Mode::Fixed {
        return Some(table::FIXED.to_owned());
    }
    let own = Path::new(&network.image).file_name().and_then(|name| name.to_str());
    let fits = |name: &&str| {
        table::beginning(name, Mode::Dhcp).is_some()
            && name.len() < 128
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte))
    };
    network
        .name
        .clone()
        .or_else(|| own.filter(fits).map(str::to_owned))
        .or_else(|| match report.names.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        })
}
