//! What the last update did, kept where it survives the reboot.

#![forbid(unsafe_code)]

mod disk;
mod flash_log;
mod pstore;

use crate::base::clock;
use crate::base::code::Code;
use crate::base::error::{Context, Failure, Harm, Result};
use crate::base::files;
use crate::base::files::Readers;
use crate::base::json;
use crate::base::outcome::{Fate, Outcome, Tally};
use crate::board::{Backend, Board, Proof};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

pub use disk::disks;

/// The outcome of an update, as it is kept and as `status` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `ok` or `failed`; `none` when nothing is known.
    pub result: String,
    /// What was left behind.
    pub harm: Harm,
    /// One word for programs; one of another version of flasher is unknown.
    #[serde(deserialize_with = "known_code")]
    pub code: Code,
    /// The image.
    pub image_sha256: Option<String>,
    /// When, in UTC, as far as the box knew.
    pub finished: Option<String>,
    /// Which slot boots, where there are two; not kept, but looked up by `status`.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
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

fn known_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Code, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(Code::from_word(&word).unwrap_or(Code::Unknown))
}

impl Record {
    /// What is said where nothing is known.
    pub fn none() -> Record {
        Record {
            result: "none".into(),
            harm: Harm::Untouched,
            code: Code::None,
            image_sha256: None,
            finished: None,
            slot: None,
            text: "no update is on record".into(),
            tally: Tally::default(),
            stages: String::new(),
            kept: None,
        }
    }

    /// An end that was just reached with this image, after these stages.
    pub fn now(outcome: &Outcome, sha256: &str, stages: &str) -> Record {
        let mut text = outcome.text.clone();
        // The places of a record are small.
        while text.len() > LONGEST {
            text.pop();
        }
        Record {
            result: if outcome.is_ok() { "ok" } else { "failed" }.into(),
            harm: outcome.harm,
            code: outcome.code,
            image_sha256: Some(sha256.into()),
            finished: Some(clock::utc_now()),
            slot: None,
            text,
            tally: outcome.tally,
            stages: stages.to_owned(),
            kept: outcome.kept.clone(),
        }
    }
}

/// Bytes of a record's text.
const LONGEST: usize = 500;

/// Until the next boot, for ends after which the box stays up. The first that can be written is used.
const VOLATILE: [&str; 3] = ["/run/flasher.status", "/var/run/flasher.status", "/tmp/flasher.status"];

fn sim_path(dir: &Path) -> PathBuf {
    dir.join("status.json")
}

/// Keeps the record, in every place that this box has.
///
/// # Errors
/// When it could be kept nowhere; that is worth a warning and changes nothing about the outcome.
pub fn save(board: &Board, record: &Record, proof: Option<&Proof>) -> Result<()> {
    let text = json::write(record).map_err(Failure::system)?;
    if let Backend::Sim(sim) = &board.backend {
        return fs::write(sim_path(&sim.dir), text).context("status.json");
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
    Ok(VOLATILE.iter().map(Path::new).any(|path| {
        let put = files::replace(path, Readers::Everyone, |file| {
            file.write_all(text.as_bytes()).context(path.display())
        });
        if put.is_err() {
            let _ = fs::remove_file(path);
        }
        put.is_ok()
    }))
}

/// The last outcome: of this boot if there is one, else what survived the last reboot.
///
/// # Errors
/// A simulated box whose record is no record.
pub fn load(board: &Board) -> Result<Record> {
    if let Backend::Sim(sim) = &board.backend {
        return match fs::read_to_string(sim_path(&sim.dir)) {
            Ok(text) => json::parse(text.as_bytes()).context("status.json"),
            Err(_) => Ok(Record::none()),
        };
    }
    let volatile = VOLATILE.iter().find_map(|path| fs::read_to_string(path).ok());
    Ok([volatile, flash_log::load(board), pstore::load(), disk::load()]
        .into_iter()
        .flatten()
        .find_map(|text| json::parse(text.as_bytes()).ok())
        .unwrap_or_else(Record::none))
}
