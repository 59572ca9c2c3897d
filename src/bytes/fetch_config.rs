//! The file from which curl and wget read credentials: the user's own, or one that is made for a single request. What is secret,
//! and what is sent, stands in no command line, which everybody on the box sees.

#![forbid(unsafe_code)]

use crate::base::files::{self, Directory};
use crate::bytes::access::Request;
use crate::bytes::fetch::Kind;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that a program is told. One that was made for it has no name, and goes away with whoever holds it, however that ends.
pub(super) enum Given {
    Users(PathBuf),
    Ours { _open: File, path: PathBuf },
}

impl Given {
    /// Where it is.
    pub(super) fn path(&self) -> Result<&str, String> {
        let (Given::Users(path) | Given::Ours { path, .. }) = self;
        path.to_str().ok_or_else(|| said(path, &"its name is not text"))
    }
}

fn said(path: &Path, what: &dyn std::fmt::Display) -> String {
    format!("--fetch-config {}: {what}", path.display())
}

/// The file for this request. What the user's own says stands in front of what is made for the request.
pub(super) fn given(kind: Kind, request: &Request<'_>) -> Result<Given, String> {
    let users = request.access.config.as_deref().map(secret).transpose()?;
    let lines = lines(kind, request);
    match (users, lines.is_empty()) {
        (Some(path), true) => Ok(Given::Users(path)),
        (None, _) => ours(&lines),
        (Some(path), false) => {
            let text = files::read_text(&path, files::TEXT).map_err(|error| said(&path, &error))?;
            ours(&[&text, "\n", &lines].concat())
        }
    }
}

/// A file that only root can read.
fn secret(path: &Path) -> Result<PathBuf, String> {
    let about = stages::files::open(path)
        .and_then(|file| file.metadata())
        .map_err(|error| said(path, &error))?;
    match about.mode() & 0o077 {
        0 => Ok(path.to_owned()),
        _ => Err(said(path, &"others can read it: chmod 0600 it")),
    }
}

/// What curl(1) reads with `-K`, and wget(1) with `--config`.
fn lines(kind: Kind, request: &Request<'_>) -> String {
    let mut lines = String::new();
    let mut line = |curls: &str, wgets: &str, value: &str| match kind {
        Kind::Curl => {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            lines.push_str(&format!("{curls} = \"{value}\"\n"));
        }
        _ => lines.push_str(&format!("{wgets} = {value}\n")),
    };
    if let Some(secret) = &request.access.authorization {
        line("header", "header", &format!("Authorization: {}", secret.0));
    }
    if let Some((method, body)) = request.sent {
        line("request", "method", method);
        line("header", "header", "Content-Type: application/json");
        line("data-binary", "body_data", body);
    }
    lines
}

/// A file for a single request, in the first directory that is root's and can be written.
fn ours(text: &str) -> Result<Given, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = OsString::from(format!(".flasher.fetch.{}.{number}", std::process::id()));
    let mut last = String::new();
    for place in files::TEMPORARY {
        let made = Directory::open(Path::new(place)).and_then(|directory| {
            // What a process of that number left behind.
            let _ = directory.remove(&name);
            let file = directory.create(&name)?;
            directory.remove(&name)?;
            Ok(file)
        });
        match made {
            Ok(mut file) => {
                file.write_all(text.as_bytes())
                    .map_err(|error| format!("{place}: {error}"))?;
                // As a child of ours finds it (proc_pid_fd(5)).
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                return Ok(Given::Ours {
                    _open: file,
                    path: path.into(),
                });
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("no directory for a file with credentials: {last}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::access::{Access, Secret};

    #[test]
    fn what_is_secret_stands_in_a_file_of_its_own_as_each_program_reads_it() {
        let access = Access {
            authorization: Some(Secret("GatewayToken abc".into())),
            ..Access::default()
        };
        let request = Request {
            url: "https://host/",
            access: &access,
            sent: Some(("POST", "{\"a\":\"\\\\n\"}")),
        };
        assert_eq!(
            lines(Kind::Curl, &request),
            "header = \"Authorization: GatewayToken abc\"\nrequest = \"POST\"\n\
             header = \"Content-Type: application/json\"\ndata-binary = \"{\\\"a\\\":\\\"\\\\\\\\n\\\"}\"\n"
        );
        assert!(lines(Kind::Wget, &request).ends_with("\nbody_data = {\"a\":\"\\\\n\"}\n"));
        let given = given(Kind::Wget, &request).unwrap();
        let path = PathBuf::from(given.path().unwrap());
        let about = path.metadata().unwrap();
        assert_eq!(
            (about.mode() & 0o7777, about.nlink()),
            (0o600, 0),
            "it has no name to be left behind"
        );
        assert!(std::fs::read_to_string(&path).unwrap().contains("GatewayToken abc"));
    }
}
