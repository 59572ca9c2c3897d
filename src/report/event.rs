//! The events of JSON lines.

#![forbid(unsafe_code)]

use super::listen::Told;
use crate::base::code::Code;
use crate::base::error::Harm;
use crate::base::outcome::Outcome;
use crate::base::phase::Phase;
use crate::plan::Check;
use serde::Serialize;

/// What happens, as JSON lines have it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event<'a> {
    Stage {
        text: &'a str,
    },
    Check(&'a Check),
    Progress {
        phase: Phase,
        done: u64,
        total: u64,
        percent: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        left: Option<u64>,
    },
    Warning {
        text: &'a str,
    },
    Error {
        text: &'a str,
        code: Code,
        flash: Harm,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
    },
    /// A block that is on the box, for `push`.
    Block {
        bytes: usize,
        weak: u32,
        sha256: &'a str,
    },
    /// The last of them has been told.
    Blocks,
    /// The plan as text, for `push`.
    Plan {
        text: &'a str,
    },
    /// What `push` answers.
    Question {
        text: &'a str,
        sha256: &'a str,
        seconds: u64,
    },
    /// Where the events can be followed.
    Listening(Told),
    /// The last one of an `apply`.
    Result {
        ok: bool,
        #[serde(flatten)]
        outcome: &'a Outcome,
    },
}
