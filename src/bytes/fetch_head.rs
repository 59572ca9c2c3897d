//! What a server says of a file before it sends it, as curl and the wgets print it.

#![forbid(unsafe_code)]

use crate::base::digits;
use crate::bytes::http;
use std::io::Read;

/// The longest header that is looked at, in bytes.
const HEADER: u64 = 64 << 10;

/// What is known of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the file.
    pub(super) length: Option<u64>,
    /// What another file would not have: its tag, or when it was changed.
    mark: Option<String>,
    /// Whether the server refuses it.
    pub(super) refused: bool,
}

impl Head {
    /// Reads it from the program that asks; no more than a refusal where that failed and its exit code counts.
    ///
    /// # Errors
    /// A header without an end, or one whose length is no number or two of them, as a phrase.
    pub(super) fn read(program: impl Read, sure: bool) -> Result<Head, String> {
        let mut text = Vec::new();
        match program.take(HEADER).read_to_end(&mut text) {
            Err(_) if sure => Ok(Head {
                refused: is_refused(&String::from_utf8_lossy(&text)),
                ..Head::default()
            }),
            // Who knows what a line says that is cut off?
            _ if text.len() as u64 == HEADER => Err("the server's header does not end".to_owned()),
            _ => Head::of(&String::from_utf8_lossy(&text)),
        }
    }

    /// The last header counts: those before it are of places that sent us on. Over FTP the answer to `SIZE` has the length
    /// behind 213 (RFC 3659); that to `MDTM` has the time, which nobody can take for a length, and that to `STAT` words.
    fn of(text: &str) -> Result<Head, String> {
        let last = text.rfind("HTTP/").map_or(text, |at| &text[at..]);
        let mut head = Head {
            refused: is_refused(text),
            ..Head::default()
        };
        let mut tag = None;
        for line in last.lines() {
            let (name, value) = line.trim().split_once([':', ' ']).unwrap_or_default();
            let value = value.trim();
            let of_ftp = name == "213" && value.len() < 14 && digits::decimal::<u64>(value).is_some();
            if of_ftp || name.eq_ignore_ascii_case("content-length") {
                let length = Some(digits::decimal(value).ok_or("the server's length is not a number")?);
                if head.length.is_some() && head.length != length {
                    return Err("the server names two lengths".to_owned());
                }
                head.length = length;
            } else if name.eq_ignore_ascii_case("etag") && !value.starts_with("W/") {
                tag = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("last-modified") {
                head.mark = Some(value.to_owned());
            }
        }
        head.mark = tag.or(head.mark);
        Ok(head)
    }

    /// Whether both are of the same file; `None` where nobody says.
    pub(super) fn is_same(&self, other: &Head) -> Option<bool> {
        match (&self.mark, &other.mark) {
            (Some(one), Some(other_one)) => Some(one == other_one && self.length == other.length),
            _ => None,
        }
    }
}

/// Whether the last answer is a refusal; over FTP one of them (550: RFC 959, 4.2). That it is only asked about (405) is none.
fn is_refused(text: &str) -> bool {
    let of_http = |line: &str| {
        let (name, value) = line.trim().split_once(' ')?;
        digits::decimal(value.get(..3)?).filter(|_| name.starts_with("HTTP"))
    };
    match text.lines().rev().find_map(of_http) {
        Some(status) => http::refuses(status) && status != 405,
        None => text.lines().any(|line| line.starts_with("550")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_length_is_that_of_the_last_answer() {
        let length = |text| Head::of(text).unwrap().length;
        let moved = "HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nHTTP/2 200\r\ncontent-length: 4096\r\n\r\n";
        assert_eq!(length(moved), Some(4096));
        assert_eq!(length("Content-Length: 7\r\n"), Some(7), "of a file over FTP");
        let none = "HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nHTTP/2 200\r\n\r\n";
        assert_eq!(length(none), None);
        assert_eq!(length("--> SIZE image\n\n213 1048576\n--> PASV\n"), Some(1_048_576));
        assert_eq!(length("213 20261126202404\n"), None, "that is a time");
        assert_eq!(length("213 9\n213 End of status\n"), Some(9));
        assert_eq!(
            length("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 9\r\n"),
            Some(9)
        );
        assert_eq!(
            length("  HTTP/1.1 200 OK\n  Content-Length: 9\n2026-11-26 URL: http://x/y 200 OK\n"),
            Some(9)
        );
    }

    /// An unknown length is another matter: such a server sends what nobody can tell the end of.
    #[test]
    fn a_header_whose_length_is_none_is_an_error() {
        for lengths in [
            "Content-Length: many",
            "Content-Length: 9\r\nContent-Length: many",
            "Content-Length: 9\r\ncontent-length: 10",
            "Content-Length:",
        ] {
            assert!(
                Head::of(&format!("HTTP/1.1 200 OK\r\n{lengths}\r\n")).is_err(),
                "{lengths}"
            );
        }
        assert!(Head::of("213 9\n213 10\n").is_err());
        let endless = [b'x'; HEADER as usize + 1];
        assert!(Head::read(&endless[..], true).is_err());
    }

    /// As curl and the wgets print it.
    #[test]
    fn a_refusal_is_one_of_the_last_answer() {
        for text in [
            "HTTP/1.1 302 Found\r\n\r\nHTTP/2 404\r\nstatus: 200\r\n\r\n\nHTTP-status 404\n",
            "\nHTTP-status 410\n",
            "  HTTP/1.1 404 Not Found\n  Content-Length: 3\nRemote file does not exist -- broken link!!!\n",
            "--> SIZE image\n\n550 image is not retrievable.\n--> PASV\n",
        ] {
            assert!(is_refused(text), "{text}");
        }
        for text in [
            "",
            "\nHTTP-status 000\n",
            "HTTP/1.1 404 Not Found\n\nHTTP/1.1 503 Service Unavailable\nX: 550\n550\n",
            "HTTP/1.1 405 Method Not Allowed\n",
            "HTTP/1.1 429 Too Many Requests\n",
            "213 550\n",
        ] {
            assert!(!is_refused(text), "{text}");
        }
    }

    #[test]
    fn a_file_is_the_same_only_if_the_server_vouches_for_it() {
        let of = |tag: &str, length: u64| {
            Head::of(&format!("HTTP/1.1 200 OK\r\n{tag}\r\nContent-Length: {length}\r\n")).unwrap()
        };
        assert_eq!(of("ETag: \"1\"", 5).is_same(&of("ETag: \"1\"", 5)), Some(true));
        assert_eq!(of("ETag: \"1\"", 5).is_same(&of("ETag: \"2\"", 5)), Some(false));
        assert_eq!(of("ETag: \"1\"", 5).is_same(&of("ETag: \"1\"", 6)), Some(false));
        assert_eq!(of("X: 1", 5).is_same(&of("X: 1", 5)), None);
        // A weak tag does not vouch for bytes (RFC 9110).
        assert_eq!(of("ETag: W/\"1\"", 5).is_same(&of("ETag: W/\"1\"", 5)), None);
    }
}
