//! Hardware watchdogs: found before anything is done to them. How they are taken over and fed is in `feeding`.
//!
//! Opening starts one, most drivers have one opener, any write feeds it (Documentation/watchdog/watchdog-api.rst of the kernel).
//! So they are looked at from outside: what sysfs says of them, and who has them open. A box may have several, of the processor,
//! of a microcontroller and of the kernel itself, and each that runs resets it.
#![forbid(unsafe_code)]

use crate::device::{Numbers, numbers, of_sysfs};
use crate::holder::Holder;
use crate::scan::{is_gone, scan_processes};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Of the misc device that the first watchdog has besides, and old drivers have alone (`WATCHDOG_MINOR`,
/// include/linux/miscdevice.h).
pub(crate) const MISC: (u32, u32) = (10, 130);

/// A watchdog as it is before anything is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// How it is opened.
    pub node: Node,
    /// Whether it counts: the driver says so (sysfs, kernel 4.5 and later), or a process has it open.
    pub running: bool,
    /// Its timeout in seconds, where the driver tells without being opened.
    pub timeout_s: Option<u32>,
    /// The process that feeds it, as `pid (name)`.
    pub owner: Option<String>,
    /// Why PID 1 will not be able to open it, where that is known already.
    pub hindrance: Option<String>,
}

/// A device node of a watchdog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its path.
    pub device: String,
    /// The numbers of the device; a node for it can be made of them.
    pub numbers: (u32, u32),
}

impl fmt::Display for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node.device)?;
        f.write_str(if self.running { " running" } else { " not running" })?;
        if let Some(timeout) = self.timeout_s {
            write!(f, ", {timeout} s")?;
        }
        if let Some(owner) = &self.owner {
            write!(f, ", fed by {owner}")?;
        }
        Ok(())
    }
}

/// Every watchdog, those that run first. Opens nothing, because opening starts it.
#[must_use]
pub fn all() -> Vec<Watchdog> {
    all_of(Path::new("/sys"), Path::new("/dev"), Path::new("/proc"))
}

/// Names are kept by the device, because one may have several nodes: the first counts.
fn add(names: &mut Vec<(Numbers, String)>, numbers: Numbers, name: String) {
    if names.iter().all(|(known, _)| *known != numbers) {
        names.push((numbers, name));
    }
}

fn all_of(sys: &Path, dev: &Path, proc: &Path) -> Vec<Watchdog> {
    let mut names = Vec::new();
    let mut unknown = Vec::new();
    let class = sys.join("class/watchdog");
    for name in listed(&class, &mut unknown) {
        match of_sysfs(&class.join(&name)) {
            Ok(numbers) => add(&mut names, numbers, name),
            // By the numbers of its node, if there is one.
            Err(error) => match node(&dev.join(&name)) {
                Ok(Some(numbers)) => add(&mut names, numbers, name),
                _ => unknown.push((name, error)),
            },
        }
    }
    for name in listed(dev, &mut unknown) {
        if !name.starts_with("watchdog") {
            continue;
        }
        match node(&dev.join(&name)) {
            Ok(Some(numbers)) => add(&mut names, numbers, name),
            Ok(None) => (),
            Err(error) => unknown.push((name, error)),
        }
    }
    // The misc device is the first one's (`watchdog_cdev_register`, drivers/watchdog/watchdog_dev.c), or an old driver's.
    let first = names
        .iter()
        .find(|(_, name)| name == "watchdog0")
        .map(|(numbers, _)| *numbers);
    if first.is_some() {
        names.retain(|(numbers, _)| *numbers != MISC);
    } else if of_sysfs(&sys.join("class/misc/watchdog")).is_ok_and(|numbers| numbers == MISC) {
        add(&mut names, MISC, "watchdog".into());
    }
    let mut all: Vec<Watchdog> = names
        .into_iter()
        .map(|(numbers, name)| {
            let also = (Some(numbers) == first).then_some(MISC);
            look_at(&name, &[Some(numbers), also], sys, proc)
        })
        .collect();
    all.extend(unknown.into_iter().map(|(name, error)| nameless(&name, &error)));
    all.sort_unstable_by(|a, b| (!a.running, &a.node.device).cmp(&(!b.running, &b.node.device)));
    all
}

/// The names in a directory. One that is there and cannot be read may have a watchdog that nobody sees.
fn listed(directory: &Path, unknown: &mut Vec<(String, io::Error)>) -> Vec<String> {
    let mut names = Vec::new();
    let mut read = || -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(())
    };
    if let Err(error) = read()
        && !is_gone(&error)
    {
        unknown.push((format!("watchdog* ({})", directory.display()), error));
    }
    names
}

/// One of which the kernel does not say what device it is: it may run, and cannot be opened.
fn nameless(name: &str, error: &io::Error) -> Watchdog {
    Watchdog {
        node: Node {
            device: format!("/dev/{name}"),
            numbers: (0, 0),
        },
        running: true,
        timeout_s: None,
        owner: None,
        hindrance: Some(format!("which device it is cannot be read: {error}")),
    }
}

fn look_at(name: &str, devices: &[Option<Numbers>], sys: &Path, proc: &Path) -> Watchdog {
    let about = sys.join("class/watchdog").join(name);
    let sysfs = |file: &str| fs::read_to_string(about.join(file)).ok();
    let state = match fs::read_to_string(about.join("state")) {
        // What cannot be read may say that it counts.
        Err(error) if !is_gone(&error) => Some("active".to_owned()),
        state => state.ok(),
    };
    let holders = scan_processes(proc, &|file| match file.node {
        Some((false, node)) => devices.contains(&Some(node)),
        _ => false,
    });
    let (mut owner, mut unseen) = (None, false);
    for kind in holders {
        match kind {
            Holder::OpenFile { pid, comm, .. } if owner.is_none() => owner = Some((pid, comm)),
            Holder::Unread { .. } => unseen = true,
            _ => (),
        }
    }
    let running = match state.as_deref().map(str::trim) {
        _ if owner.is_some() => true,
        // A word that is new to us may say that it counts.
        Some(state) => state != "inactive",
        // Who might feed it cannot be seen, and nothing says that it stands still.
        None => unseen,
    };
    Watchdog {
        node: Node {
            device: format!("/dev/{name}"),
            numbers: devices[0].unwrap_or(MISC),
        },
        running,
        timeout_s: sysfs("timeout").and_then(|text| text.trim().parse().ok()),
        // What nothing can end keeps it open, and feeds it no more.
        hindrance: owner
            .as_ref()
            .filter(|(_, comm)| comm.ends_with("in uninterruptible sleep"))
            .map(|(pid, comm)| format!("process {pid} ({comm}), which has it open, cannot be ended")),
        owner: owner.map(|(pid, comm)| format!("{pid} ({comm})")),
    }
}

/// The numbers of a node, if it is a character device's. A link into nothing is none.
fn node(path: &Path) -> io::Result<Option<Numbers>> {
    match fs::metadata(path) {
        Ok(about) => Ok(about.file_type().is_char_device().then(|| numbers(about.rdev()))),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    /// A directory of its own, removed at the end.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> TempDir {
            let path = std::env::temp_dir().join(format!("stages-dogs-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("made");
            TempDir(path)
        }

        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn put(dir: &TempDir, name: &str, text: &str) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn look(dir: &TempDir) -> Vec<Watchdog> {
        for name in ["sys", "dev", "proc"] {
            fs::create_dir_all(dir.path().join(name)).expect("made");
        }
        let part = |name: &str| dir.path().join(name);
        all_of(&part("sys"), &part("dev"), &part("proc"))
    }

    fn dog(dir: &TempDir, number: u32, state: Option<&str>) {
        let at = format!("sys/class/watchdog/watchdog{number}");
        put(dir, &format!("{at}/dev"), &format!("248:{number}\n"));
        if let Some(state) = state {
            put(dir, &format!("{at}/state"), state);
            put(dir, &format!("{at}/timeout"), "15\n");
        }
    }

    /// A process with an open node of this device. `/dev/null` and the like stand for it.
    fn opens(dir: &TempDir, pid: u32, node: &str) {
        put(
            dir,
            &format!("proc/{pid}/stat"),
            &format!("{pid} (wd) S 1 1 1 0 -1 0 0 0\n"),
        );
        put(dir, &format!("proc/{pid}/maps"), "");
        fs::create_dir_all(dir.path().join(format!("proc/{pid}/fd"))).expect("made");
        for (link, to) in [("cwd", "/"), ("root", "/"), ("fd/3", node)] {
            symlink(to, dir.path().join(format!("proc/{pid}/{link}"))).expect("linked");
        }
    }

    #[test]
    fn every_one_is_found_and_those_that_run_stand_first() {
        let dir = TempDir::new("several");
        dog(&dir, 0, Some("inactive\n"));
        dog(&dir, 1, Some("active\n"));
        dog(&dir, 2, Some("active\n"));
        put(&dir, "sys/class/misc/watchdog/dev", "10:130\n");
        let all = look(&dir);
        let told: Vec<String> = all.iter().map(Watchdog::to_string).collect();
        // The misc device is the first one's, and none of its own.
        assert_eq!(
            told,
            [
                "/dev/watchdog1 running, 15 s",
                "/dev/watchdog2 running, 15 s",
                "/dev/watchdog0 not running, 15 s"
            ]
        );
        assert_eq!(all[1].node.numbers, (248, 2));
    }

    #[test]
    fn an_old_driver_has_the_misc_device_alone() {
        let dir = TempDir::new("old");
        put(&dir, "sys/class/misc/watchdog/dev", "10:130\n");
        dog(&dir, 1, None);
        let all = look(&dir);
        let nodes: Vec<_> = all.iter().map(|dog| (&*dog.node.device, dog.node.numbers)).collect();
        assert_eq!(nodes, [("/dev/watchdog", MISC), ("/dev/watchdog1", (248, 1))]);
        assert!(all.iter().all(|dog| !dog.running));
    }

    #[test]
    fn whoever_has_it_open_by_whatever_node_feeds_it() {
        let dir = TempDir::new("owned");
        // `/dev/null` is 1:3.
        put(&dir, "sys/class/watchdog/watchdog4/dev", "1:3\n");
        opens(&dir, 7, "/dev/null");
        let all = look(&dir);
        assert_eq!(all[0].to_string(), "/dev/watchdog4 running, fed by 7 (wd)");
        assert!(all[0].hindrance.is_none());
        put(&dir, "proc/7/stat", "7 (wd) D 1 1 1 0 -1 0 0 0\n");
        let why = look(&dir)[0].hindrance.clone().expect("a hindrance");
        assert!(why.contains("process 7 (wd, in uninterruptible sleep)"), "{why}");
    }

    #[test]
    fn a_state_that_is_new_to_us_may_be_one_that_counts() {
        for (state, running) in [("inactive\n", false), ("active\n", true), ("armed\n", true), ("", true)] {
            let dir = TempDir::new("state");
            dog(&dir, 0, Some(state));
            assert_eq!(look(&dir)[0].running, running, "{state:?}");
        }
    }

    /// One that sysfs names and does not tell apart may be the one that runs.
    #[test]
    fn one_whose_device_cannot_be_read_is_in_the_way() {
        let dir = TempDir::new("nameless");
        dog(&dir, 0, Some("inactive\n"));
        for text in ["", "248\n", "x:y\n"] {
            put(&dir, "sys/class/watchdog/watchdog1/dev", text);
            let all = look(&dir);
            assert_eq!(all[0].to_string(), "/dev/watchdog1 running", "{text:?}");
            assert!(all[0].hindrance.is_some() && all.len() == 2);
        }
        // A node says which device it is. `/dev/null` stands for it.
        symlink("/dev/null", dir.path().join("dev/watchdog1")).expect("linked");
        assert!(look(&dir).iter().all(|dog| dog.hindrance.is_none()));
        let whole = TempDir::new("no-class");
        put(&whole, "sys/class/watchdog", "");
        let all = look(&whole);
        assert!(all[0].running && all[0].hindrance.is_some(), "{all:?}");
    }
}
