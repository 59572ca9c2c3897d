//! An image over `https://`, `ftp://` or `tftp://`: fetched by a program of the box, whose exit code counts.
//!
//! None of it is believed more than any other image: what is on the way is found by `--sha256` or a signature. Busybox's wget checks
//! no certificate (`networking/wget.c`) and is not https for that.

#![forbid(unsafe_code)]

use crate::bytes::access::Request;
use crate::bytes::fetch_config;
use crate::bytes::fetch_head::Head;
use crate::bytes::fetch_resume::Fetched;
use crate::bytes::http::{Body, plain};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where programs are looked for: only root puts something there.
const PLACES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
/// What GNU wget is told to be the way to hosts without TLS. It has no option that keeps it from following a redirect there; a way
/// over TLS it refuses (`retrieve_url` in its `src/retr.c`), and names it.
const NO_WAY: [&str; 6] = [
    "-e",
    "use_proxy=on",
    "-e",
    "http_proxy=https://redirect-from-https.invalid/",
    "-e",
    "ftp_proxy=https://redirect-from-https.invalid/",
];
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

    /// Whether it asks a server what there is without fetching it. uclient-fetch tells no length.
    fn has_head(self, scheme: &str) -> bool {
        matches!(self, Kind::Curl | Kind::Wget | Kind::BusyboxWget) && scheme != "tftp"
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
        let no_way: &[&str] = match (self, url.scheme) {
            (Kind::Wget, "https") => &NO_WAY,
            _ => &[],
        };
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
            // With a time limit that of busybox 1.35 crashes over FTP; how long it says nothing is seen here.
            Kind::BusyboxWget => &["-q", "-O", "-", url.whole],
            Kind::UclientFetch => &["-q", "-O", "-", "-T", &seconds, url.whole],
            Kind::BusyboxTftp => &["-g", "-l", "-", "-r", url.path, url.host, url.port],
        };
        let words = no_way.iter().chain(words).filter(|word| !word.is_empty());
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
        // Host and port are words of a command line, too.
        let odd = host.starts_with('-') || !port.bytes().all(|byte| byte.is_ascii_digit());
        match host.is_empty() || odd || path.is_empty() {
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

/// A program that fetches, with all that it is told but from where on.
pub(super) struct Program {
    path: String,
    kind: Kind,
    arguments: Vec<String>,
    /// Whether the server can be asked what there is without sending it.
    has_head: bool,
    /// Whether the exit code counts of a program that asks. Both wgets look for the file in a way over FTP that may fail.
    head_counts: bool,
    /// Whether what breaks may be fetched once more.
    pub(super) repeats: bool,
    _config: Option<fetch_config::Given>,
}

impl Program {
    /// Starts it, from this byte on.
    pub(super) fn start(&self, from: u64) -> io::Result<stages::Child> {
        let mut arguments = self.arguments.clone();
        if from > 0 {
            let place = match self.kind {
                Kind::Curl => ["-C".to_owned(), from.to_string()].to_vec(),
                _ => [format!("--start-pos={from}")].to_vec(),
            };
            arguments.splice(0..0, place);
        }
        let child = stages::Child::start(&self.path, &arguments, PATIENCE);
        child.map_err(|error| io::Error::other(format!("{}: {error}", self.path)))
    }

    /// Whether it can begin in the midst.
    pub(super) fn has_ranges(&self) -> bool {
        self.kind.is_configurable() && self.has_head
    }

    /// Whether this exit code, together with what was said of the file before, means that the server refuses it. What a program does
    /// not tell is no refusal: then it is asked for once more, and nothing is written in either case. curl has codes of its own for
    /// FTP's 550 and for TFTP; uclient-fetch and busybox's tftp tell nothing.
    pub(super) fn is_refused(&self, code: Option<i32>, head: &Head) -> bool {
        match (self.kind, code) {
            (Kind::Curl, Some(68 | 78)) => true,
            (Kind::Curl, Some(22)) | (Kind::Wget, Some(8)) | (Kind::BusyboxWget, Some(1)) => head.refused,
            _ => false,
        }
    }

    /// What the server says of the file before it sends it; nothing, if that cannot be asked.
    ///
    /// # Errors
    /// A header that makes no sense, as a phrase.
    pub(super) fn head(&self) -> Result<Head, String> {
        if !self.has_head {
            return Ok(Head::default());
        }
        let words: &[&str] = match self.kind {
            // With -f older ones keep the header of a refusal to themselves.
            Kind::Curl => &["-I", "-w", "\nHTTP-status %{http_code}\n"],
            _ => &["--spider", "-S"],
        };
        // Of an old wget the last one counts, so what is asked for stands first.
        let words = words.iter().map(|word| (*word).to_owned());
        let arguments: Vec<_> = words.chain(self.arguments.iter().cloned()).collect();
        let child = match self.kind {
            Kind::Curl => stages::Child::start(&self.path, &arguments, PATIENCE),
            // They tell it where others tell errors.
            _ => stages::Child::start_with_errors(&self.path, &arguments, PATIENCE),
        };
        child.map_or_else(|_| Ok(Head::default()), |child| Head::read(child, self.head_counts))
    }
}

/// Sends this request. No server may send the program elsewhere with credentials that it might show there.
///
/// # Errors
/// What is wrong with the URL or the file with credentials, or that no program of this box fetches it. Reading the body is
/// [`io::ErrorKind::NotFound`] where the server is known to refuse it.
pub(super) fn ask(request: &Request<'_>) -> io::Result<Body> {
    let (program, head) = prepared(request).map_err(io::Error::other)?;
    let length = head.length;
    Ok((Box::new(Fetched::begin(program, head)?), length))
}

/// The program that is to send it, and what the server says before.
fn prepared(request: &Request<'_>) -> Result<(Program, Head), String> {
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
    // curl keeps credentials from other hosts; wget sends those of its file to whatever host it is led to.
    let redirects = !(ours || configured && kind == Kind::Wget);
    let arguments = kind.arguments(&url, path, redirects);
    let program = Program {
        has_head: kind.has_head(url.scheme) && request.sent.is_none(),
        head_counts: kind == Kind::Curl || url.scheme != "ftp",
        repeats: request.sent.is_none(),
        path: program,
        kind,
        arguments,
        _config: config,
    };
    let head = program.head()?;
    Ok((program, head))
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
            "tftp://host:-lfile/file",
            "tftp://host:69x/file",
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
}
