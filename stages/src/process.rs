//! Processes as `/proc` shows them.
#![forbid(unsafe_code)]

use crate::scan::is_gone;
use crate::shown::shown;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) comm: String,
    /// The state letter of proc(5); `D` is uninterruptible sleep, `Z` a zombie.
    pub(crate) state: char,
    /// Kernel threads hold nothing of the old root and cannot be killed.
    pub(crate) kernel: bool,
    /// How many threads it has, the first one among them until all have ended.
    threads: u32,
}

impl Process {
    /// Zombies have let go of everything already. One whose first thread alone has ended looks like one.
    pub(crate) fn is_alive(&self) -> bool {
        !self.kernel && (self.threads > 1 || !self.has_ended())
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// The directories in which it shows what it uses: below `dir`, its own, one for each thread that goes on. Threads may have
    /// descriptors, directories and mounts that the others have not (unshare(2)), and what is shown of the first one is empty
    /// once that has ended.
    pub(crate) fn faces(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        if self.threads < 2 {
            return Ok(vec![dir.to_owned()]);
        }
        let tasks = dir.join("task");
        fs::read_dir(&tasks)?;
        let goes_on = |tid: &u32| process(&tasks, *tid).is_none_or(|thread| !thread.has_ended());
        let found = pids(&tasks).into_iter().filter(goes_on);
        Ok(found.map(|tid| tasks.join(tid.to_string())).collect())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, shown(&self.comm))?;
        if self.state == 'D' {
            f.write_str(" in uninterruptible sleep")
        } else {
            Ok(())
        }
    }
}

/// Every process under `proc`. One that ends while we look is left out.
pub(crate) fn processes(proc: &Path) -> Vec<Process> {
    pids(proc).into_iter().filter_map(|pid| process(proc, pid)).collect()
}

/// The numbers under `proc`, ascending.
pub(crate) fn pids(proc: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(proc) else {
        return Vec::new();
    };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// One process, or `None` when it is gone.
pub(crate) fn process(proc: &Path, pid: u32) -> Option<Process> {
    parse_stat(&String::from_utf8_lossy(
        &fs::read(proc.join(pid.to_string()).join("stat")).ok()?,
    ))
}

/// `pid (comm) state ppid pgrp session tty tpgid flags`, four counts of faults, four of time, priority, nice and the number of
/// threads: the name may hold blanks and brackets, so the last bracket counts.
fn parse_stat(stat: &str) -> Option<Process> {
    /// `include/linux/sched.h`, since 2.6.27.
    const PF_KTHREAD: u32 = 0x0020_0000;
    let (pid, rest) = stat.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(4)?.parse().ok()?;
    let threads = fields.nth(10).and_then(|count| count.parse().ok());
    Some(Process {
        pid: pid.parse().ok()?,
        ppid,
        comm: comm.to_owned(),
        state,
        kernel: flags & PF_KTHREAD != 0,
        threads: threads.unwrap_or(1),
    })
}

/// The command line of a process, its words separated by blanks.
pub(crate) fn command_line(pid: u32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ").trim_end().to_owned()
}

/// The inodes of the sockets that a process has open as descriptors `from` and higher; none when that cannot be seen.
pub(crate) fn sockets(proc: &Path, pid: u32, from: u32) -> Vec<String> {
    let inode = |entry: fs::DirEntry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let link = fs::read_link(entry.path()).ok().filter(|_| number >= from)?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    };
    let entries = fs::read_dir(proc.join(pid.to_string()).join("fd"));
    entries.into_iter().flatten().flatten().filter_map(inode).collect()
}

/// Whether this process has one thread, so that it may fork without exec.
pub(crate) fn single_threaded() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Whether we live in a pid namespace of our own: a container, or a test.
///
/// There the devices, swaps and the power of the machine are not ours to touch. Kernels without namespaces (before
/// 3.8 no such link) count as unconfined. The number is PROC_PID_INIT_INO of `include/linux/proc_ns.h`.
pub(crate) fn confined() -> bool {
    match fs::read_link("/proc/self/ns/pid") {
        Ok(link) => link.as_os_str() != "pid:[4026531836]",
        // Where it may not be looked at, what runs may not be seen either.
        Err(error) => !is_gone(&error),
    }
}

/// Reads the line of a process.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(stat: &str) {
    if let Some(process) = parse_stat(stat) {
        assert!(!process.to_string().contains(char::is_control));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_is_read() {
        let p = parse_stat("42 (a) b (c) D 1 42 42 0 -1 4194560 0 0").expect("parses");
        assert_eq!(
            (p.pid, p.ppid, p.comm.as_str(), p.state, p.kernel),
            (42, 1, "a) b (c", 'D', false)
        );
        assert_eq!(p.to_string(), "42 (a) b (c) in uninterruptible sleep");
    }

    #[test]
    fn kernel_threads_are_known_by_their_flag() {
        assert!(
            parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0")
                .expect("parses")
                .kernel
        );
        assert!(parse_stat("").is_none());
        assert!(parse_stat("1 (x").is_none());
    }

    #[test]
    fn one_whose_first_thread_has_ended_is_alive_while_others_go_on() {
        let of = |threads| {
            parse_stat(&format!(
                "7 (x) Z 1 7 7 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 {threads} 0 8312492"
            ))
        };
        assert!(of(2).expect("parses").is_alive());
        assert!(!of(1).expect("parses").is_alive());
    }

    #[test]
    fn the_own_process_is_found() {
        let me = std::process::id();
        assert!(
            processes(Path::new("/proc"))
                .iter()
                .any(|p| p.pid == me && p.is_alive())
        );
    }
}
