//! UBI: what is attached, and detaching it from partitions that are about to be written.
#![forbid(unsafe_code)]

use crate::detach::Detached;
use crate::event::StageEvent;
use crate::mtd::Wanted;
use crate::proof::MtdTarget;
use crate::sys;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

const SYS: &str = "/sys";
/// For UBI's last user to let go after the unmount: block devices are released some time later.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A volume, with what stands for it.
pub(crate) struct Volume {
    /// N and M of `ubiN_M`.
    pub(crate) id: (u32, u32),
    pub(crate) name: String,
    /// Its character device.
    pub(crate) node: Option<(u32, u32)>,
    /// The block device that was made of it, `ubiblockN_M`.
    pub(crate) block: Option<(u32, u32)>,
}

impl Volume {
    /// Whether what follows `ubiN` or `ubiblockN` means it: `:rootfs`, `!rootfs`, `_1`.
    pub(crate) fn is_called(&self, rest: &str) -> bool {
        match rest.strip_prefix([':', '!']) {
            Some(name) => name == self.name,
            None => rest.strip_prefix('_').and_then(|id| id.parse().ok()) == Some(self.id.1),
        }
    }
}

/// `MAJOR:MINOR` of an attribute `dev`.
fn numbers(path: &Path) -> Option<(u32, u32)> {
    let text = fs::read_to_string(path.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn class(sys: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(sys.join("class/ubi")).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}

/// Each attached UBI device with the number of its MTD.
pub(crate) fn devices(sys: &Path) -> Vec<(u32, u32)> {
    let attached = |path: PathBuf| {
        let ubi = path.file_name()?.to_str()?.strip_prefix("ubi")?.parse().ok()?;
        Some((ubi, fs::read_to_string(path.join("mtd_num")).ok()?.trim().parse().ok()?))
    };
    class(sys).filter_map(attached).collect()
}

/// Every volume of every UBI device.
pub(crate) fn volumes(sys: &Path) -> Vec<Volume> {
    let volume = |path: PathBuf| {
        let (ubi, id) = path.file_name()?.to_str()?.strip_prefix("ubi")?.split_once('_')?;
        let name = fs::read_to_string(path.join("name")).ok()?;
        Some(Volume {
            id: (ubi.parse().ok()?, id.parse().ok()?),
            name: name.trim_end_matches('\n').to_owned(),
            node: numbers(&path),
            block: numbers(&sys.join(format!("block/ubiblock{ubi}_{id}"))),
        })
    };
    class(sys).filter_map(volume).collect()
}

impl Detached {
    /// Detaches every UBI device from the targets, and takes away the block devices of its volumes first. That a file
    /// system was mounted from it is over; a target that is a volume keeps its UBI.
    ///
    /// What cannot be detached is told as an event, and [`Detached::prove_unheld`] finds it.
    pub fn detach_ubi(&self, targets: &[MtdTarget], on_event: &mut dyn FnMut(StageEvent)) {
        let wanted = Wanted::new(targets, Path::new("/proc"), Path::new(SYS));
        for &(ubi, mtd) in &wanted.ubi {
            for volume in volumes(Path::new(SYS)) {
                if volume.id.0 == ubi && volume.block.is_some() {
                    remove_block(&volume, on_event);
                }
            }
            on_event(match patiently(|| detach(ubi)) {
                Ok(()) => StageEvent::UbiDetached { ubi, mtd },
                Err(error) => StageEvent::note(format!("stage three: ubi{ubi} could not be detached: {error}")),
            });
        }
    }
}

fn remove_block(volume: &Volume, on_event: &mut dyn FnMut(StageEvent)) {
    let device = format!("ubi{}_{}", volume.id.0, volume.id.1);
    let removed = patiently(|| open(&device, volume.node, false).and_then(|file| sys::ubi_remove_block(&file)));
    if let Err(error) = removed {
        on_event(StageEvent::note(format!(
            "stage three: the block device of {device} could not be removed: {error}"
        )));
    }
}

fn detach(ubi: u32) -> io::Result<()> {
    let numbers = numbers(&Path::new(SYS).join("class/misc/ubi_ctrl"));
    sys::ubi_detach(&open("ubi_ctrl", numbers, true)?, ubi)
}

/// Tries again while somebody is still at it.
fn patiently(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..TRIES {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => sleep(PAUSE),
            result => return result,
        }
    }
    attempt()
}

/// Opens a character device, whose node is made where `/dev` does not have it.
fn open(name: &str, numbers: Option<(u32, u32)>, write: bool) -> io::Result<File> {
    let path = Path::new("/dev").join(name);
    let open = || File::options().read(true).write(write).open(&path);
    match (open(), numbers) {
        (Err(error), Some((major, minor))) if error.kind() == io::ErrorKind::NotFound => {
            let device = makedev(major.into(), minor.into());
            mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, device as _)?;
            open()
        }
        (result, _) => result,
    }
}
