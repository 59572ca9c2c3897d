//! What the last update did, kept where it survives the reboot.

#![forbid(unsafe_code)]

mod disk;
mod flash_log;
mod pstore;

use crate::base::boot;
use crate::base::clock;
use crate::base::code::Code;
use crate::base::error::{Context, Failure, Harm, Result};
use crate::base::files;
use crate::base::files::{Directory, Readers};
use crate::base::json;
use crate::base::outcome::{Fate, Outcome, Tally};
use crate::base::words::words;
use crate::board::{Backend, Board, Proof};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

pub use disk::{can_keep as can_keep_on_disk, disks};
pub use flash_log::can_keep as can_keep_on_flash;

words! {
    /// How the last update ended.
    pub enum RunResult or Unknown {
        /// Nothing is known of one.
        None = "none",
        /// Well.
        Ok = "ok",
        /// Not well.
        Failed = "failed",
        /// A word of another version of flasher.
        Unknown = "unknown",
    }
}

/// The outcome of an update, as it is kept and as `status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How it ended.
    pub result: RunResult,
    /// What was left behind.
    pub harm: Harm,
    /// One word for programs.
    pub code: Code,
    /// The image.
    pub image_sha256: Option<String>,
    /// The version of the last image that was written as a whole, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When, in UTC, as far as the box knew.
    pub finished: Option<String>,
    /// The slot that the update made the one to boot, where there are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_slot: Option<String>,
    /// How many there were before it, as far as the box has them: of several places one may not have got the last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// The boot in which it ended, by the kernel's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// What an update server calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Which slot boots, where there are two; not kept, but looked up by `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// What happened, in words.
    #[serde(default)]
    pub text: String,
    /// Erase blocks.
    #[serde(default)]
    pub tally: Tally,
    /// What was reached, each with the seconds since the box was started: `31.20 s begun; 75.01 s written`.
    #[serde(default)]
    pub stages: String,
    /// What became of the user's files.
    #[serde(default)]
    pub kept: Option<Fate>,
}

/// An update that a server wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What the server calls it.
    pub id: String,
    /// Which try at it this is, from 1.
    pub attempt: u32,
    /// Which file it is, by a digest of what the server says of that.
    #[serde(default)]
    pub file: String,
    /// Whether the server has heard how it ended, and has wanted something else or nothing since.
    #[serde(default)]
    pub closed: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    /// What is said where nothing is known.
    pub fn none() -> Record {
        Record {
            result: RunResult::None,
            harm: Harm::Untouched,
            code: Code::None,
            image_sha256: None,
            version: None,
            finished: None,
            written_slot: None,
            number: 0,
            boot: None,
            action: None,
            slot: None,
            text: "no update is on record".into(),
            tally: Tally::default(),
            stages: String::new(),
            kept: None,
        }
    }

    /// An end that was just reached with this image, after these stages.
    pub fn now(outcome: &Outcome, sha256: &str, versions: &Versions, stages: &str) -> Record {
        let version = match outcome.is_ok() {
            true => versions.offered.as_ref().or(versions.before.as_ref()),
            false => versions.before.as_ref(),
        };
        let mut text = outcome.text.clone();
        // The places of a record are small.
        while text.len() > LONGEST {
            text.pop();
        }
        Record {
            result: match outcome.is_ok() {
                true => RunResult::Ok,
                false => RunResult::Failed,
            },
            harm: outcome.harm,
            code: outcome.code,
            image_sha256: Some(sha256.into()),
            // Places of records are small, and so are versions.
            version: version.filter(|version| version.len() <= VERSION).cloned(),
            finished: Some(clock::utc_now()),
            written_slot: None,
            number: 0,
            boot: None,
            action: versions.action.clone(),
            slot: None,
            text,
            tally: outcome.tally,
            stages: stages.to_owned(),
            kept: outcome.kept.clone(),
        }
    }
}

/// Bytes of the longest version that is kept.
const VERSION: usize = 64;

/// What a record says of an update beside its end: the versions, and whose update it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// That of the image.
    pub offered: Option<String>,
    /// That of the last image which was written as a whole.
    pub before: Option<String>,
    /// What an update server calls it.
    #[serde(default)]
    pub action: Option<Action>,
}

impl Versions {
    /// Where no other image is written.
    pub fn before(board: &Board) -> Versions {
        Versions {
            offered: None,
            action: None,
            before: load(board).ok().and_then(|record| record.version),
        }
    }
}

/// Bytes of a record's text.
const LONGEST: usize = 500;

/// Where a record is kept until the next boot, for ends after which the box stays up. The first directory is used that is root's
/// and can be written. One that others made is not read: it would decide whether the old content is kept for a roll-back.
const VOLATILE: [&str; 3] = ["/run", "/var/run", "/tmp"];
const NAME: &str = "flasher.status";
/// Bytes of the longest record that is read.
const READ: u64 = 64 << 10;

fn sim_path(dir: &Path) -> PathBuf {
    dir.join("status.json")
}

/// The boot that this is: of a simulated box what a file of its directory says.
pub fn boot(board: &Board) -> Option<String> {
    boot::id(match &board.backend {
        Backend::Sim(sim) => &sim.dir,
        Backend::Linux => Path::new("/"),
    })
}

/// Keeps the record, with the boot that this is where it has none yet, in every place that the box has.
///
/// # Errors
/// When it could be kept nowhere; that is worth a warning and changes nothing about the outcome.
pub fn save(board: &Board, record: &Record, proof: Option<&Proof>) -> Result<()> {
    let record = Record {
        number: newest(board).map_or(0, |last| last.number.saturating_add(1)),
        boot: record.boot.clone().or_else(|| boot(board)),
        ..record.clone()
    };
    let text = json::write(&record).map_err(Failure::system)?;
    if let Backend::Sim(sim) = &board.backend {
        return files::replace(&sim_path(&sim.dir), Readers::Everyone, |file| {
            file.write_all(text.as_bytes()).context("status.json")
        });
    }
    let kept = [
        flash_log::save(board, &text, proof),
        pstore::save(&text),
        disk::save(&text),
        volatile(&text),
    ];
    match kept.iter().any(|kept| matches!(kept, Ok(true))) {
        true => Ok(()),
        false => kept
            .into_iter()
            .find_map(std::result::Result::err)
            .map_or_else(|| Err(Failure::system("nothing here keeps a record")), Err),
    }
}

/// Where it cannot be put, an older record must not stand for it.
fn volatile(text: &str) -> Result<bool> {
    Ok(VOLATILE.iter().any(|place| {
        let Ok(directory) = Directory::open(Path::new(place)) else {
            return false;
        };
        let put = files::put(&directory, OsStr::new(NAME), Readers::Everyone, &mut |file| {
            file.write_all(text.as_bytes()).context(place)
        });
        if put.is_err() {
            let _ = directory.remove(OsStr::new(NAME));
        }
        put.is_ok()
    }))
}

/// The record of this boot.
fn load_volatile() -> Option<String> {
    VOLATILE.iter().find_map(|place| {
        let bytes = Directory::open(Path::new(place))
            .ok()?
            .read(OsStr::new(NAME), READ)
            .ok()?;
        String::from_utf8(bytes).ok()
    })
}

/// The last outcome: of this boot if there is one, else what survived the last reboot.
///
/// # Errors
/// A simulated box whose record is no record.
pub fn load(board: &Board) -> Result<Record> {
    if let Backend::Sim(sim) = &board.backend {
        return match files::read_plain(&sim_path(&sim.dir), READ) {
            Ok(text) => json::parse(&text).context("status.json"),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::none()),
            Err(error) => Err(Failure::system(format_args!("status.json: {error}"))),
        };
    }
    let newest = newest(board).map(|record| Record { number: 0, ..record });
    Ok(newest.unwrap_or_else(Record::none))
}

/// The newest record of all places of the box that we run on.
fn newest(board: &Board) -> Option<Record> {
    match &board.backend {
        Backend::Sim(_) => None,
        Backend::Linux => {
            let single = [load_volatile(), flash_log::load(board), pstore::load()];
            newest_of(single.into_iter().flatten().chain(disk::load()))
        }
    }
}

/// Of those that are alike the first. Two have the same number where the place of the one could not be read when the other was made:
/// of these it is the one that ended later.
fn newest_of(texts: impl Iterator<Item = String>) -> Option<Record> {
    let records = texts.filter_map(|text| json::parse::<Record>(text.as_bytes()).ok());
    let age = |record: &Record| (record.number, record.finished.clone());
    records.reduce(|first, next| if age(&next) > age(&first) { next } else { first })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::base::outcome::KeptState;

    /// What a newer flasher has left.
    #[test]
    fn a_record_with_words_of_another_version_says_the_worst() {
        let text =
            r#"{"result":"fine","harm":"fine","code":"fine","kept":{"state":"fine","to":"","files":1,"text":""}}"#;
        let record = newest_of([text.to_owned()].into_iter()).unwrap();
        assert_eq!(
            (record.result, record.harm, record.code, record.kept.unwrap().state),
            (RunResult::Unknown, Harm::Partly, Code::Unknown, KeptState::Unknown)
        );
    }

    /// A place that was in use at the last update has the record of the one before it.
    #[test]
    fn an_older_record_in_a_better_place_does_not_stand_for_the_newest() {
        let text = |text: &str, number| {
            let record = Record {
                text: text.into(),
                number,
                ..Record::none()
            };
            Some(json::write(&record).unwrap())
        };
        let of = |texts: [Option<String>; 4]| newest_of(texts.into_iter().flatten()).map(|record| record.text);
        assert_eq!(of([None, text("a", 4), text("b", 5), None]).as_deref(), Some("b"));
        assert_eq!(
            of([None, text("a", 5), text("b", 5), text("c", 0)]).as_deref(),
            Some("a")
        );
        assert_eq!(of([Some("{".into()), None, text("b", 0), None]).as_deref(), Some("b"));
        assert_eq!(of([None, None, None, None]), None);
        let [first, second] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"].map(|finished| {
            let record = Record {
                text: finished.into(),
                number: 5,
                finished: Some(finished.into()),
                ..Record::none()
            };
            Some(json::write(&record).unwrap())
        });
        let later = Some("2026-01-02T00:00:00Z");
        assert_eq!(of([first.clone(), second.clone(), None, None]).as_deref(), later);
        assert_eq!(of([second, first, None, None]).as_deref(), later);
    }
}
