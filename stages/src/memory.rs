//! Memory: kept in RAM, spared by the out-of-memory killer, measured.
#![forbid(unsafe_code)]

use nix::sys::mman::{MlockAllFlags, mlockall};
use std::fs;
use std::io;

/// Locks this process into RAM and exempts it from the out-of-memory killer.
///
/// Threads started later have their whole stack locked: give them small ones (64 KiB).
///
/// # Errors
/// What the kernel refused; the other half is done all the same.
pub fn protect() -> io::Result<()> {
    // oom_score_adj came with 2.6.36; before, -17 in oom_adj meant never (proc(5)).
    let spared = fs::write("/proc/self/oom_score_adj", "-1000").or_else(|_| fs::write("/proc/self/oom_adj", "-17"));
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
        .map_err(|e| io::Error::other(format!("it may be paged out: {}", io::Error::from(e))))?;
    spared.map_err(|e| io::Error::other(format!("the out-of-memory killer may choose this process: {e}")))
}

/// Memory in bytes that can be had without swapping, or `None` without `/proc`.
///
/// `MemAvailable`, and before kernel 3.14 the sum that comes nearest: free, buffers and page cache, less what of the
/// cache is tmpfs (`Shmem`) and cannot be dropped.
#[must_use]
pub fn available() -> Option<u64> {
    parse_available(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// All memory of the machine in bytes, as far as the kernel has it; `None` without `/proc`.
#[must_use]
pub fn total() -> Option<u64> {
    kib_field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

fn parse_available(meminfo: &str) -> Option<u64> {
    if let Some(bytes) = kib_field(meminfo, "MemAvailable:") {
        return Some(bytes);
    }
    let free = kib_field(meminfo, "MemFree:")?;
    let buffers = kib_field(meminfo, "Buffers:").unwrap_or(0);
    let cached = kib_field(meminfo, "Cached:").unwrap_or(0);
    // Before 2.6.32 how much of the cache is tmpfs is not told, and it may be all.
    let tmpfs = kib_field(meminfo, "Shmem:").unwrap_or(cached);
    Some(free + (buffers + cached).saturating_sub(tmpfs))
}

/// The memory use of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// The highest resident size so far (`VmHWM`).
    pub high_water: u64,
    /// Anonymous memory now (`RssAnon`, kernel 4.5 and later): what is not program text.
    pub anonymous: Option<u64>,
}

/// Reads `/proc/self/status`; `None` without `/proc`.
#[must_use]
pub fn peak() -> Option<Peak> {
    parse_peak(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<Peak> {
    Some(Peak {
        high_water: kib_field(status, "VmHWM:")?,
        anonymous: kib_field(status, "RssAnon:"),
    })
}

fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mem_available_is_taken_where_it_is() {
        assert_eq!(
            parse_available("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable:   40 kB\n"),
            Some(40 * 1024)
        );
    }

    /// The shape of a 2.6.31 NAS kernel's file.
    #[test]
    fn old_kernels_get_a_sum_without_tmpfs() {
        let old =
            "MemTotal: 60000 kB\nMemFree: 1000 kB\nBuffers: 200 kB\nCached: 900 kB\nSwapCached: 5 kB\nShmem: 300 kB\n";
        assert_eq!(parse_available(old), Some(1800 * 1024));
        let older = old.replace("Shmem: 300 kB\n", "");
        assert_eq!(parse_available(&older), Some(1200 * 1024));
        assert_eq!(parse_available(""), None);
        assert_eq!(parse_available("MemFree: x kB"), None);
    }

    #[test]
    fn the_own_peak_is_read() {
        assert!(peak().expect("proc").high_water > 0);
    }
}
