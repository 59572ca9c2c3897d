//! Cgroups whose tasks are frozen: not even SIGKILL ends those of version 1 before they are thawed. Those of version 2 it does
//! (`Documentation/admin-guide/cgroup-v2.rst`, `cgroup.freeze`).
#![forbid(unsafe_code)]

use crate::mounts::mounts;
use crate::process::confined;
use std::fs;
use std::path::Path;

/// Groups above a group at most.
const DEPTH: u32 = 32;

/// Thaws all there are. In a container they are the host's.
pub(crate) fn all() {
    if confined() {
        return;
    }
    for mount in mounts().unwrap_or_default().iter().filter(|mount| mount.fs == "cgroup") {
        thaw(&mount.mountpoint, DEPTH);
    }
}

/// A group before those in it, which stay frozen as long as it is.
fn thaw(group: &Path, depth: u32) {
    let state = group.join("freezer.state");
    if state.exists() {
        let _ = fs::write(state, "THAWED");
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw(&entry.path(), depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_thawed_and_nothing_else_is_made() {
        let top = std::env::temp_dir().join(format!("stages-thaw-{}", std::process::id()));
        let inner = top.join("a/b");
        fs::create_dir_all(&inner).expect("made");
        fs::create_dir(top.join("c")).expect("made");
        for group in [top.join("a"), inner.clone()] {
            fs::write(group.join("freezer.state"), "FROZEN\n").expect("written");
        }
        thaw(&top, DEPTH);
        let state = |group: &Path| fs::read_to_string(group.join("freezer.state")).ok();
        let found = [&top, &top.join("a"), &inner, &top.join("c")].map(|group| state(group));
        fs::remove_dir_all(&top).expect("removed");
        let thawed = || Some("THAWED".to_owned());
        assert_eq!(found, [None, thawed(), thawed(), None]);
    }
}
