//! What the box is made of, for programs: what its `devices` says, as an event. Nothing is decided by it.

#![forbid(unsafe_code)]

use super::images::Images;
use super::shell::words;
use super::told;
use crate::cli::push::Push;
use crate::report::Reporter;
use serde_json::Value;
use std::ffi::OsString;

/// Has the box look at itself. One that cannot says nothing: why it cannot is for its plan to tell.
pub fn line(program: &str, directory: &str, images: &Images, options: &Push) -> OsString {
    let mut line = told::asking(program, "devices", options);
    if let Some(board) = images.board(&options.apply, directory) {
        line.extend(["--board".into(), board.into()]);
    }
    words(line)
}

/// Tells what it said.
pub fn tell(said: &[u8], reporter: &mut Reporter) {
    if let Some(event) = event(said) {
        reporter.object(&event);
    }
}

/// The object that `devices` printed, behind whatever a login says, as an event.
fn event(said: &[u8]) -> Option<Value> {
    let mut object: Value = serde_json::from_slice(told::answer(said)?).ok()?;
    let fields = object.as_object_mut()?;
    // A failure is an event already.
    if fields.contains_key("event") || !fields.contains_key("board") {
        return None;
    }
    fields.insert("event".to_owned(), "devices".into());
    Some(object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_devices_says_becomes_an_event() {
        let said = event(b"Welcome {to} the box\n{\"board\":\"generic\",\"partitions\":[]}\n").unwrap();
        assert_eq!((&said["event"], &said["board"]), (&"devices".into(), &"generic".into()));
        for other in [
            &b""[..],
            b"{\"board\":\"gen",
            b"{}",
            b"{\"event\":\"error\",\"board\":\"x\"}",
            b"[{\"board\":1}]",
        ] {
            assert_eq!(event(other), None);
        }
    }
}
