//! `http://` without TLS, in HTTP/1.0 (RFC 1945), so that no server answers in chunks: an image, or a short text that is sent.
//!
//! Small because it is carried to boxes of 4 MiB: the client library that was here before took 72 kB on MIPS.

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::base::quoted::Quoted;
use crate::bytes::access::{Access, Request};
use crate::bytes::pull::Pull;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long the server may be silent, and how long it may take over its header.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest header, in bytes.
const HEADER: u64 = 16 << 10;
/// How often we are sent elsewhere.
const REDIRECTS: usize = 5;

/// What the server sends, and its length in bytes where the server says it.
pub type Body = (Box<dyn Pull>, Option<u64>);

/// Sends this request and reads up to the first byte of the content. Whoever we are sent to gets no credentials unless it is the
/// same host, and nothing that was to be sent.
///
/// # Errors
/// What is wrong with the URL, the way there or the answer; [`io::ErrorKind::NotFound`] where the server refuses it.
pub(super) fn ask(request: &Request<'_>) -> io::Result<Body> {
    let first = split(request.url).map_err(io::Error::other)?.0;
    let nothing = Access::default();
    let mut url = request.url.to_owned();
    for _ in 0..=REDIRECTS {
        let access = match split(&url).map_err(io::Error::other)?.0 == first {
            true => request.access,
            false => &nothing,
        };
        let now = Request {
            url: &url,
            access,
            ..*request
        };
        match exchange(&now).map_err(io::Error::other)? {
            Answer::Content(body) => return Ok(body),
            Answer::Elsewhere(_) if request.sent.is_some() => {
                return Err(io::Error::other(
                    "the server sends us elsewhere with what it was to take",
                ));
            }
            Answer::Elsewhere(other) => url = other,
            Answer::Nothing(status, reason) => {
                let kind = match refuses(status) {
                    true => io::ErrorKind::NotFound,
                    false => io::ErrorKind::Other,
                };
                return Err(io::Error::new(kind, format!("the server answered {status} {reason}")));
            }
        }
    }
    Err(io::Error::other("the server sends us from one place to the next"))
}

/// Whether a server that answers so does not hand it out (RFC 9110, 15.5), and does not ask for patience.
pub(super) fn refuses(status: u16) -> bool {
    matches!(status, 400..=499) && ![408, 425, 429].contains(&status)
}

enum Answer {
    Content(Body),
    Elsewhere(String),
    /// A status, with its reason.
    Nothing(u16, String),
}

/// Whether what stands in a URL may stand there.
pub(super) fn plain(text: &str) -> Result<(), String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("a URL has no blanks or special characters: write them as %20 and so on".to_owned()),
    }
}

/// Host and port as they stand in the URL, and the path with its query.
fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("the server sends us to another protocol, which this flasher does not speak")?;
    // A line end would let whoever wrote the URL put lines of his own into the request.
    plain(rest)?;
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    match host.is_empty() || host.contains('@') {
        true => Err("a URL names a host, without user name and password".to_owned()),
        false => Ok((host, path)),
    }
}

fn connect(host: &str) -> Result<TcpStream, String> {
    // A colon inside the brackets of an IPv6 address is none before a port.
    let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let (name, port) = match port {
        Some((name, port)) => (name, digits::decimal(port).ok_or_else(|| format!("{port} is no port"))?),
        None => (host, 80),
    };
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    let mut failed = None;
    for address in (name, port).to_socket_addrs().map_err(|error| error.to_string())? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(format!("{address}: {error}")),
        }
    }
    Err(failed.unwrap_or_else(|| format!("{name} has no address")))
}

/// The bytes of a request.
fn written(request: &Request<'_>) -> Result<String, String> {
    let (host, path) = split(request.url)?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let (method, body) = request.sent.unwrap_or(("GET", ""));
    let mut text = format!(
        "{method} {slash}{path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: flasher\r\nAccept: */*\r\nConnection: close\r\n"
    );
    if let Some(secret) = &request.access.authorization {
        text.push_str(&format!("Authorization: {}\r\n", secret.0));
    }
    if request.sent.is_some() {
        let length = body.len();
        text.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    Ok([&text, "\r\n", body].concat())
}

fn exchange(request: &Request<'_>) -> Result<Answer, String> {
    let host = split(request.url)?.0;
    let mut stream = connect(host)?;
    let text = written(request)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.write_all(text.as_bytes()))
        .map_err(|error| format!("the request could not be sent: {error}"))?;
    let mut stream = BufReader::new(stream);
    let head = Head::read(&mut stream)?;
    match (head.status, head.location) {
        (200..=299, _) if head.chunked => Err("the server answers in chunks, which HTTP/1.0 does not have".to_owned()),
        // Behind its length a server may keep the connection open.
        // Other words for success come in answer to what was sent.
        (200..=299, _) if head.status == 200 || request.sent.is_some() => Ok(Answer::Content((
            Box::new(stream.take(head.length.unwrap_or(u64::MAX))),
            head.length,
        ))),
        (301 | 302 | 303 | 307 | 308, Some(place)) => Ok(Answer::Elsewhere(match place.as_bytes() {
            [b'/', b'/', ..] => format!("http:{place}"),
            [b'/', ..] => format!("http://{host}{place}"),
            _ => place,
        })),
        (status, _) => Ok(Answer::Nothing(status, head.reason)),
    }
}

/// What we look at in a header.
#[derive(Default)]
struct Head {
    status: u16,
    reason: String,
    length: Option<u64>,
    location: Option<String>,
    chunked: bool,
}

impl Head {
    fn read(stream: &mut dyn BufRead) -> Result<Head, String> {
        let until = Instant::now() + PATIENCE;
        let mut stream = stream.take(HEADER);
        let first = line(&mut stream, until)?;
        let mut words = first.splitn(3, ' ');
        let status = match (words.next(), words.next()) {
            (Some(version), Some(status)) if version.starts_with("HTTP/1.") => digits::decimal(status),
            _ => None,
        };
        let mut head = Head {
            status: status.ok_or("what answers is not a web server")?,
            reason: Quoted(words.next().unwrap_or_default())
                .to_string()
                .trim_matches('"')
                .to_owned(),
            ..Head::default()
        };
        loop {
            let field = line(&mut stream, until)?;
            if field.is_empty() {
                return Ok(head);
            }
            let (name, value) = field
                .split_once(':')
                .ok_or("a line of the server's header has no colon")?;
            head.set(&name.to_ascii_lowercase(), value.trim())?;
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "content-length" => {
                let length = Some(digits::decimal(value).ok_or("the server's length is not a number")?);
                if self.length.is_some() && self.length != length {
                    return Err("the server names two lengths".to_owned());
                }
                self.length = length;
            }
            "transfer-encoding" => self.chunked = !value.eq_ignore_ascii_case("identity"),
            "location" => self.location = Some(value.to_owned()),
            _ => (),
        }
        Ok(())
    }
}

/// The next line of the header, without its end.
fn line(stream: &mut io::Take<&mut dyn BufRead>, until: Instant) -> Result<String, String> {
    let mut bytes = Vec::new();
    loop {
        // Byte by byte, so that a server that sends one a minute does not keep us for days.
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) if stream.limit() == 0 => return Err("the server's header does not end".to_owned()),
            Ok(0) => return Err("the server hung up within its header".to_owned()),
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => bytes.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(format!("the server's header could not be read: {error}")),
        }
        if Instant::now() > until {
            return Err("the server takes too long over its header".to_owned());
        }
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| "the server's header is not text".to_owned())
}

/// Reads the header of an answer.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(mut bytes: &[u8]) {
    let _ = Head::read(&mut bytes).map(|head| split(&head.location.unwrap_or_default()).is_ok());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::access::Secret;
    use std::net::TcpListener;

    /// Serves these answers to one client after the other; `{}` stands for the server's own address.
    fn server(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let url = format!("http://{host}/image?x=1");
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let got = stream.read(&mut [0; 1024]).unwrap();
                assert!(got > 0);
                stream.write_all(answer.replace("{}", &host).as_bytes()).unwrap();
            }
        });
        url
    }

    fn fetch(answers: &'static [&'static str]) -> io::Result<String> {
        let (mut body, _) = ask(&Request {
            url: &server(answers),
            access: &Access::default(),
            sent: None,
        })?;
        let mut text = String::new();
        body.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn content_ends_with_its_length_or_the_connection() {
        assert_eq!(
            fetch(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"]).unwrap(),
            "abc"
        );
        assert_eq!(fetch(&["HTTP/1.0 200 OK\n\nabcd"]).unwrap(), "abcd");
    }

    #[test]
    fn a_redirect_is_followed_to_http_only() {
        let found = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let near: &[&str] = Box::leak(Box::new(["HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n", found]));
        let far: &[&str] = Box::leak(Box::new([
            "HTTP/1.1 301 Moved\r\nLocation: http://{}/other\r\n\r\n",
            found,
        ]));
        let same: &[&str] = Box::leak(Box::new(["HTTP/1.1 307 Moved\r\nLocation: //{}/other\r\n\r\n", found]));
        assert_eq!(fetch(near).unwrap(), "ok");
        assert_eq!(fetch(far).unwrap(), "ok");
        assert_eq!(fetch(same).unwrap(), "ok");
        let away = fetch(&["HTTP/1.1 301 Moved\r\nLocation: https://{}/other\r\n\r\n"]);
        assert!(away.unwrap_err().to_string().contains("another protocol"));
        let circle = fetch(&["HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"; 6]);
        assert!(circle.unwrap_err().to_string().contains("from one place to the next"));
    }

    #[test]
    fn a_server_that_refuses_is_told_from_one_that_does_not_answer_now() {
        let kind = |answer| fetch(Box::leak(Box::new([answer]))).unwrap_err().kind();
        for answer in ["HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 410\r\n\r\n"] {
            assert_eq!(kind(answer), io::ErrorKind::NotFound, "{answer}");
        }
        for answer in [
            "HTTP/1.1 503 404\r\n\r\n",
            "HTTP/1.1 429 Too Many Requests\r\n\r\n",
            "HTTP/1.1 302 Found\r\n\r\n",
            "HTTP/1.1 404",
        ] {
            assert_eq!(kind(answer), io::ErrorKind::Other, "{answer}");
        }
    }

    #[test]
    fn what_is_sent_has_its_length_and_credentials_go_to_no_other_host() {
        let access = Access {
            authorization: Some(Secret("TargetToken abc".into())),
            ..Access::default()
        };
        let request = Request {
            url: "http://host/path?c=1",
            access: &access,
            sent: Some(("PUT", "{}")),
        };
        let text = written(&request).unwrap();
        assert!(text.starts_with("PUT /path?c=1 HTTP/1.0\r\nHost: host\r\n"), "{text}");
        let rest = "Authorization: TargetToken abc\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert!(text.ends_with(rest), "{text}");
        // The other host tells by its answer whether it has seen any.
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\n\r\n",
            other.local_addr().unwrap()
        );
        let seen = std::thread::spawn(move || {
            let (mut stream, _) = other.accept().unwrap();
            let mut request = [0; 1024];
            let got = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..got]).into_owned()
        });
        let answers: &[&str] = Box::leak(Box::new([&*Box::leak(place.into_boxed_str()); 2]));
        let url = server(answers);
        let get = Request {
            url: &url,
            access: &access,
            sent: None,
        };
        ask(&get).unwrap();
        let seen = seen.join().unwrap();
        assert!(seen.starts_with("GET / ") && !seen.contains("Authorization"), "{seen}");
        let sent = Request {
            sent: Some(("POST", "{}")),
            ..get
        };
        assert!(ask(&sent).err().unwrap().to_string().contains("elsewhere"));
        assert!(fetch(&["HTTP/1.1 204 No Content\r\n\r\n"]).is_err(), "no image");
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        for (answer, complaint) in [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", "chunks"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                "two lengths",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a number"),
            ("HTTP/1.1 200 OK\r\nContent", "hung up"),
            ("HTTP/1.1 404 Not \x1b[2J\r\n\r\n", "404 Not \\u{1b}"),
            ("HTTP/1.1 302 Found\r\n\r\n", "302"),
            ("SSH-2.0-dropbear\r\n", "not a web server"),
            ("HTTP/1.1 +200 OK\r\n\r\n", "not a web server"),
        ] {
            let answers: &[&str] = Box::leak(Box::new([answer]));
            let said = fetch(answers).unwrap_err().to_string();
            assert!(said.contains(complaint), "{answer}: {said}");
        }
        let endless: &str = Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000)).into_boxed_str());
        let answers: &[&str] = Box::leak(Box::new([endless]));
        assert!(fetch(answers).unwrap_err().to_string().contains("does not end"));
    }

    #[test]
    fn a_url_that_would_write_the_request_is_refused() {
        for url in [
            "http://",
            "http:///x",
            "http://user@host/",
            "http://h/a b",
            "http://h/a\r\nX: y",
        ] {
            assert!(split(url).is_err(), "{url}");
        }
        assert_eq!(split("http://[::1]:8080/x?y#z").unwrap(), ("[::1]:8080", "/x?y"));
        assert!(connect("host:port").unwrap_err().contains("no port"));
    }
}
