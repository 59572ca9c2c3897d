//! The kernel's NFS server: what it gives to others is in use by the kernel itself, whatever process is ended.
#![forbid(unsafe_code)]

use crate::bounded;
use crate::event::StageEvent;
use crate::holders::exports;
use crate::mounts::mount_virtual;
use crate::process::confined;
use crate::shown::shown;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const THREADS: &str = "/proc/fs/nfsd/threads";
/// Its caches, in which `exportfs -f` writes too (support/nfs/cacheio.c of nfs-utils); whatever is written, everything goes.
const CACHES: [&str; 4] = ["auth.unix.ip", "auth.unix.gid", "nfsd.fh", "nfsd.export"];
/// For threads that are in the middle of something.
const LIMIT: Duration = Duration::from_secs(10);

/// Stops the server and makes it forget its exports. What stays is seen by the unmount that fails.
pub(crate) fn withdraw(on_event: &mut dyn FnMut(StageEvent)) {
    let before = exports(Path::new("/proc"));
    if confined() || !Path::new("/proc/fs/nfsd").exists() {
        return;
    }
    if !Path::new(THREADS).exists() {
        // A kernel that could have a server shows the directory, and has no such file system before it is loaded.
        if mount_virtual("nfsd", Path::new("/proc/fs/nfsd"), "").is_err() {
            return;
        }
    }
    // SIGKILL stops its threads up to Linux 6.6 only.
    let stopped = bounded::within(LIMIT, Box::new(|| fs::write(THREADS, "0\n")));
    // Old kernels let go of what is older than the time written: this is 2038.
    for cache in CACHES {
        let _ = fs::write(format!("/proc/net/rpc/{cache}/flush"), "2147483647\n");
    }
    let rest = exports(Path::new("/proc"));
    on_event(StageEvent::note(match stopped {
        Err(e) => format!("stage three: the NFS server could not be stopped: {e}"),
        Ok(()) if !rest.is_empty() => format!("stage three: the NFS server does not forget {}", list(&rest)),
        Ok(()) if before.is_empty() => return,
        Ok(()) => format!("stage three: NFS export of {} withdrawn", list(&before)),
    }));
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(shown).collect::<Vec<_>>().join(", ")
}
