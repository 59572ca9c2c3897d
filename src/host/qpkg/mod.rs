//! `qpkg extract FILE DIR`: what the recovery page does with `dd`, `tar` and `cksum`.

#![forbid(unsafe_code)]

mod archives;

use crate::base::error::{Context, Exit, Result};
use crate::base::files;
use crate::base::lossless;
use crate::base::quoted::{Quoted, Shown};
use crate::base::units::Size;
use crate::bytes::packed::Codec;
use crate::bytes::source::Source;
use crate::bytes::store::Store;
use crate::bytes::tar;
use crate::host::links::LeftOut;
use crate::host::qpkg::archives::{About, Qpkg};
use crate::host::{archive, links, zip};
use crate::image::known;
use crate::report::Reporter;
use serde::Serialize;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

#[derive(Serialize)]
struct Unpacked {
    name: String,
    size: u64,
    /// Whether it is what the `.cksum` file beside it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    cksum: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<&'static str>,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<About>,
    files: Vec<Unpacked>,
    /// Links that would lead elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
}

/// Unpacks; archives within the package too, each into a directory of its name. Exit code 65 if a `.cksum` file says
/// that something is damaged.
///
/// # Errors
/// A file that is not a QPKG, or archives that are damaged or hostile.
pub fn extract(file: &str, dir: &Path, reporter: &mut Reporter) -> Result<Exit> {
    let (mut store, _) = Source::open(file)?.in_place()?;
    if zip::is_zip(&store).context(file)? {
        store = zip::package(&store)?;
    }
    let qpkg = Qpkg::open(&store)?;
    let mut archives = Vec::new();
    for archive in qpkg.archives {
        let plain = archive::open(&store, archive.range, archive.codec)?;
        let members = tar::walk_with_links(&plain, 0..plain.len()).map_err(archive::bad)?;
        archives.push((archive.below.to_owned(), plain, members));
    }
    // Archives within an archive: only one level, and checked before anything is written.
    let mut within = Vec::new();
    for (below, plain, (members, _)) in &archives {
        for member in members {
            if let Some(stem) = member.name.strip_suffix(".tgz") {
                let codec = Codec::at(plain, &member.data).context(file)?;
                let codec = codec.ok_or_else(|| {
                    archive::bad(format_args!(
                        "{} in it is not an archive that is known here",
                        Quoted(&member.name)
                    ))
                })?;
                let inner = archive::open(plain, member.data.clone(), codec)?;
                let members = tar::walk_with_links(&inner, 0..inner.len()).map_err(archive::bad)?;
                let below = beneath(below, stem);
                within.push((below, inner, members));
            }
        }
    }
    archives.extend(within);
    archive::apart(archives.iter().flat_map(|(below, _, (members, links))| {
        let members = members.iter().map(|member| beneath(below, &member.name));
        members.chain(links.iter().map(|link| beneath(below, &link.name)))
    }))?;
    archive::fresh_dir(dir)?;
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for (below, plain, (members, links)) in &archives {
        let here = dir.join(lossless::path(below));
        archive::unpack(plain, members, &here)?;
        left_out.extend(links::make(links, members, &here)?);
        for member in members {
            let path = here.join(lossless::path(&member.name));
            files.push(look(&path, beneath(below, &member.name))?);
        }
    }
    let report = Report {
        package: qpkg.about,
        files,
        left_out,
    };
    match reporter.json() {
        true => reporter.object(&report),
        false => text(&report, reporter),
    }
    match report.files.iter().any(|file| file.cksum == Some(false)) {
        true => Ok(Exit::ImageBad),
        false => Ok(Exit::Done),
    }
}

/// The path of a member whose archive is unpacked there; the old kind's is at the top.
fn beneath(below: &str, name: &str) -> String {
    match below.is_empty() || name.is_empty() {
        true => [below, name].concat(),
        false => [below, "/", name].concat(),
    }
}

/// Holds a file against its `.cksum`, which has the words of `cksum`: checksum, bytes, name.
fn look(path: &Path, name: String) -> Result<Unpacked> {
    let store = Store::file(File::open(path).context(path.display())?).context(path.display())?;
    let mut listed = path.as_os_str().to_owned();
    listed.push(".cksum");
    let cksum = match files::read_plain(Path::new(&listed), files::TEXT) {
        Ok(text) => {
            let sum = store.cksum().context(path.display())?.to_string();
            let size = store.len().to_string();
            let text = String::from_utf8_lossy(&text);
            Some(text.split_whitespace().take(2).eq([sum.as_str(), size.as_str()]))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // What cannot be read vouches for nothing.
        Err(_) => Some(false),
    };
    Ok(Unpacked {
        name,
        size: store.len(),
        cksum,
        known: known::recognise(&store).context(path.display())?,
    })
}

fn text(report: &Report, reporter: &mut Reporter) {
    if let Some(About { name, version, model }) = &report.package {
        reporter.line(&format!("{} {} for {}", Shown(name), Shown(version), Shown(model)));
    }
    for file in &report.files {
        let mut line = format!("  {:>10}  {}", Size(file.size).to_string(), Shown(&file.name));
        match file.cksum {
            Some(true) => line.push_str(", cksum right"),
            Some(false) => line.push_str(", DAMAGED: not what its cksum says"),
            None => (),
        }
        if let Some(known) = file.known {
            line.push_str(&format!(": {known}"));
        }
        reporter.line(&line);
    }
    for LeftOut { name, target } in &report.left_out {
        reporter.warning(format_args!(
            "left out: {}, a link that would lead out of the directory, to {}",
            Quoted(name),
            Quoted(target)
        ));
    }
}

/// A package, alone or in a zip.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(store: &Store) -> std::io::Result<()> {
    let _ = archives::Qpkg::open(store);
    if super::zip::is_zip(store)? {
        let _ = super::zip::package(store);
    }
    Ok(())
}
