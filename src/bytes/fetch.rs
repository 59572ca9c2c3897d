//! An image over `https://`, `ftp://` or `tftp://`: fetched by a program of the box, whose exit code counts.
//!
//! None of it is believed more than any other image: what is on the way is found by `--sha256` or a signature. Busybox's wget checks
//! no certificate (`networking/wget.c`) and is not https for that.

#![forbid(unsafe_code)]

use crate::bytes::access::Request;
use crate::bytes::fetch_config;
use crate::bytes::http::{Body, plain};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest header that is looked at, in bytes.
const HEADER: u64 = 64 << 10;
/// Where programs are looked for: only root puts something there.
const PLACES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/// Their names, best first.
const NAMES: [&str; 4] = ["curl", "wget", "uclient-fetch", "tftp"];

/// The programs that are known. Names alone do not tell: on many boxes `wget` is one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Curl,
    Wget,
    BusyboxWget,
    UclientFetch,
    BusyboxTftp,
}

impl Kind {
    /// By its name, and by that of the file it leads to.
    fn of(name: &str, file: &str) -> Option<Kind> {
        match (name, file) {
            ("wget", file) if file.contains("busybox") => Some(Kind::BusyboxWget),
            ("tftp", file) if file.contains("busybox") => Some(Kind::BusyboxTftp),
            (_, file) if file.contains("uclient") => Some(Kind::UclientFetch),
            ("curl", _) => Some(Kind::Curl),
            ("wget", _) => Some(Kind::Wget),
            _ => None,
        }
    }

    fn speaks(self, scheme: &str) -> bool {
        match self {
            Kind::Curl => ["https", "ftp", "tftp"].contains(&scheme),
            Kind::Wget => ["https", "ftp"].contains(&scheme),
            Kind::UclientFetch => scheme == "https",
            Kind::BusyboxWget => scheme == "ftp",
            Kind::BusyboxTftp => scheme == "tftp",
        }
    }

    /// Whether it can be told a file with credentials.
    fn is_configurable(self) -> bool {
        matches!(self, Kind::Curl | Kind::Wget)
    }

    /// The arguments by which it writes what this URL names to its standard output.
    fn arguments(self, url: &Url<'_>, config: Option<&str>, redirects: bool) -> Vec<String> {
        let seconds = PATIENCE.as_secs().to_string();
        let only = format!("={}", url.scheme);
        let redirects = if redirects { "5" } else { "0" };
        let of_config = match self {
            Kind::Curl => config.map(|file| ["-K".to_owned(), file.to_owned()].to_vec()),
            _ => config.map(|file| [format!("--config={file}")].to_vec()),
        };
        let words: &[&str] = match self {
            Kind::Curl => &[
                "-fsSLg",
                "--proto",
                &only,
                "--proto-redir",
                &only,
                "--max-redirs",
                redirects,
                "--connect-timeout",
                &seconds,
                "--speed-limit",
                "1",
                "--speed-time",
                &seconds,
                url.whole,
            ],
            Kind::Wget => &[
                "-nv",
                "-O",
                "-",
                "-T",
                &seconds,
                "-t",
                "1",
                "--max-redirect",
                redirects,
                url.whole,
            ],
            Kind::BusyboxWget | Kind::UclientFetch => &["-q", "-O", "-", "-T", &seconds, url.whole],
            Kind::BusyboxTftp => &["-g", "-l", "-", "-r", url.path, url.host, url.port],
        };
        let words = words.iter().filter(|word| !word.is_empty());
        of_config
            .unwrap_or_default()
            .into_iter()
            .chain(words.map(|word| (*word).to_owned()))
            .collect()
    }
}

/// A URL in its parts.
struct Url<'a> {
    whole: &'a str,
    scheme: &'a str,
    host: &'a str,
    /// Empty if it names none.
    port: &'a str,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn of(whole: &'a str) -> Result<Self, String> {
        let (scheme, rest) = whole.split_once("://").unwrap_or_default();
        if !["https", "ftp", "tftp"].contains(&scheme) {
            return Err("this flasher does not speak that".to_owned());
        }
        plain(rest)?;
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Everybody on the box sees the arguments of a program.
        if place.contains('@') {
            return Err(
                "user name and password do not belong into a URL: put them into a file for --fetch-config".to_owned(),
            );
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (place, ""),
        };
        match host.is_empty() || host.starts_with('-') || path.is_empty() {
            true => Err("a URL names a host and a file".to_owned()),
            false => Ok(Url {
                whole,
                scheme,
                host,
                port,
                path,
            }),
        }
    }
}

/// Output of the program, and the file that it read its credentials from.
struct Fetched {
    child: stages::Child,
    _config: Option<fetch_config::Given>,
}

impl Read for Fetched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.child.read(buffer)
    }
}

/// Sends this request. With credentials of ours no server may send the program elsewhere, where it might show them.
///
/// # Errors
/// What is wrong with the URL or the file with credentials, or that no program of this box fetches it, as a phrase.
pub(super) fn ask(request: &Request<'_>) -> Result<Body, String> {
    let url = Url::of(request.url)?;
    let ours = request.access.authorization.is_some() || request.sent.is_some();
    let configured = ours || request.access.config.is_some();
    let (program, kind) = programs()
        .find(|(_, kind)| kind.speaks(url.scheme) && (!configured || kind.is_configurable()))
        .ok_or_else(|| lacking(&url, configured))?;
    let config = match configured {
        true => Some(fetch_config::given(kind, request)?),
        false => None,
    };
    let path = config.as_ref().map(fetch_config::Given::path).transpose()?;
    let arguments = kind.arguments(&url, path, !ours);
    let start = |arguments: &[String]| {
        stages::Child::start(&program, arguments, PATIENCE).map_err(|error| format!("{program}: {error}"))
    };
    let length = match (kind, url.scheme) {
        (Kind::Curl, "https" | "ftp") if request.sent.is_none() => {
            let head = [&["-I".to_owned()], &arguments[..]].concat();
            let mut text = String::new();
            // A server that does not answer that may still answer the other.
            let read = start(&head)?.take(HEADER).read_to_string(&mut text);
            read.ok().and_then(|_| content_length(&text))
        }
        _ => None,
    };
    let fetched = Fetched {
        child: start(&arguments)?,
        _config: config,
    };
    Ok((Box::new(fetched), length))
}

/// The length that the last header says: those before it are of places that sent us on.
fn content_length(text: &str) -> Option<u64> {
    let last = text.rfind("HTTP/").map_or(text, |at| &text[at..]);
    let mut lines = last.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length.trim().parse().ok()
}

/// Those that are there.
fn programs() -> impl Iterator<Item = (String, Kind)> {
    let all = NAMES
        .iter()
        .flat_map(|name| PLACES.iter().map(move |place| (format!("{place}/{name}"), *name)));
    all.filter_map(|(path, name)| {
        let file = std::fs::canonicalize(&path).ok()?;
        let about = file.metadata().ok()?;
        let kind = Kind::of(name, file.file_name()?.to_str()?)?;
        (about.is_file() && about.mode() & 0o111 != 0).then_some((path, kind))
    })
}

fn lacking(url: &Url<'_>, configured: bool) -> String {
    let which = match (url.scheme, configured) {
        ("tftp", false) => "curl or busybox tftp",
        ("tftp", true) => "curl",
        ("ftp", false) => "curl or wget",
        (_, false) => "curl, wget or uclient-fetch, of which busybox's wget checks no certificate and does not count",
        (_, true) => "curl or GNU wget, which alone read such a file",
    };
    format!("nothing on this box fetches {}://: it takes {which}", url.scheme)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_program_is_known_by_what_it_really_is() {
        for (name, file, kind) in [
            ("curl", "curl", Some(Kind::Curl)),
            ("wget", "wget-ssl", Some(Kind::Wget)),
            ("wget", "busybox", Some(Kind::BusyboxWget)),
            ("wget", "uclient-fetch", Some(Kind::UclientFetch)),
            ("tftp", "busybox.static", Some(Kind::BusyboxTftp)),
            ("tftp", "tftp", None),
        ] {
            assert_eq!(Kind::of(name, file), kind, "{name} {file}");
        }
        assert!(!Kind::BusyboxWget.speaks("https"), "it checks no certificate");
    }

    #[test]
    fn urls_hold_nothing_secret_and_no_options() {
        for url in [
            "gopher://host/file",
            "https://user:word@host/file",
            "tftp://-host/file",
            "ftp://host",
            "https:///file",
            "https://host/a b",
            "https://host/a\nb",
        ] {
            assert!(Url::of(url).is_err(), "{url}");
        }
        let url = Url::of("tftp://[::1]:69/dir/file").unwrap();
        assert_eq!((url.host, url.port, url.path), ("[::1]", "69", "dir/file"));
        let url = Url::of("tftp://host/file").unwrap();
        assert_eq!(
            Kind::BusyboxTftp.arguments(&url, None, true),
            ["-g", "-l", "-", "-r", "file", "host"]
        );
    }

    #[test]
    fn the_length_is_that_of_the_last_answer() {
        let moved = "HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nHTTP/2 200\r\ncontent-length: 4096\r\n\r\n";
        assert_eq!(content_length(moved), Some(4096));
        assert_eq!(content_length("Content-Length: 7\r\n"), Some(7), "of a file over FTP");
        assert_eq!(content_length("HTTP/1.1 200 OK\r\nContent-Length: many\r\n"), None);
        assert_eq!(
            content_length("HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nHTTP/2 200\r\n\r\n"),
            None
        );
    }
}
