//! Stage three: the old root is unmounted, and proved gone.
//!
//! Never lazily: a lazy unmount hides a file system that is still in use, and one random read of a rewritten
//! root brings the box down.
#![forbid(unsafe_code)]

use crate::bounded::{self, PATIENCE};
use crate::device::open_node;
use crate::disk;
use crate::event::StageEvent;
use crate::exports;
use crate::handoff::HandOff;
use crate::holder::Holder;
use crate::holders::parse_swaps;
use crate::kill;
use crate::mounts::{Mount, mount_virtual, mounts, move_mount, unmount_patiently};
use crate::paths::OLD_ROOT;
use crate::pidone::PidOne;
use crate::process::confined;
use crate::scan::{foreign_mounts, scan_processes};
use crate::shown::shown;
use crate::stack::{Block, loops};
use crate::sys;
use nix::sys::stat::SFlag;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// For SIGTERM to be enough. Init gave everybody a second already.
const GENTLE: Duration = Duration::from_millis(500);
/// For SIGKILL to be enough, each time.
const FORCED: Duration = Duration::from_secs(3);
/// For the whole unmount. Then the old firmware is rebooted.
const DEADLINE: Duration = Duration::from_secs(30);
/// For one swap area, whose content has to be read.
const SWAP: Duration = Duration::from_secs(60);
const PROC: &str = "/proc";
/// Where a file system of the old root goes that has to outlive what is mounted from it.
const ASIDE: &str = "/aside";

/// PID 1 in RAM, the old root is gone.
#[derive(Debug)]
pub struct Detached {
    handoff: HandOff,
}

impl Detached {
    /// The record of stage one.
    #[must_use]
    pub fn handoff(&self) -> &HandOff {
        &self.handoff
    }
}

/// Why the old root could not be unmounted. The flash is untouched.
#[derive(Clone, Debug, Default)]
pub struct DetachError {
    /// The mount points that stayed, deepest first; empty when the proof failed after the unmounts.
    pub stuck: Vec<String>,
    /// Who keeps them. May be empty: then the kernel does (an NFS export, a driver) or a process that we cannot see.
    pub holders: Vec<Holder>,
    /// What failed, in words.
    pub text: String,
}

impl fmt::Display for DetachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.holders.is_empty() && self.stuck.is_empty() {
            return Ok(());
        }
        if self.holders.is_empty() {
            return f.write_str(
                "; no process that we can see holds it, so the kernel does, or a process outside of our sight",
            );
        }
        f.write_str("; held by ")?;
        for (i, holder) in self.holders.iter().enumerate() {
            write!(f, "{}{holder}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for DetachError {}

impl DetachError {
    fn new(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    /// What the user can do, once the box has booted the old firmware.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match (self.holders.is_empty(), self.stuck.is_empty()) {
            (false, _) => "after the reboot: end what is named, then the same command again",
            (true, false) => {
                "after the reboot: take NFS exports, swap and loop devices on it away, then the same command again"
            }
            (true, true) => {
                "after the reboot: stop what has the watchdog open, if one is named; then the same command again"
            }
        }
    }
}

impl PidOne {
    /// Ends every other process, stops the NFS server, switches swap off, frees loop devices, unmounts everything below `/oldroot` deepest first
    /// and then the old root, and proves that no mount namespace has it any more.
    ///
    /// # Errors
    /// After 30 s at most, what stayed and who holds it. Nothing has been written: reboot into the old firmware.
    pub fn detach(mut self, on_event: &mut dyn FnMut(StageEvent)) -> Result<Detached, Box<(PidOne, DetachError)>> {
        for event in self.take_notes() {
            on_event(event);
        }
        match self.unmount_old_root(on_event) {
            Ok(()) => {
                on_event(StageEvent::OldRootGone {
                    after: self.since.elapsed(),
                });
                Ok(Detached {
                    handoff: self.handoff().clone(),
                })
            }
            Err(error) => Err(Box::new((self, error))),
        }
    }

    /// Whoever had a watchdog open has been ended by now, so what cannot be fed now never will.
    fn all_fed(&mut self, on_event: &mut dyn FnMut(StageEvent)) -> Result<(), DetachError> {
        let lost = self.feed_dogs();
        for event in self.take_notes() {
            on_event(event);
        }
        let hungry: Vec<&str> = self.hungry().collect();
        if hungry.is_empty() {
            return Ok(());
        }
        let text = lost.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Err(DetachError::new(format!(
            "{} runs and cannot be fed, so that it would reset the box while it is written: {text}",
            hungry.join(", ")
        )))
    }

    fn unmount_old_root(&mut self, on_event: &mut dyn FnMut(StageEvent)) -> Result<(), DetachError> {
        let mut known = Vec::new();
        kill::everybody(GENTLE, FORCED, &mut known, on_event);
        self.all_fed(on_event)?;
        exports::withdraw(on_event);
        forget_interpreters();
        disk::carry(&self.handoff().disks, on_event);
        let before = table()?;
        let mut silent = Vec::new();
        // What is in a tmpfs goes first: there may be more of it in swap than RAM has room for, and a kernel that finds none panics.
        unmount_round(&mut silent, on_event)?;
        swaps_off(on_event);
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        let mut reported = Vec::new();
        loop {
            let stuck = unmount_round(&mut silent, on_event)?;
            if stuck.is_empty() {
                break;
            }
            if free_loops(on_event) || put_aside(&stuck) {
                continue;
            }
            let holders = busy(&stuck, &mut reported, on_event);
            if start.elapsed() >= DEADLINE {
                let mut text = format!("{} cannot be unmounted", names(&stuck).join(", "));
                if let Some(path) = silent.first() {
                    let path = path.display();
                    text.push_str(&format!("; a server or device on the way to {path} does not answer"));
                }
                return Err(DetachError {
                    stuck: names(&stuck),
                    holders,
                    text,
                });
            }
            kill::everybody(GENTLE, FORCED, &mut known, on_event);
            sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        prove_gone(&before)
    }
}

fn table() -> Result<Vec<Mount>, DetachError> {
    mounts().map_err(|e| DetachError::new(format!("/proc/self/mountinfo cannot be read: {e}")))
}

fn under_old_root(table: &[Mount]) -> Vec<Mount> {
    table
        .iter()
        .filter(|mount| is_old(&mount.mountpoint) || disk::is_below(&mount.mountpoint))
        .cloned()
        .collect()
}

/// Whether this is a path of the old root's.
fn is_old(path: &Path) -> bool {
    path.starts_with(OLD_ROOT) || path.starts_with(ASIDE)
}

/// Unmounts leaves of the mount tree until none is left or none gives way. Answers the rest, deepest first. Those in `silent`
/// are left alone, and one whose unmount does not come back joins them.
fn unmount_round(silent: &mut Vec<PathBuf>, on_event: &mut dyn FnMut(StageEvent)) -> Result<Vec<Mount>, DetachError> {
    loop {
        let rest = under_old_root(&table()?);
        let mut progress = false;
        for mount in rest.iter().filter(|mount| is_leaf(mount, &rest)) {
            if silent.contains(&mount.mountpoint) {
                continue;
            }
            match unmount_patiently(&mount.mountpoint) {
                Ok(()) => {
                    progress = true;
                    on_event(StageEvent::Unmounted {
                        mountpoint: shown(&mount.mountpoint),
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::TimedOut => silent.push(mount.mountpoint.clone()),
                Err(_) => {}
            }
        }
        if !progress {
            let mut rest = rest;
            rest.sort_by_key(|mount| std::cmp::Reverse(mount.mountpoint.components().count()));
            return Ok(rest);
        }
    }
}

fn is_leaf(mount: &Mount, table: &[Mount]) -> bool {
    !table.iter().any(|other| other.parent == mount.id)
}

/// A root on a loop device whose file lies on a file system that is mounted below that very root: neither can go first. So the
/// lower one is moved out from under it. Answers whether something was moved.
fn put_aside(stuck: &[Mount]) -> bool {
    let files = loops(Path::new("/sys"));
    let lower = stuck.iter().find(|mount| {
        mount.mountpoint != Path::new(OLD_ROOT)
            && mount.mountpoint.starts_with(OLD_ROOT)
            && is_leaf(mount, stuck)
            && files.iter().any(|(_, file)| file.starts_with(&mount.mountpoint))
    });
    lower.is_some_and(|mount| {
        let aside = Path::new(ASIDE).join(mount.id.to_string());
        fs::create_dir_all(&aside)
            .and_then(|()| move_mount(&mount.mountpoint, &aside))
            .is_ok()
    })
}

fn names(mounts: &[Mount]) -> Vec<String> {
    mounts.iter().map(|mount| shown(&mount.mountpoint)).collect()
}

/// Finds who uses what did not give way, and says so when it is news.
fn busy(stuck: &[Mount], reported: &mut Vec<String>, on_event: &mut dyn FnMut(StageEvent)) -> Vec<Holder> {
    let mut all = Vec::new();
    for mount in stuck {
        // By device, because a path means nothing in another root; by path for file systems whose files show other
        // device numbers than their mount (btrfs). A virtual file system may have been carried over and be ours.
        let holders = scan_processes(Path::new(PROC), &|file| {
            file.node.is_none() && file.on == mount.device || file.path.starts_with(&mount.mountpoint)
        });
        let mountpoint = shown(&mount.mountpoint);
        if !holders.is_empty() && !reported.contains(&mountpoint) {
            reported.push(mountpoint.clone());
            on_event(StageEvent::Busy {
                mountpoint,
                holders: holders.iter().map(Holder::to_string).collect(),
            });
        }
        for holder in holders {
            if !all.contains(&holder) {
                all.push(holder);
            }
        }
    }
    all
}

/// All swap goes: a swap area on the old root keeps it busy, and one on flash may be a target. In a container the
/// swap is the host's.
fn swaps_off(on_event: &mut dyn FnMut(StageEvent)) {
    if confined() {
        return;
    }
    // Where it cannot be read a swap area on flash is found by the proof, which reads it too.
    let text = fs::read("/proc/swaps").unwrap_or_default();
    for path in parse_swaps(&text) {
        // A swap file is listed by the path it had before the pivot, or by the one it has now.
        let moved = Path::new(OLD_ROOT).join(path.strip_prefix("/").unwrap_or(&path));
        let device = shown(&path);
        let off = move || sys::swapoff(&path).or_else(|error| sys::swapoff(&moved).map_err(|_| error));
        on_event(match bounded::within(SWAP, Box::new(off)) {
            Ok(()) => StageEvent::SwapOff { device },
            Err(error) => StageEvent::note(format!("stage three: swap {device} could not be switched off: {error}")),
        });
    }
}

/// Takes the entries of binfmt_misc away. The kernel keeps the interpreter of one with the flag F open
/// (`Documentation/admin-guide/binfmt-misc.rst`), and it lies on the old root. In a container they are the host's.
fn forget_interpreters() {
    let known = fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("binfmt_misc"));
    if confined() || !known {
        return;
    }
    // Wherever else it is mounted, it is the same one; behind an automount of systemd's nobody is any more.
    let at = Path::new("/binfmt");
    let _ = fs::create_dir(at)
        .and_then(|()| mount_virtual("binfmt_misc", at, ""))
        .and_then(|()| fs::write(at.join("status"), "-1"));
    let _ = unmount_patiently(at);
    let _ = fs::remove_dir(at);
}

/// Frees the loop devices whose backing file lies on the old root. Answers whether one is free now: one that is in use goes
/// when its last user does (`__loop_clr_fd`, drivers/block/loop.c).
fn free_loops(on_event: &mut dyn FnMut(StageEvent)) -> bool {
    let sys = Path::new("/sys");
    let mut freed = false;
    for (block, _) in loops(sys).into_iter().filter(|(_, file)| is_old(file)) {
        let name = block.name.clone();
        let cleared = bounded::within(PATIENCE, Box::new(move || clear(&block)));
        if cleared.is_ok() && !loops(sys).iter().any(|(other, _)| other.name == name) {
            freed = true;
            on_event(StageEvent::LoopFreed {
                device: format!("/dev/{name}"),
            });
        }
    }
    freed
}

/// By a node of its number: a `/dev` of plain files, and that of the RAM root, may have none of this name, or another device's.
fn clear(block: &Block) -> io::Result<()> {
    let dev = Path::new("/dev");
    let number = block.device.ok_or(io::ErrorKind::NotFound)?;
    let mut options = File::options();
    options.read(true);
    let device = open_node(dev, &dev.join(&block.name), SFlag::S_IFBLK, number, &options)?;
    sys::loop_clr_fd(&device)
}

/// The unmounts succeeded in our own namespace. Another one may still have the file systems mounted, so every table that can
/// be read is looked through for them. What is carried over (`/dev`) has the same device as before and is allowed.
fn prove_gone(before: &[Mount]) -> Result<(), DetachError> {
    let now = table()?;
    let rest = under_old_root(&now);
    if !rest.is_empty() {
        return Err(DetachError {
            stuck: names(&rest),
            ..DetachError::new("something was mounted below the old root again".to_owned())
        });
    }
    let gone: Vec<(u32, u32)> = under_old_root(before)
        .iter()
        .map(|mount| mount.device)
        .filter(|device| !now.iter().any(|mount| mount.device == *device))
        .collect();
    let proc = Path::new(PROC);
    let mut holders = foreign_mounts(proc, &now, &|mount| gone.contains(&mount.device));
    holders.extend(scan_processes(proc, &|file| {
        file.node.is_none() && gone.contains(&file.on)
    }));
    if !holders.is_empty() {
        return Err(DetachError {
            holders,
            ..DetachError::new("the old root lives on outside of our mount namespace".to_owned())
        });
    }
    match fs::read_dir(OLD_ROOT).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(DetachError::new(format!("{OLD_ROOT} is not empty after the unmount"))),
        Err(e) => Err(DetachError::new(format!(
            "{OLD_ROOT} cannot be read after the unmount: {e}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: u32, parent: u32, mountpoint: &str) -> Mount {
        Mount {
            id,
            parent,
            device: (0, id),
            mountpoint: mountpoint.into(),
            nosuid: false,
            shared: false,
            fs: "tmpfs".into(),
            source: "x".into(),
        }
    }

    #[test]
    fn only_what_lies_below_the_old_root_is_touched() {
        let table = [
            mount(1, 0, "/"),
            mount(2, 1, "/oldroot"),
            mount(3, 2, "/oldroot/mnt"),
            mount(4, 1, "/oldroot2"),
            mount(5, 1, "/dev"),
        ];
        assert_eq!(names(&under_old_root(&table)), ["/oldroot", "/oldroot/mnt"]);
    }

    #[test]
    fn the_error_says_when_nobody_can_be_named() {
        let mut error = DetachError {
            stuck: vec!["/oldroot".into()],
            holders: Vec::new(),
            text: "/oldroot cannot be unmounted".into(),
        };
        assert!(error.to_string().contains("the kernel does"));
        assert!(error.remedy().contains("NFS exports"));
        error.holders.push(Holder::Cwd {
            pid: 7,
            comm: "sh".into(),
            path: "/oldroot/tmp".into(),
        });
        assert_eq!(
            error.to_string(),
            "/oldroot cannot be unmounted; held by process 7 (sh), whose working directory is /oldroot/tmp"
        );
    }
}
