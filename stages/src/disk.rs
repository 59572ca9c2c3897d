//! Disks that stay mounted over the takeover, for an image that RAM cannot hold and for the record. A tmpfs stays for an image
//! that RAM cannot hold twice.
//!
//! Such a mount is moved (`MS_MOVE`) out of the old root when every process has ended, so that it needs no place in the old
//! root any more and keeps nothing of it busy. What lies on it is not in our hands meanwhile: whoever reads it checks it.
#![forbid(unsafe_code)]

use crate::device::{Numbers, numbers};
use crate::event::StageEvent;
use crate::mounts::{Mount, mount_of, mounts, move_mount, unmount, unmount_patiently};
use crate::paths::{OLD_ROOT, SOURCE};
use crate::scan::is_gone;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where they are in the RAM root: `/disk0`, `/disk1`.
const MOVED: &str = "/disk";

/// Block devices that are flash, or need something of the old system to live on. `mtdblock` and `mtdswap`; FTL, NFTL, INFTL, RFD and
/// SSFDC of `drivers/mtd`; fitblk.
const NO_DISKS: [&str; 11] = [
    "mtd", "ubiblock", "loop", "nbd", "zram", "ftl", "nftl", "inftl", "rfd", "ssfdc", "fit",
];

/// Buses of sysfs behind which a disk is brought along: USB, FireWire, PCMCIA.
const OUTSIDE: [&str; 3] = ["usb", "fw", "pcmcia"];

/// The path in the RAM root of the disk with this index in [`crate::HandOff::disks`].
#[must_use]
pub fn moved(index: usize) -> String {
    format!("{MOVED}{index}")
}

/// The mount points of all file systems, but for `/`, that lie on disks of the box's own, so that a file of root's on them was
/// made by this box's root. On a stick or a card, which anybody can bring along, it was made by whoever was root elsewhere; and
/// where a file system is mounted `nosuid`, root does not believe its owners. A device of which that is not known may have come
/// from anywhere.
#[must_use]
pub fn own_disks() -> Vec<PathBuf> {
    own(mounts().unwrap_or_default(), &|mount| {
        is_disk(mount) && rests_on(&device_of(mount.device), &stays)
    })
}

fn own(mut table: Vec<Mount>, is_fixed: &dyn Fn(&Mount) -> bool) -> Vec<PathBuf> {
    table.retain(|mount| !mount.nosuid && is_fixed(mount));
    table.into_iter().map(|mount| mount.mountpoint).collect()
}

fn device_of(device: Numbers) -> PathBuf {
    let (major, minor) = device;
    format!("/sys/dev/block/{major}:{minor}").into()
}

/// A tmpfs of the old system's: what lies there is in RAM already, and a copy of it would be there twice. The RAM root is none of
/// them.
fn is_in_ram(mount: &Mount) -> bool {
    mount.mountpoint != Path::new("/") && matches!(mount.fs.as_str(), "tmpfs" | "ramfs") && mount.source != SOURCE
}

/// Whether this lies below one that was moved: what would not be unmounted moved along with it.
pub(crate) fn is_below(path: &Path) -> bool {
    let mut parts = path.components().skip(1);
    let first = parts.next().map(|part| part.as_os_str().as_encoded_bytes());
    let number = first.and_then(|first| first.strip_prefix(&MOVED.as_bytes()[1..]));
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit)) && parts.next().is_some()
}

/// Jffs2 and ubifs lie on none: the one has the number of an `mtdblock`, the other none (`drivers/mtd/mtdsuper.c`, `fs/ubifs/super.c`).
fn is_disk(mount: &Mount) -> bool {
    // A program serves what is `fuseblk`, and ends with the old system.
    mount.mountpoint != Path::new("/") && !mount.fs.starts_with("fuse") && is_on_disks(mount.device)
}

/// Whether a block device lies on nothing but disks: no flash, and nothing that needs the old system. What is not known does not.
#[must_use]
pub fn is_on_disks(device: (u32, u32)) -> bool {
    rests_on(&device_of(device), &is_no_flash)
}

fn is_no_flash(device: &Path) -> bool {
    let name = device.file_name().unwrap_or_default().to_string_lossy();
    !NO_DISKS.iter().any(|other| name.starts_with(other))
}

/// Whether a disk cannot be taken out and brought along: its medium, as its driver says, and its bus, by the directories that
/// sysfs has it in (`usb1`, `fw0`). Of what `drivers/mmc` drives only what is soldered in has the type `MMC`.
fn stays(device: &Path) -> bool {
    let says = |attribute: &str, word: &str| {
        fs::read(device.join(attribute)).is_ok_and(|text| text.trim_ascii() == word.as_bytes())
    };
    let mut buses = device.components().map(|part| part.as_os_str().as_encoded_bytes());
    says("removable", "0")
        && !buses.any(|bus| OUTSIDE.iter().any(|other| bus.starts_with(other.as_bytes())))
        && (!device.components().any(|part| part.as_os_str() == "mmc_host") || says("device/type", "MMC"))
}

/// Whether this holds for a block device of sysfs and all that device-mapper or md made it of. For what is not known it does not.
fn rests_on(device: &Path, holds: &dyn Fn(&Path) -> bool) -> bool {
    let Ok(device) = fs::canonicalize(device) else {
        return false;
    };
    if device.join("partition").exists() {
        return device.parent().is_some_and(|disk| rests_on(disk, holds));
    }
    if !holds(&device) {
        return false;
    }
    match fs::read_dir(device.join("slaves")) {
        Ok(mut below) => below.all(|slave| slave.is_ok_and(|slave| rests_on(&slave.path(), holds))),
        Err(error) => is_gone(&error),
    }
}

/// The mount point of the disk or tmpfs that an open file lies on, and the file's path below it. `None` where that is neither, or
/// one that cannot stay.
#[must_use]
pub fn disk_of(file: &File) -> Option<(PathBuf, PathBuf)> {
    // What the kernel calls it, without links.
    let file = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let on = numbers(fs::metadata(&file).ok()?.dev());
    let table = mounts().ok()?;
    let mount = mount_of(&table, &file).filter(|mount| mount.device == on && (is_disk(mount) || is_in_ram(mount)))?;
    let below = file.strip_prefix(&mount.mountpoint).ok()?;
    Some((mount.mountpoint.clone(), below.to_owned()))
}

/// As PID 1: moves them out of the old root, without what is mounted below them.
pub(crate) fn carry(disks: &[String], on_event: &mut dyn FnMut(StageEvent)) {
    for (index, disk) in disks.iter().enumerate() {
        let from = Path::new(OLD_ROOT).join(disk.trim_start_matches('/'));
        let below = mounts().unwrap_or_default();
        for mount in below.iter().rev().filter(|mount| mount.mountpoint != from) {
            if mount.mountpoint.starts_with(&from) {
                let _ = unmount_patiently(&mount.mountpoint);
            }
        }
        let to = moved(index);
        let done = fs::create_dir_all(&to).and_then(|()| move_mount(&from, Path::new(&to)));
        on_event(StageEvent::note(match done {
            Ok(()) => format!("stage three: {disk} stays mounted, as {to}"),
            Err(e) => format!("stage three: {disk} cannot stay mounted: {e}"),
        }));
    }
}

/// Before a reboot: unmounts them, so that nothing has to be repaired afterwards.
pub(crate) fn let_go() {
    let mut index = 0;
    while unmount(Path::new(&moved(index))).is_ok() {
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_lies_deeper_than_a_moved_disk_moved_along() {
        for (path, below) in [
            ("/disk0/mnt", true),
            ("/disk10/a/b", true),
            ("/disk0", false),
            ("/disk/x", false),
            ("/disks/x", false),
            ("/oldroot/disk0/x", false),
            ("/", false),
        ] {
            assert_eq!(is_below(Path::new(path)), below, "{path}");
        }
    }

    #[test]
    fn what_is_mounted_nosuid_is_not_the_boxs_own() {
        let text = "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
                    21 20 8:3 / /share/a rw,relatime - ext4 /dev/sda3 rw\n\
                    22 20 8:4 / /share/b rw,nosuid,nodev,relatime - ext4 /dev/sda4 rw\n\
                    23 20 8:5 / /share/c rw,relatime,nosuid shared:2 - ext4 /dev/sda5 rw\n\
                    24 20 8:6 / /share/nosuid rw,nodev - ext4 /dev/sda6 rw,nosuid\n";
        let file = std::env::temp_dir().join(format!("stages-nosuid-{}", std::process::id()));
        fs::write(&file, text).expect("written");
        let table = crate::mounts::mounts_of(&file).expect("makes sense");
        fs::remove_file(file).expect("removed");
        assert_eq!(
            own(table, &|mount| mount.mountpoint != Path::new("/")),
            [PathBuf::from("/share/a"), PathBuf::from("/share/nosuid")]
        );
    }

    #[test]
    fn what_is_made_of_flash_or_of_another_machine_is_no_disk() {
        let dir = std::env::temp_dir().join(format!("stages-disks-{}", std::process::id()));
        for (name, below) in [
            ("sda1", None),
            ("mtdblock4", None),
            ("nbd0", None),
            ("fit0", None),
            ("ftla", None),
            ("dm-0", Some("sda1")),
            ("dm-1", Some("mtdblock4")),
            ("dm-2", Some("dm-1")),
            ("md0", Some("gone")),
        ] {
            fs::create_dir_all(dir.join(name).join("slaves")).expect("made");
            if let Some(below) = below {
                symlink(format!("../../{below}"), dir.join(name).join("slaves").join(below)).expect("linked");
            }
        }
        let found = |name: &str| rests_on(&dir.join(name), &is_no_flash);
        assert!(found("sda1") && found("dm-0"));
        for name in ["mtdblock4", "nbd0", "fit0", "ftla", "dm-1", "dm-2", "md0", "gone"] {
            assert!(!found(name), "{name}");
        }
        fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn what_can_be_brought_along_is_not_the_boxs_own() {
        let dir = std::env::temp_dir().join(format!("stages-own-disks-{}", std::process::id()));
        let make = |path: &str, removable: &str, kind: &str| {
            fs::create_dir_all(dir.join(path).join("device")).expect("made");
            for (attribute, text) in [("removable", removable), ("device/type", kind)] {
                if !text.is_empty() {
                    fs::write(dir.join(path).join(attribute), format!("{text}\n")).expect("written");
                }
            }
        };
        let own = |path: &str| rests_on(&dir.join(path), &stays);
        for (path, removable, kind, expected) in [
            ("platform/sata_mv.0/ata1/host0/block/sda", "0", "", true),
            ("pci0000:00/virtio1/block/vda", "0", "", true),
            (
                "platform/f1072004.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0",
                "0",
                "MMC",
                true,
            ),
            (
                "platform/f1072004.mmc/mmc_host/mmc1/mmc1:aaaa/block/mmcblk1",
                "0",
                "SD",
                false,
            ),
            (
                "platform/f1072004.mmc/mmc_host/mmc2/mmc2:aaaa/block/mmcblk2",
                "0",
                "",
                false,
            ),
            // A disk in a USB enclosure says that its medium stays.
            ("platform/orion-ehci.0/usb1/1-1/1-1:1.0/host2/block/sdb", "0", "", false),
            ("pci0000:00/fw0/fw1/fw1.0/host3/block/sdc", "0", "", false),
            ("pci0000:00/ata2/host1/block/sdd", "1", "", false),
            ("pci0000:00/ata2/host1/block/sde", "", "", false),
        ] {
            make(path, removable, kind);
            assert_eq!(own(path), expected, "{path}");
        }
        // A partition is where its disk is, and a mirror of two is the box's own if both are.
        make("pci0000:00/virtio1/block/vda/vda1", "", "");
        fs::write(dir.join("pci0000:00/virtio1/block/vda/vda1/partition"), "1\n").expect("written");
        assert!(own("pci0000:00/virtio1/block/vda/vda1"));
        for (mirror, second, expected) in [
            ("md0", "platform/sata_mv.0/ata1/host0/block/sda", true),
            ("md1", "platform/orion-ehci.0/usb1/1-1/1-1:1.0/host2/block/sdb", false),
        ] {
            make(mirror, "0", "");
            fs::create_dir_all(dir.join(mirror).join("slaves")).expect("made");
            for (index, disk) in ["pci0000:00/virtio1/block/vda", second].iter().enumerate() {
                symlink(dir.join(disk), dir.join(mirror).join("slaves").join(index.to_string())).expect("linked");
            }
            assert_eq!(own(mirror), expected, "{mirror}");
        }
        assert!(!own("gone"));
        fs::remove_dir_all(dir).expect("removed");
    }
}
