//! Stands for `keep` in a binary that has no room for the feature: nothing can be kept, so there is no value of these types, and
//! what would be done with one is not in the binary.

#![forbid(unsafe_code)]
#![allow(missing_docs)]

use crate::board::Board;
use crate::error::Result;
use crate::image::store::Store;
use crate::plan::{Check, Plan, Status, Write};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What the user asked to keep: without the flags, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Keeping {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {}

/// The check `keep`: who put a list of files on the box counts on them.
///
/// # Errors
/// None.
pub fn judge(board: &Board, _: &Wish, force: &[String], _: &Store, plan: &mut Plan) -> Result<()> {
    if board.is_sim() || !Path::new("/etc/flasher/keep").exists() {
        return Ok(());
    }
    let mut check = Check::fail(
        "keep",
        "this flasher is built without what keeps the files of /etc/flasher/keep",
        "copy them away, and back afterwards",
    )
    .forceable();
    match force.iter().any(|name| name == "keep") {
        true => check.status = Status::Warn,
        false => plan.valid = false,
    }
    plan.checks.push(check);
    Ok(())
}

/// # Errors
/// None.
pub fn save(keeping: &Keeping, _: &Path, _: Option<&Path>) -> Result<Task> {
    match *keeping {}
}

impl Keeping {
    pub fn lines(&self) -> Vec<String> {
        match *self {}
    }
}

impl Task {
    pub fn write(&self) -> Option<&Write> {
        match *self {}
    }

    pub fn node(&self) -> Option<stages::DeviceNode> {
        match *self {}
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
