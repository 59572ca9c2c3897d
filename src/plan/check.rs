//! What a check found.

#![forbid(unsafe_code)]

use crate::base::check_id::CheckId;
use crate::base::error::Exit;
use serde::Serialize;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Worth knowing, or a failure that was forced.
    Warn,
    /// A reason not to start.
    Fail,
}

/// A check of preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, also for `--force`.
    pub name: CheckId,
    /// What it found.
    pub status: Status,
    /// Whether `--force=NAME` overrides it.
    pub forceable: bool,
    /// What it found, in words.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The exit code if this is what stops us.
    #[serde(skip)]
    pub exit: Option<Exit>,
}

impl Check {
    /// A check that passed.
    pub fn pass(name: CheckId, text: impl Into<String>) -> Check {
        Check {
            name,
            status: Status::Pass,
            forceable: false,
            text: text.into(),
            remedy: None,
            exit: None,
        }
    }

    /// Something worth knowing.
    pub fn warn(name: CheckId, text: impl Into<String>) -> Check {
        Check {
            status: Status::Warn,
            ..Check::pass(name, text)
        }
    }

    /// A reason not to start, with what to do about it.
    pub fn fail(name: CheckId, text: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check {
            status: Status::Fail,
            remedy: Some(remedy.into()),
            ..Check::pass(name, text)
        }
    }

    /// `--force=NAME` overrides it.
    pub fn forceable(mut self) -> Check {
        self.forceable = true;
        self
    }

    /// The exit code if this is what stops us, other than 78.
    pub fn exit(mut self, exit: Exit) -> Check {
        self.exit = Some(exit);
        self
    }

    /// The check as it stands when these are forced; `note` says what that means.
    pub fn forced(mut self, names: &[CheckId], note: &str) -> Check {
        if self.status == Status::Fail && self.forceable && names.contains(&self.name) {
            self.status = Status::Warn;
            self.text.push_str(note);
        }
        self
    }
}
