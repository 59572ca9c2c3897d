//! Which services of an OpenWrt box are switched off: its `sysupgrade` hands that to the new firmware as a script that runs once at the
//! first boot (`create_backup_archive` of `package/base-files/files/sbin/sysupgrade`, openwrt/openwrt). Nothing is run to find out.
//! Touches nothing.

#![forbid(unsafe_code)]

use crate::base::lossless;
use crate::bytes::tar_entries::FILE;
use crate::keep::openwrt::{names, read, there};
use crate::plan::KeptFile;
use std::io;
use std::path::Path;

/// The script.
const SCRIPT: &str = "etc/uci-defaults/10_disable_services";
/// What runs the scripts of services, and is named in their first line.
const RUNS: &[u8] = b"/etc/rc.common";

/// The script that switches them off again, where the `sysupgrade` of the box makes one.
///
/// # Errors
/// What cannot be read, by its name.
pub fn switched_off(root: &Path) -> io::Result<Option<KeptFile>> {
    let program = read(&root.join("sbin/sysupgrade"))?.unwrap_or_default();
    let makes_one = program.windows(SCRIPT.len()).any(|part| part == SCRIPT.as_bytes());
    let links = file_names(&root.join("etc/rc.d"))?;
    // No link at all says that services are started in another way.
    if !makes_one || links.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    for name in file_names(&root.join("etc/init.d"))? {
        let path = root.join("etc/init.d").join(&name);
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-+".contains(&byte));
        let is_script = plain && there(&path)?.is_some_and(|about| about.is_file());
        if is_script && is_off(&name, &read(&path)?.unwrap_or_default(), &links) {
            text += &format!("/etc/init.d/{name} disable\n");
        }
    }
    if text.is_empty() {
        return Ok(None);
    }
    text += "\nexit 0\n";
    Ok(Some(KeptFile {
        path: format!("/{SCRIPT}"),
        size: text.len() as u64,
        name: SCRIPT.to_owned(),
        kind: FILE,
        mode: 0o644,
        made: Some(text),
        ..KeptFile::default()
    }))
}

fn file_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<_> = names(directory)?
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| lossless::of(name.as_ref()))
        .collect();
    names.sort();
    Ok(names)
}

/// As `enabled` of `rc.common` has it: a script that names a place among those that are started, or stopped, has a link there.
fn is_off(name: &str, script: &[u8], links: &[String]) -> bool {
    let mut lines = script.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    if !first.windows(RUNS.len()).any(|part| part == RUNS) {
        return false;
    }
    let missing = |kind: &str, word: &[u8]| {
        let value = lines.clone().filter_map(|line| line.strip_prefix(word)).next_back();
        let value = value.map(|value| lossless::text(value.trim_ascii()));
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return false;
        };
        let value = value.trim_matches(['"', '\'']);
        let linked = format!("{kind}{value}{name}");
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        // What the shell makes of any other value is not known: then a link of whatever number counts.
        let counts = |link: &String| match is_number {
            true => *link == linked,
            false => link.starts_with(kind) && link.get(3..) == Some(name),
        };
        !links.iter().any(counts)
    };
    missing("S", b"START=") || missing("K", b"STOP=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_off_where_a_link_that_its_script_names_is_missing() {
        let links = ["K10both", "S19both", "S50odd", "S95done"].map(str::to_owned);
        for (name, script, off) in [
            ("both", "START=19\nSTOP=10\n", false),
            ("both", "START=19\n", false),
            ("both", "START=20\n", true),
            ("both", "START=19\nSTOP=11\n", true),
            ("both", "START=20\nSTART=\"19\"\n", false),
            ("gone", "START=50\n", true),
            ("gone", "STOP=50\n", true),
            ("gone", "START=\n", false),
            ("gone", "", false),
            ("odd", "START=$((40 + 10))\n", false),
            ("gone", "START=$((40 + 10))\n", true),
            ("done", "START=95 # last\n", false),
        ] {
            let script = format!("#!/bin/sh /etc/rc.common\n{script}start() {{ :; }}\n");
            assert_eq!(is_off(name, script.as_bytes(), &links), off, "{name}: {script}");
        }
        assert!(!is_off("gone", b"#!/bin/sh\nSTART=50\n", &links));
    }

    /// A link that leads to itself cannot be looked behind, by root neither.
    #[test]
    fn a_script_that_cannot_be_looked_at_is_not_passed_over() {
        use std::fs;
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        for (name, content) in [
            ("sbin/sysupgrade", SCRIPT),
            ("etc/rc.d/S50other", ""),
            ("etc/init.d/gone", "#!/bin/sh /etc/rc.common\nSTART=50\n"),
        ] {
            fs::create_dir_all(at(name).parent().expect("a directory")).expect("made");
            fs::write(at(name), content).expect("written");
        }
        symlink("nowhere", at("etc/init.d/dangling")).expect("made");
        let script = switched_off(root.path()).expect("readable").expect("one is off");
        assert_eq!(script.made.as_deref(), Some("/etc/init.d/gone disable\n\nexit 0\n"));
        symlink("loop", at("etc/init.d/loop")).expect("made");
        assert!(switched_off(root.path()).is_err());
    }
}
