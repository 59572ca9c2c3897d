//! Progress as Synology's update page reads it: `/tmp/update.progress` and `/tmp/update.message` (flipflip's page
//! "DiskStation .pat Files").
//!
//! The page polls every three seconds. It must never find the file half written, nor `C:99:` at the end, which it
//! would wait on for ever.

#![forbid(unsafe_code)]

use crate::base::error::{Context, Failure, Harm, Result};
use crate::base::files;
use crate::base::files::Readers;
use crate::base::outcome::Outcome;
use crate::base::phase::Phase;
use crate::report::Sink;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The stages of the page.
const ANALYZING: char = 'A';
const PROGRAMS: char = 'P';
const CONFIGURATION: char = 'C';

/// Bytes of a message: a script of the page reads the file as one line and shows it in a dialog.
const MESSAGE: usize = 400;
const MORE: &str = " …";

/// The two files.
pub struct Page {
    dir: PathBuf,
    said: String,
    message: String,
}

impl Page {
    /// Begins with `A:0:`.
    pub fn open(dir: &Path) -> Page {
        let mut page = Page {
            dir: dir.to_owned(),
            said: String::new(),
            message: "flasher: written and verified".to_owned(),
        };
        page.say(ANALYZING, 0);
        page
    }

    fn say(&mut self, stage: char, number: i64) {
        let line = format!("{stage}:{number}:\n");
        if line != self.said {
            // A page that cannot be told is no reason to stop.
            let _ = put(&self.dir, "update.progress", &line);
            self.said = line;
        }
    }
}

impl Sink for Page {
    fn progress(&mut self, phase: Phase, done: u64, total: u64) {
        // Each stage below its end, which only the next stage or the outcome may claim.
        let percent = (done.saturating_mul(100) / total.max(1)).min(98) as i64;
        let stage = match phase {
            Phase::Writing => PROGRAMS,
            Phase::Verifying => CONFIGURATION,
            _ => ANALYZING,
        };
        self.say(stage, percent);
    }

    fn failure(&mut self, failure: &Failure) {
        self.message = format!("flasher: {}; flash {}", failure.what, failure.harm.explain());
        if let Some(hint) = &failure.hint {
            self.message.push_str(&format!("; next: {hint}"));
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let written = outcome.harm != Harm::Untouched;
        if outcome.is_ok() && !written {
            "flasher: the flash is already correct: nothing was written, and the box is not restarted"
                .clone_into(&mut self.message);
        }
        // The page ends the text at the first quotation mark.
        let mut message: String = self
            .message
            .chars()
            .map(|c| if c == '"' { '\'' } else { c })
            .filter(|c| !c.is_control() && !matches!(c, '\\' | '`' | '$'))
            .collect();
        if message.len() > MESSAGE {
            let end = (0..=MESSAGE - MORE.len()).rfind(|at| message.is_char_boundary(*at));
            message.truncate(end.unwrap_or_default());
            message.push_str(MORE);
        }
        let _ = put(&self.dir, "update.message", &format!("extramsg=\"{message}\"\n"));
        // 100 makes the box reboot at once, and a negative number is what ends the page with the message alone.
        let number = match outcome.is_ok() {
            true if written => 100,
            true => -1,
            false => -i64::from(u8::from(outcome.exit)),
        };
        self.say(CONFIGURATION, number);
    }
}

/// The page is read by another user.
fn put(dir: &Path, name: &str, text: &str) -> Result<()> {
    files::replace(&dir.join(name), Readers::Everyone, |file| {
        file.write_all(text.as_bytes()).context(name)
    })
}
