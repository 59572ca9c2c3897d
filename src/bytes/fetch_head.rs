//! What a server says of a file before it sends it, as curl and the wgets print it.

#![forbid(unsafe_code)]

use crate::base::digits;
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
}

impl Head {
    /// Reads it from the program that asks; nothing where that failed and its exit code counts.
    pub(super) fn read(program: impl Read, sure: bool) -> Head {
        let mut text = Vec::new();
        match program.take(HEADER).read_to_end(&mut text) {
            Err(_) if sure => Head::default(),
            _ => Head::of(&String::from_utf8_lossy(&text)),
        }
    }

    /// The last header counts: those before it are of places that sent us on. Over FTP the answer to `SIZE` has the length
    /// behind 213 (RFC 3659); that to `MDTM` has the time, which nobody can take for a length.
    fn of(text: &str) -> Head {
        let last = text.rfind("HTTP/").map_or(text, |at| &text[at..]);
        let mut head = Head::default();
        let mut tag = None;
        for line in last.lines() {
            let (name, value) = line.trim().split_once([':', ' ']).unwrap_or_default();
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") || name == "213" && value.len() < 14 {
                head.length = digits::decimal(value);
            } else if name.eq_ignore_ascii_case("etag") && !value.starts_with("W/") {
                tag = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("last-modified") {
                head.mark = Some(value.to_owned());
            }
        }
        head.mark = tag.or(head.mark);
        head
    }

    /// Whether both are of the same file; `None` where nobody says.
    pub(super) fn is_same(&self, other: &Head) -> Option<bool> {
        match (&self.mark, &other.mark) {
            (Some(one), Some(other_one)) => Some(one == other_one && self.length == other.length),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_last_answer() {
        let length = |text| Head::of(text).length;
        let moved = "HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nHTTP/2 200\r\ncontent-length: 4096\r\n\r\n";
        assert_eq!(length(moved), Some(4096));
        assert_eq!(length("Content-Length: 7\r\n"), Some(7), "of a file over FTP");
        assert_eq!(length("HTTP/1.1 200 OK\r\nContent-Length: many\r\n"), None);
        let none = "HTTP/1.1 302 Found\r\nContent-Length: 10\r\n\r\nHTTP/2 200\r\n\r\n";
        assert_eq!(length(none), None);
        assert_eq!(length("--> SIZE image\n\n213 1048576\n--> PASV\n"), Some(1_048_576));
        assert_eq!(length("213 20261126202404\n"), None, "that is a time");
        assert_eq!(
            length("  HTTP/1.1 200 OK\n  Content-Length: 9\n2026-11-26 URL: http://x/y 200 OK\n"),
            Some(9)
        );
    }

    #[test]
    fn a_file_is_the_same_only_if_the_server_vouches_for_it() {
        let of =
            |tag: &str, length: u64| Head::of(&format!("HTTP/1.1 200 OK\r\n{tag}\r\nContent-Length: {length}\r\n"));
        assert_eq!(of("ETag: \"1\"", 5).is_same(&of("ETag: \"1\"", 5)), Some(true));
        assert_eq!(of("ETag: \"1\"", 5).is_same(&of("ETag: \"2\"", 5)), Some(false));
        assert_eq!(of("ETag: \"1\"", 5).is_same(&of("ETag: \"1\"", 6)), Some(false));
        assert_eq!(of("X: 1", 5).is_same(&of("X: 1", 5)), None);
        // A weak tag does not vouch for bytes (RFC 9110).
        assert_eq!(of("ETag: W/\"1\"", 5).is_same(&of("ETag: W/\"1\"", 5)), None);
    }
}
