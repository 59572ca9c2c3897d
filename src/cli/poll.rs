//! The command line of `poll`.

#![forbid(unsafe_code)]

use super::takes;
use crate::base::digits;
use crate::base::error::Result;
use crate::base::lossless;
use crate::cli::Apply;
use crate::cli::table::{Flag, VerbRow, flag};
use std::path::PathBuf;
use std::time::Duration;

/// When the server is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// When the server says.
    Server,
    /// After this time.
    After(Duration),
}

/// `poll`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// How an update is done.
    pub apply: Apply,
    /// The server with its tenant.
    pub url: Option<String>,
    /// What the server calls this box.
    pub id: Option<String>,
    /// The file with the rest, and the credentials.
    pub config: Option<PathBuf>,
    /// A glob for the artifact that is the image, where there are several.
    pub artifact: Option<String>,
    /// Whether it goes on, and how often.
    pub every: Option<Every>,
    /// What is waited at random before the server is asked; a tenth of the interval where it is not given.
    pub jitter: Option<Duration>,
    /// What one try at an update may take until it is written from.
    pub deadline: Duration,
}

/// The row of the table of verbs.
pub const VERBS: &[VerbRow] = &[VerbRow {
    name: "poll",
    operands: &[],
    summary: "ask an update server (hawkBit's DDI) once, or again and again, and do what it wants",
    text: "Updates as apply does, through the same plan and checks, and tells the server each stage. How an update ended \
           is told by the first poll after the reboot, from the record of the update: without a partition, memory or \
           disk that keeps the record the box is not taken over.\n\n\
           What is not given stands in /etc/flasher/poll.conf or in --config, a file of root's with mode 0600 and lines such \
           as url=https://SERVER/TENANT, id=NAME, target-token=WORD or gateway-token=WORD, artifact=GLOB, attribute.NAME=VALUE.",
}];

const POLL: &[&str] = &["poll"];

/// The rows of the table of flags.
pub const FLAGS: &[Flag] = &[
    flag(
        "url",
        Some("URL"),
        POLL,
        "the server with its tenant: https://SERVER/TENANT",
    ),
    flag("id", Some("NAME"), POLL, "what the server calls this box"),
    flag(
        "config",
        Some("FILE"),
        POLL,
        "the rest, and the token; root's, mode 0600; /etc/flasher/poll.conf if not given",
    ),
    flag(
        "artifact",
        Some("GLOB"),
        POLL,
        "which artifact is the image, where there are several",
    ),
    flag(
        "every",
        Some("SECONDS|server"),
        POLL,
        "go on, and ask again after this time, or when the server says",
    ),
    flag(
        "jitter",
        Some("SECONDS"),
        POLL,
        "wait up to this long at random before asking; with --every a tenth of it if not given",
    ),
    flag(
        "deadline",
        Some("SECONDS"),
        POLL,
        "give a download up after this time; 3600 if not given",
    ),
];

/// The values of these flags, before they are sorted.
#[derive(Default)]
pub(super) struct Raw {
    url: Option<String>,
    id: Option<String>,
    config: Option<PathBuf>,
    artifact: Option<String>,
    every: Option<Every>,
    jitter: Option<Duration>,
    deadline: Option<Duration>,
}

/// A year: no sum of such times overflows.
const LONGEST: u32 = 365 * 86_400;

fn seconds(flag: &str, value: &str) -> Result<Duration> {
    let number = digits::decimal::<u32>(value).filter(|number| *number <= LONGEST);
    let seconds = number.map(|number| Duration::from_secs(number.into()));
    seconds.ok_or_else(|| takes(flag, "a number of seconds", value))
}

impl Raw {
    pub(super) fn set(&mut self, flag: &str, value: String) -> Result<()> {
        match flag {
            "url" => self.url = Some(value),
            "id" => self.id = Some(value),
            "config" => self.config = Some(lossless::path(&value)),
            "artifact" => self.artifact = Some(value),
            "every" if value == "server" => self.every = Some(Every::Server),
            "every" => self.every = Some(Every::After(seconds(flag, &value)?.max(Duration::from_secs(1)))),
            "jitter" => self.jitter = Some(seconds(flag, &value)?),
            _ => self.deadline = Some(seconds(flag, &value)?),
        }
        Ok(())
    }

    pub(super) fn finish(self, apply: Apply) -> Poll {
        Poll {
            apply,
            url: self.url,
            id: self.id,
            config: self.config,
            artifact: self.artifact,
            every: self.every,
            jitter: self.jitter,
            deadline: self.deadline.unwrap_or(Duration::from_secs(3600)),
        }
    }
}
