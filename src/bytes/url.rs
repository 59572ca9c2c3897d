//! What a server answers: by ourselves over `http://`, else by a program of the box.

#![forbid(unsafe_code)]

use crate::bytes::access::{Access, Hurried, PATIENCE, Request};
use crate::bytes::{fetch, http};
use std::io::Read;
use std::time::Instant;

/// Asks, and answers with the body and its length, where that is said.
///
/// # Errors
/// What is wrong, as a phrase.
pub(super) fn ask(request: &Request<'_>) -> std::result::Result<http::Body, String> {
    match request.url.starts_with("http://") {
        true => http::ask(request),
        false => fetch::ask(request),
    }
}

/// Bytes of the longest answer of a server to what is not an image.
const ANSWER: u64 = 64 << 10;

/// Asks a server for a short text, or sends it one: with the method and the JSON in `sent`.
///
/// # Errors
/// What is wrong with the URL, the way there or the answer, as a phrase; an answer that is longer than 64 KiB, or that takes
/// longer than `access` allows.
pub fn exchange(url: &str, access: &Access, sent: Option<(&str, &str)>) -> std::result::Result<Vec<u8>, String> {
    let (body, _) = ask(&Request { url, access, sent })?;
    let mut text = Vec::new();
    let until = access.until.unwrap_or_else(|| Instant::now() + PATIENCE);
    // A reader that is hurried in each of its calls, whatever pieces the server sends.
    Hurried(body, until)
        .take(ANSWER + 1)
        .read_to_end(&mut text)
        .map_err(|error| format!("the answer could not be read: {error}"))?;
    match text.len() as u64 > ANSWER {
        true => Err("the answer does not end".to_owned()),
        false => Ok(text),
    }
}
