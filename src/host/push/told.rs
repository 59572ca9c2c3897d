//! What the flasher on the box is asked, its answers and events, and what becomes of them here.

#![forbid(unsafe_code)]

use crate::base::error::Failure;
use crate::base::outcome::Outcome;
use crate::base::phase::Phase;
use crate::base::quoted::one_line;
use crate::cli::push::Push;
use crate::report::Reporter;
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsString;

/// A line of `--format json apply --pushed`.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Something that was done.
    Stage {
        /// What.
        text: String,
    },
    /// How far something is.
    Progress {
        /// What.
        phase: Phase,
        /// Bytes.
        done: u64,
        /// Bytes.
        total: u64,
    },
    /// Something that a person should look at.
    Warning {
        /// What.
        text: String,
    },
    /// What failed.
    Error {
        /// What.
        text: String,
        /// What to do next.
        next: Option<String>,
    },
    /// A block that it has.
    Block(Block),
    /// It has told all of them.
    Blocks,
    /// The plan.
    Plan {
        /// For people.
        text: String,
    },
    /// Whether the plan is agreed to.
    Question(Question),
    /// Where it can be followed over the network.
    Listening {
        /// For people.
        url: String,
        /// The TCP port.
        port: u16,
        /// What has to be known.
        token: String,
    },
    /// How it ended.
    Result(Outcome),
    /// What is of no use here, or of another version.
    #[serde(other)]
    Other,
}

/// A block that the box has.
#[derive(Clone, Debug, Deserialize)]
pub struct Block {
    /// Its length.
    pub bytes: usize,
    /// Its rolling checksum.
    pub weak: u32,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// What is asked before anything is touched.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    /// For people.
    pub text: String,
    /// The SHA-256 of everything that will be written, as the record of the update will have it.
    pub sha256: String,
    /// How long it will take.
    pub seconds: u64,
}

/// The failure that a run on the box was, with what was said of it.
pub fn failure(ended: &Outcome, error: Option<&(String, Option<String>)>) -> Failure {
    let what = error.map_or_else(|| ended.code.to_string(), |(text, _)| text.clone());
    let failure = Failure::new(ended.exit, ended.code, what).harm(ended.harm);
    match error.and_then(|(_, next)| next.clone()) {
        Some(next) => failure.hint(next),
        None => failure,
    }
}

/// Reads a line; `None` for what is no event, such as what a login prints.
pub fn read(line: &str) -> Option<(Event, Value)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let event = Event::deserialize(&value).ok()?;
    Some((event, value))
}

/// The words that ask the box's flasher for an object: what it is, or what its last update did.
pub fn asking(program: &str, verb: &str, options: &Push) -> Vec<OsString> {
    let mut words = [program, "--format", "json", verb].map(OsString::from).to_vec();
    if let Some(dir) = &options.apply.at.sim {
        words.extend(["--sim".into(), dir.into()]);
    }
    words
}

/// The object that was answered, behind whatever a login says.
pub fn answer(said: &[u8]) -> Option<&[u8]> {
    said.split(|byte| *byte == b'\n').rfind(|line| line.starts_with(b"{"))
}

/// The answer of `verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Compared {
    /// Whether the flash is as the images want it.
    pub same: bool,
    /// The slot that was compared, of a box with two.
    pub slot: Option<String>,
    /// The slot that boots.
    pub boots: Option<String>,
    /// The slot that runs, where that is the other one.
    pub runs: Option<String>,
}

impl Compared {
    /// What stands against the slot that was compared being the one that runs, where the box has booted since.
    pub fn doubt(&self, booted: bool) -> Option<String> {
        let slot = self.slot.as_ref()?;
        match (&self.boots, self.runs.as_ref().filter(|_| booted)) {
            (None, _) => Some("which of its slots the box boots is not known".to_owned()),
            (Some(boots), _) if boots != slot => {
                Some(format!("slot {slot} was to be written, and the box boots slot {boots}"))
            }
            (_, Some(runs)) => Some(format!("slot {slot} was to boot, and slot {runs} runs")),
            _ => None,
        }
    }
}

/// The answer of `verify`, if that is what the line is.
pub fn compared(line: &str) -> Option<Compared> {
    serde_json::from_str(line).ok()
}

/// Shows an event of the box. Its result is not the last word, and is not shown.
pub fn show(event: &Event, value: &Value, reporter: &mut Reporter) {
    // They are told here, with the state of the flash; and blocks are of no use to anybody else.
    if matches!(
        event,
        Event::Result(_) | Event::Error { .. } | Event::Block(_) | Event::Blocks
    ) {
        return;
    }
    if reporter.json() {
        return reporter.object(value);
    }
    match event {
        Event::Stage { text } => reporter.stage(text),
        Event::Warning { text } => reporter.warning(text),
        Event::Plan { text } => reporter.stage(text),
        Event::Listening { url, .. } => reporter.stage(format_args!("progress: {url}")),
        // What arrives there is shown as it is sent here.
        Event::Progress { phase, done, total } if *phase != Phase::Reading => reporter.progress(*phase, *done, *total),
        _ => (),
    }
}

/// What is no event, in one line.
pub fn stray(line: &str, reporter: &mut Reporter) {
    if !line.trim().is_empty() {
        reporter.detail(one_line(line));
    }
}

/// Whatever the box, or who pretends to be it, prints.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        let _ = compared(line);
        if let Some((Event::Result(ended), _)) = read(line) {
            let _ = failure(&ended, None);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::code::Code;
    use crate::base::error::Harm;

    #[test]
    fn words_of_a_newer_flasher_are_unknown_and_the_flash_then_partly_written() {
        let line = r#"{"event":"progress","phase":"dreaming","done":1,"total":2,"percent":50}"#;
        let (event, _) = read(line).unwrap();
        assert!(
            matches!(
                event,
                Event::Progress {
                    phase: Phase::Unknown,
                    ..
                }
            ),
            "{event:?}"
        );
        let line = r#"{"event":"result","ok":true,"exit":0,"harm":"fine","code":"news","erased":1,"unchanged":2,"retried":3,"kept":7}"#;
        let Some((Event::Result(ended), _)) = read(line) else {
            panic!("no result");
        };
        assert_eq!((ended.harm, ended.code), (Harm::Partly, Code::Unknown));
        assert_eq!((ended.tally.erased, ended.kept), (1, None));
    }
}
