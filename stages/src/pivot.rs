//! Makes the RAM root `/`, and undoes it.
#![forbid(unsafe_code)]

use crate::carry::can_be_carried;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init;
use crate::marker::marker;
use crate::mounts::{Mount, is_mountpoint, make_private, mounts, move_mount, share_again, shared};
use crate::paths::OLD_ROOT;
use crate::populate::Populated;
use crate::ramroot::RamRoot;
use crate::ways::{self, Way};
use nix::unistd::pivot_root;
use std::io;
use std::path::{Path, PathBuf};

/// What is carried over. What is mounted below (`/dev/pts`, `/sys/fs/cgroup`) rides along.
const CARRIED: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The RAM root is `/`, and the old root is below `/oldroot`. Dropping it puts everything back.
#[derive(Debug)]
pub struct Pivoted {
    root: Option<RamRoot>,
    moved: Vec<&'static str>,
    /// What was shared with other mount namespaces before.
    shared: Vec<PathBuf>,
    /// Init was told of the new root in this way, and must be told again after the way back.
    pub(crate) told: Option<Way>,
}

impl Populated {
    /// Makes this root `/` for every process whose root was `/` (pivot_root(2)), init included.
    ///
    /// Mount propagation is cut first. An undo makes it begin anew: mount namespaces that are there already do not follow any more.
    ///
    /// # Errors
    /// The step that failed; everything before it has been undone. [`ErrorKind::CannotPivot`] for EINVAL of
    /// pivot_root itself.
    pub fn pivot(self) -> Result<Pivoted> {
        let root = self.into_root();
        let table = mounts().context(|| "read /proc/self/mountinfo".to_owned());
        match table.and_then(|table| Ok((switch(root.path(), &table)?, shared(&table)))) {
            Ok((moved, shared)) => Ok(Pivoted {
                root: Some(root),
                moved,
                shared,
                told: None,
            }),
            Err(e) => Err(e.leaving(root.remove())),
        }
    }
}

impl Pivoted {
    /// The mounts that were carried over.
    pub(crate) fn moved(&self) -> Vec<String> {
        self.moved.iter().map(|path| (*path).to_owned()).collect()
    }

    /// Puts everything back; answers what could not be.
    pub(crate) fn undo(mut self) -> Vec<String> {
        self.put_back()
    }

    /// Takes up what a stage-one process that was killed has left: the state is read from the mount table, but for what was shared
    /// before.
    pub(crate) fn adopt(mountpoint: &Path, table: &[Mount], shared: Vec<PathBuf>) -> Self {
        let carried = |path: &&str| is_mountpoint(table, Path::new(path));
        let moved = CARRIED.into_iter().filter(carried).collect();
        Self {
            root: Some(RamRoot::adopt(mountpoint)),
            moved,
            shared,
            told: ways::known(&init::detect()),
        }
    }

    /// From here on there is no way back.
    pub(crate) fn commit(mut self) {
        if let Some(root) = self.root.take() {
            root.pass_on();
        }
    }

    fn put_back(&mut self) -> Vec<String> {
        let Some(root) = self.root.take() else {
            return Vec::new();
        };
        let marker = marker();
        let mut left = switch_back(root.path(), &self.moved);
        if left.is_empty() {
            if let Some(way) = self.told {
                left.extend(ways::hand_over(way).forget(marker));
            }
            left.extend(share_again(&self.shared));
            left.extend(root.remove());
        } else {
            // The RAM root is still `/`: nothing can be unmounted, and taking files away would not help anybody.
            root.pass_on();
        }
        left
    }
}

impl Drop for Pivoted {
    fn drop(&mut self) {
        for left in self.put_back() {
            log::error!("not undone: {left}");
        }
    }
}

/// Pivots into the file system mounted on `new_root` and carries the virtual file systems over. After an error the
/// system is as before.
pub(crate) fn switch(new_root: &Path, table: &[Mount]) -> Result<Vec<&'static str>> {
    // pivot_root(2) refuses shared mounts, and a private copy elsewhere would keep the old root alive.
    make_private(Path::new("/"), true).context(|| "make / private".to_owned())?;
    let put_old = new_root.join("oldroot");
    let pivoted = pivot_root(new_root, &put_old).map_err(|e| {
        let kind = if e == nix::Error::EINVAL {
            ErrorKind::CannotPivot
        } else {
            ErrorKind::System
        };
        Error::new(
            kind,
            format!("pivot_root to {}: {}", new_root.display(), io::Error::from(e)),
        )
    });
    let mut moved = Vec::new();
    let error = match pivoted.map(|()| enter(table, &mut moved)) {
        Ok(Ok(())) => return Ok(moved),
        Ok(Err(error)) => error.leaving(switch_back(new_root, &moved)),
        Err(error) => error,
    };
    Err(error.leaving(share_again(&shared(table))))
}

fn enter(table: &[Mount], moved: &mut Vec<&'static str>) -> Result<()> {
    std::env::set_current_dir("/").context(|| "change to the RAM root".to_owned())?;
    for path in CARRIED
        .into_iter()
        .filter(|path| can_be_carried(table, Path::new(path)))
    {
        move_mount(&old(path), Path::new(path)).context(|| format!("move {path} to the RAM root"))?;
        moved.push(path);
    }
    Ok(())
}

/// The way back of [`switch`]; answers what failed.
fn switch_back(mountpoint: &Path, moved: &[&'static str]) -> Vec<String> {
    let mut left = Vec::new();
    for path in moved.iter().rev() {
        if let Err(e) = move_mount(Path::new(path), &old(path)) {
            left.push(format!("move {path} back: {e}"));
        }
    }
    // The RAM root goes to where it was mounted before, as seen from the old root.
    let put_old = Path::new(OLD_ROOT).join(mountpoint.strip_prefix("/").unwrap_or(mountpoint));
    match pivot_root(OLD_ROOT, &put_old) {
        Ok(()) => {
            if let Err(e) = std::env::set_current_dir("/") {
                left.push(format!("change to the old root: {e}"));
            }
        }
        Err(e) => left.push(format!("pivot_root back: {}", io::Error::from(e))),
    }
    left
}

fn old(path: &str) -> PathBuf {
    Path::new(OLD_ROOT).join(path.trim_start_matches('/'))
}
