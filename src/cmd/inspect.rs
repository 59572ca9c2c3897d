//! `inspect IMAGE`: what the file is.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Exit, Failure, Result};
use crate::base::format::Format;
use crate::base::quoted::one_line;
use crate::base::units::Size;
use crate::board::profile::Profile;
use crate::bytes::access::Access;
use crate::bytes::by_pipe::by_pipe;
use crate::bytes::packed::ARCHIVE;
use crate::bytes::source::Source;
use crate::image;
use crate::image::fwtool::Metadata;
use crate::image::{Image, Part, Reading, known};
use crate::layout;
use crate::report::Reporter;
use serde::Serialize;

#[derive(Serialize)]
struct PartReport<'a> {
    #[serde(flatten)]
    part: &'a Part,
    ok: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    format: Format,
    size: u64,
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    parts: Vec<PartReport<'a>>,
    boards: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<&'static str>,
}

/// Prints what an image is; exit code 65 if a part of it is damaged.
///
/// # Errors
/// An image that cannot be read.
pub fn run(name: &str, access: &Access, typed: &[String], reporter: &mut Reporter) -> Result<Exit> {
    let source = Source::fetch(name, access).map_err(|failure| by_pipe(failure, name, typed))?;
    let (store, sha256) = source.in_place()?;
    let reading = Reading {
        room: ARCHIVE,
        ..Reading::default()
    };
    let unreadable = |error| Failure::new(Exit::ImageUnreadable, Code::ImageUnreadable, error);
    let known = known::recognise(&store).map_err(unreadable)?;
    let (_store, image) = image::open(store, sha256, &reading).map_err(unreadable)?;
    let boards = boards(&image)?;
    let report = Report {
        format: image.format,
        size: image.size,
        sha256: &image.sha256,
        compression: image.packing.map(|packing| packing.codec.as_str()),
        metadata: image.metadata.as_ref(),
        made_for: image.made_for.as_deref(),
        problem: image.problem.as_deref(),
        parts: image
            .parts
            .iter()
            .map(|part| PartReport { part, ok: part.ok() })
            .collect(),
        boards,
        known,
    };
    match reporter.json() {
        true => reporter.object(&report),
        false => text(name, &report, reporter),
    }
    match image.ok() {
        true => Ok(Exit::Done),
        false => Ok(Exit::ImageBad),
    }
}

/// The built-in boards that know where this image goes.
fn boards(image: &Image) -> Result<Vec<String>> {
    let mut boards = Vec::new();
    for id in crate::board::known::ids() {
        let profile = Profile::find(id)?;
        if layout::accepted(&profile, image).is_some() && is_for(&profile, image) {
            boards.push(id.to_owned());
        }
    }
    Ok(boards)
}

/// Whether what an image says of its box, if it says anything, may be said of this one.
fn is_for(profile: &Profile, image: &Image) -> bool {
    let any = |named: &[String], known: &[String]| named.is_empty() || named.iter().any(|name| known.contains(name));
    let named = image
        .metadata
        .as_ref()
        .is_none_or(|metadata| metadata.is_for(&profile.openwrt));
    let content = image.parts.first().and_then(|part| part.content.as_ref());
    named
        && content.is_none_or(|content| {
            let foreign = profile.cpu.is_some_and(|cpu| content.foreign_to(cpu).is_some());
            let number = content
                .hardware
                .as_ref()
                .is_none_or(|number| profile.tplink.contains(number));
            !foreign && number && any(&content.compatible, &profile.signs.compatible)
        })
}

fn text(name: &str, report: &Report<'_>, reporter: &mut Reporter) {
    reporter.line(&format!(
        "{name}: {}{}, {}\nsha256 {}",
        report.format,
        report.compression.map(|name| format!(" in {name}")).unwrap_or_default(),
        Size(report.size),
        report.sha256
    ));
    if let Some(problem) = report.problem {
        reporter.line(&format!("DAMAGED: {problem}"));
    }
    if let Some(made_for) = report.made_for {
        reporter.line(&format!("made for {}", one_line(made_for)));
    }
    if let Some(metadata) = report.metadata {
        let devices = one_line(&metadata.supported_devices.join(", "));
        reporter.line(&format!(
            "for {devices}, compatible with {}",
            one_line(&metadata.compat_version)
        ));
    }
    for PartReport { part, ok } in &report.parts {
        let mut line = format!(
            "  0x{:07x} {:>10}  {}",
            part.offset,
            Size(part.size).to_string(),
            one_line(&part.name)
        );
        if let Some(content) = &part.content {
            let described = content.format.described();
            line.push_str(&format!(": {described}"));
            if content.title != described {
                line.push_str(&format!(" {}", content.title));
            }
            if let Some(arch) = &content.arch {
                line.push_str(&format!(" for {}", arch.as_str()));
            }
            match content.problem.as_ref().or(content.doubt.as_ref()) {
                Some(problem) => line.push_str(&format!(": DAMAGED: {problem}")),
                None if *ok && content.checked => line.push_str(", checked"),
                None => (),
            }
        }
        reporter.line(line.trim_end());
    }
    if let Some(known) = report.known {
        reporter.line(&format!("known: {known}"));
    }
    if !report.boards.is_empty() {
        reporter.line(&format!("boards: {}", report.boards.join(", ")));
    }
}
