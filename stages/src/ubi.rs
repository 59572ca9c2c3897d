//! Detaches UBI from partitions that are about to be written.
#![forbid(unsafe_code)]

use crate::detach::Detached;
use crate::device::{Numbers, make_node, of_sysfs, open_node};
use crate::event::StageEvent;
use crate::scan::is_gone;
use crate::wanted::{Volume, Wanted};
use mtd_rs::ubi::ioctl::{ubi_iocdet, ubi_iocvolrmblk};
use mtd_rs::{Map, PartitionId, SystemPaths};
use nix::sys::stat::SFlag;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// For UBI's last user to let go after the unmount: block devices are released some time later.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

impl Detached {
    /// Detaches every UBI device from the targets, and takes away the block devices of its volumes first. That a file
    /// system was mounted from it is over; a target that is a volume keeps its UBI.
    ///
    /// What cannot be detached is told as an event, and [`Detached::prove_unheld`] finds it.
    pub fn detach_ubi(&self, map: &Map, targets: &[PartitionId], on_event: &mut dyn FnMut(StageEvent)) {
        let wanted = Wanted::new(map, targets, &SystemPaths::default());
        for &(ubi, mtd) in &wanted.ubi {
            // One of which the kernel does not tell what it lies on is left alone.
            let Some(mtd) = mtd else { continue };
            for volume in &wanted.volumes {
                if volume.id.0 == ubi && volume.block.is_some() {
                    remove_block(volume, on_event);
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
    let removed = patiently(|| open(&device, volume.node, false).and_then(|file| ubi_iocvolrmblk(file.as_fd())));
    if let Err(error) = removed {
        on_event(StageEvent::note(format!(
            "stage three: the block device of {device} could not be removed: {error}"
        )));
    }
}

fn detach(ubi: u32) -> io::Result<()> {
    // Its number is given out when UBI is loaded.
    let control = of_sysfs(Path::new("/sys/class/misc/ubi_ctrl")).ok();
    ubi_iocdet(open("ubi_ctrl", control, true)?.as_fd(), ubi)
}

/// Tries again while somebody is still at it.
pub(crate) fn patiently(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    for _ in 1..TRIES {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => sleep(PAUSE),
            result => return result,
        }
    }
    attempt()
}

/// Opens a character device, whose node is made where `/dev` does not have it. One that is another device's is not opened.
pub(crate) fn open(name: &str, numbers: Option<Numbers>, write: bool) -> io::Result<File> {
    open_in(Path::new("/dev"), name, numbers, write)
}

fn open_in(dev: &Path, name: &str, numbers: Option<Numbers>, write: bool) -> io::Result<File> {
    let path = dev.join(name);
    let mut options = File::options();
    options.read(true).write(write);
    let Some(numbers) = numbers else {
        return options.open(&path);
    };
    if matches!(fs::metadata(&path), Err(error) if is_gone(&error)) {
        make_node(&path, SFlag::S_IFCHR, numbers)?;
    }
    open_node(dev, &path, SFlag::S_IFCHR, numbers, &options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::makedev;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_node_that_is_another_devices_is_not_opened() {
        let dev = std::env::temp_dir().join(format!("stages-nodes-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dev);
        fs::create_dir_all(&dev).expect("made");
        let node = |name: &str| {
            // Of /dev/zero.
            let made = make_node(&dev.join(name), SFlag::S_IFCHR, (1, 5));
            made.expect("these tests make device nodes and need root");
        };
        node("ubi0");
        let number = |name| open_in(&dev, name, Some((1, 3)), true).and_then(|file| Ok(file.metadata()?.rdev()));
        assert_eq!(number("ubi0").expect("opened"), makedev(1, 3) as u64, "of /dev/null");
        assert_eq!(number("ubi1").expect("made and opened"), makedev(1, 3) as u64);
        let left: Vec<_> = fs::read_dir(&dev).expect("read").collect();
        assert_eq!(left.len(), 2, "the node that was made for a moment is gone");
        fs::remove_dir_all(&dev).expect("removed");
    }
}
