//! Which versions of its firmware a box says it has.

#![forbid(unsafe_code)]

use crate::base::files;
use crate::board::{Backend, Board};
use crate::checks::Installed;
use crate::record::Versions;
use std::path::{Path, PathBuf};

/// Files of a firmware that say its version, and the setting that has it.
const SAY: [(&str, &str); 2] = [
    // os-release(5).
    ("etc/os-release", "VERSION_ID"),
    ("etc/openwrt_release", "DISTRIB_RELEASE"),
];

/// The root of the box's file system; a simulated box has one in its directory.
pub(crate) fn root(board: &Board) -> PathBuf {
    match &board.backend {
        Backend::Sim(sim) => sim.dir.clone(),
        Backend::Linux => "/".into(),
    }
}

/// What it has: by its record of the last update that succeeded, and by what runs.
pub(crate) fn installed(board: &Board, versions: &Versions) -> Vec<Installed> {
    let last = versions.before.iter().map(|version| Installed {
        says: "the last update".into(),
        version: version.clone(),
    });
    let root = root(board);
    let running = SAY.iter().filter_map(|(file, setting)| {
        let text = files::read_text(&root.join(file), files::TEXT).ok()?;
        Some(Installed {
            says: Path::new("/").join(file).display().to_string(),
            version: value(&text, setting)?,
        })
    });
    last.chain(running).collect()
}

/// The value of a line `SETTING='value'`.
fn value(text: &str, setting: &str) -> Option<String> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.trim().strip_prefix(setting)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}
