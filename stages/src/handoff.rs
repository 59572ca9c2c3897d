//! The record that crosses the exec from stage one to PID 1: one versioned JSON file in the RAM root.
#![forbid(unsafe_code)]

use crate::error::{Context, Error, ErrorKind, Result};
use crate::json;
use crate::watchdog::{self, Node};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// More than any plan needs; a file beyond it was not written by us.
const LONGEST: u64 = 4 << 20;

/// What stage one leaves for PID 1.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct HandOff {
    /// The version of this format, [`HandOff::VERSION`]. Any other is refused.
    pub version: u32,
    /// The caller's plan and options, in a form of its own: to this crate it is a text.
    pub payload: String,
    /// The watchdogs that were running when stage one began, and must be fed by PID 1.
    ///
    /// All others are left alone: opening one starts it, and one that was not running might outlive us into a firmware
    /// that does not feed it.
    pub watchdogs: Vec<Node>,
    /// Mount points of disks that stay mounted, see [`crate::own_disks`]: PID 1 finds them as [`crate::moved`] says.
    #[serde(default)]
    pub disks: Vec<String>,
}

impl HandOff {
    /// The only version this crate writes and reads.
    pub const VERSION: u32 = 2;

    /// A record of the current version that names the watchdogs that run.
    #[must_use]
    pub fn new(payload: String) -> Self {
        Self {
            version: Self::VERSION,
            payload,
            watchdogs: watchdog::all()
                .into_iter()
                .filter(|dog| dog.running)
                .map(|dog| dog.node)
                .collect(),
            disks: Vec::new(),
        }
    }

    /// Reads and checks a record.
    ///
    /// # Errors
    /// Unreadable file, text that is not such a record, or another version: all are [`ErrorKind::HandOff`].
    pub fn load(path: &Path) -> Result<Self> {
        let mut text = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
            .map_err(|e| e.to_string())
            .and_then(|_| Self::parse(&text))
            .map_err(|e| Error::new(ErrorKind::HandOff, format!("hand-off {}: {e}", path.display())))
    }

    /// The version is looked at before the rest, so that a record of a later flasher is called that and not damaged.
    fn parse(text: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let version: Version = json::parse(text).map_err(|e| format!("not a hand-off record: {e}"))?;
        if version.version != Self::VERSION {
            return Err(format!(
                "written by another flasher: version {}, this one knows {}",
                version.version,
                Self::VERSION
            ));
        }
        json::parse(text).map_err(|e| format!("damaged: {e}"))
    }

    /// Writes the record as `handoff.json` under `root`.
    pub(crate) fn store(&self, root: &Path) -> Result<()> {
        let path = root.join("handoff.json");
        let text = json::write(self).map_err(|e| Error::new(ErrorKind::HandOff, format!("hand-off: {e}")))?;
        std::fs::write(&path, text).context(|| format!("write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let record = HandOff {
            version: 2,
            payload: r#"{"parts": [1, 2]}"#.into(),
            watchdogs: vec![Node {
                device: "/dev/watchdog1".into(),
                numbers: (248, 1),
            }],
            disks: vec!["/mnt/data".into()],
        };
        let text = serde_json::to_vec(&record).expect("serializes");
        assert_eq!(HandOff::parse(&text).expect("parses"), record);
    }

    #[test]
    fn another_version_is_called_that_even_when_the_rest_is_unknown() {
        let e = HandOff::parse(br#"{"version":3,"plan":{}}"#).expect_err("refused");
        assert!(e.contains("version 3"), "{e}");
    }

    #[test]
    fn bad_json_is_an_error_and_never_a_panic() {
        for text in [
            &b""[..],
            b"{",
            b"null",
            b"[]",
            b"{\"version\":-1}",
            b"{\"version\":2}",
            b"\xff\xfe",
            b"{\"version\":99999999999}",
        ] {
            HandOff::parse(text).expect_err("refused");
        }
        let deep = "[".repeat(100_000);
        HandOff::parse(deep.as_bytes()).expect_err("refused");
    }
}
