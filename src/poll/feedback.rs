//! What the server is told, as hawkBit, SWUpdate's and RAUC's clients have it.

#![forbid(unsafe_code)]

use super::server::Server;
use crate::base::clock;
use crate::base::error::{Context, Result};
use crate::base::json;

/// Bytes of a detail: the server keeps 512.
const DETAIL: usize = 500;
/// Bytes of an attribute: the server keeps 128.
const ATTRIBUTE: usize = 128;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It goes on.
    Proceeding,
    /// It ended, as was wanted.
    Success,
    /// It ended, and not as was wanted.
    Failure,
    /// It will not be done.
    Rejected,
}

impl Stands {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Stands::Proceeding => ("proceeding", "none"),
            Stands::Success => ("closed", "success"),
            Stands::Failure => ("closed", "failure"),
            Stands::Rejected => ("rejected", "none"),
        }
    }
}

/// As many bytes of a text as the server keeps.
fn short(text: &str, length: usize) -> &str {
    let mut end = text.len().min(length);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `2026-11-21T21:24:00Z` as the interface has it: `20261121T212400`.
fn time() -> String {
    let mut time = clock::utc_now();
    time.retain(|c| c.is_ascii_digit() || c == 'T');
    time
}

fn body(id: &str, stands: Stands, text: &str, more: &str) -> Result<String> {
    let (execution, finished) = stands.words();
    let text = json::write(&short(text, DETAIL)).context("feedback")?;
    let time = time();
    Ok(format!(
        r#"{{"id":"{id}","time":"{time}","status":{{"execution":"{execution}","result":{{"finished":"{finished}"}},"details":[{text}]}}{more}}}"#
    ))
}

/// Tells how the update of this name stands.
///
/// # Errors
/// A server that does not take it.
pub fn deployment(server: &Server, id: &str, stands: Stands, text: &str) -> Result<()> {
    let body = body(id, stands, text, "")?;
    server.send("POST", &["/deploymentBase/", id, "/feedback"].concat(), &body)
}

/// Tells what becomes of the wish to cancel an update.
///
/// # Errors
/// A server that does not take it.
pub fn cancel(server: &Server, id: &str, stands: Stands, text: &str) -> Result<()> {
    let body = body(id, stands, text, "")?;
    server.send("POST", &["/cancelAction/", id, "/feedback"].concat(), &body)
}

/// Tells what the box is.
///
/// # Errors
/// A server that does not take it.
pub fn attributes(server: &Server, attributes: &[(String, String)]) -> Result<()> {
    let mut list = String::new();
    for (name, value) in attributes {
        let both = [name, value].map(|text| json::write(&short(text, ATTRIBUTE)));
        let [Ok(name), Ok(value)] = both else { continue };
        let comma = if list.is_empty() { "" } else { "," };
        list.push_str(&[comma, &name, ":", &value].concat());
    }
    let more = [r#","mode":"merge","data":{"#, &list, "}"].concat();
    let body = body("", Stands::Success, "", &more)?;
    server.send("PUT", "/configData", &body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_said_is_json_whatever_stands_in_it() {
        let odd = format!("\"\\\n\u{1b}{}", "ü".repeat(300));
        let text = body("7", Stands::Failure, &odd, r#","data":{}"#).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["id"], "7");
        assert_eq!(value["status"]["execution"], "closed");
        assert_eq!(value["status"]["result"]["finished"], "failure");
        let detail = value["status"]["details"][0].as_str().unwrap();
        assert!(odd.starts_with(detail) && detail.len() > DETAIL - 4);
        assert_eq!(value["time"].as_str().unwrap().len(), "20261121T212400".len());
    }
}
