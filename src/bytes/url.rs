//! What a server answers: by ourselves over `http://`, else by a program of the box.

#![forbid(unsafe_code)]

use crate::bytes::access::{Access, Hurried, PATIENCE, Request};
use crate::bytes::{fetch, http};
use std::io::{self, Read};
use std::time::Instant;

/// Asks, and answers with the body and its length, where that is said.
///
/// # Errors
/// What is wrong; [`io::ErrorKind::NotFound`], here or from the body, where the server is known to refuse it.
pub(super) fn ask(request: &Request<'_>) -> io::Result<http::Body> {
    // `HTTP://` is the same (RFC 3986, 3.1).
    let (scheme, rest) = request.url.split_once("://").unwrap_or_default();
    let url = &[&scheme.to_ascii_lowercase(), "://", rest].concat();
    let request = &Request { url, ..*request };
    match url.starts_with("http://") {
        true => http::ask(request),
        false => fetch::ask(request),
    }
}

/// Bytes of the longest answer of a server to what is not an image.
const ANSWER: u64 = 64 << 10;

/// Asks a server for a short text, or sends it one: with the method and the JSON in `sent`.
///
/// # Errors
/// What is wrong with the URL, the way there or the answer: [`io::ErrorKind::NotFound`] where the server is known to refuse it,
/// [`io::ErrorKind::InvalidData`] if it is longer than 64 KiB; or that it takes longer than `access` allows.
pub fn exchange(url: &str, access: &Access, sent: Option<(&str, &str)>) -> io::Result<Vec<u8>> {
    let (body, length) = ask(&Request { url, access, sent })?;
    let mut text = Vec::new();
    let until = access.until.unwrap_or_else(|| Instant::now() + PATIENCE);
    // A reader that is hurried in each of its calls, whatever pieces the server sends.
    Hurried(body, until)
        .take(ANSWER + 1)
        .read_to_end(&mut text)
        .map_err(|error| io::Error::new(error.kind(), format!("the answer could not be read: {error}")))?;
    let got = text.len() as u64;
    match length {
        _ if got > ANSWER => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer does not end")),
        Some(length) if got < length => Err(io::Error::other(format!(
            "the answer ended after {got} of {length} bytes"
        ))),
        _ => Ok(text),
    }
}
