//! The mount table (`/proc/self/mountinfo`, proc(5)) and the few mount calls of the stages.
#![forbid(unsafe_code)]

use crate::paths::{HANDOFF, SOURCE};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::statfs;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::io;
use std::path::{Path, PathBuf};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// Major and minor number of the file system's device.
    pub(crate) device: (u32, u32),
    pub(crate) mountpoint: PathBuf,
    pub(crate) fs: String,
    pub(crate) source: String,
}

/// Reads the table of this process.
pub(crate) fn mounts() -> io::Result<Vec<Mount>> {
    mounts_of(Path::new("/proc/self/mountinfo"))
}

/// Reads the table of another process, or a stand-in.
pub(crate) fn mounts_of(path: &Path) -> io::Result<Vec<Mount>> {
    // A path in it need not be UTF-8. What is lost by the conversion would fail to unmount by name, and be seen.
    Ok(parse(&String::from_utf8_lossy(&std::fs::read(path)?)))
}

/// Lines that are not in the format are passed over; the kernel writes none.
fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    // Between the options and the dash stand any number of optional fields; kernel 2.6.26 and later.
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let id = left.next()?.parse().ok()?;
    let parent = left.next()?.parse().ok()?;
    let device = device(left.next()?)?;
    let mountpoint = PathBuf::from(unescape(left.nth(1)?));
    let mut right = right.split(' ');
    Some(Mount {
        id,
        parent,
        device,
        mountpoint,
        fs: right.next()?.to_owned(),
        source: unescape(right.next().unwrap_or("")),
    })
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Undoes the kernel's `mangle()`: blank, tab, newline and backslash are written as `\` and three octal digits.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail
            .get(..3)
            .filter(|d| byte == b'\\' && d.iter().all(|c| (b'0'..=b'7').contains(c)));
        if let Some(&[a, b, c]) = digits {
            out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
            rest = &tail[3..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether something is mounted on exactly this directory.
pub(crate) fn is_mountpoint(table: &[Mount], path: &Path) -> bool {
    table.iter().any(|mount| mount.mountpoint == path)
}

/// The mount that a path lies on, by the path alone: nothing is asked of the file system, whose server may not answer.
pub(crate) fn mount_of<'a>(table: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    // Of several on the same directory the last one is on top.
    table
        .iter()
        .filter(|mount| path.starts_with(&mount.mountpoint))
        .max_by_key(|mount| mount.mountpoint.components().count())
}

/// File systems of a server, which may be asleep for good.
pub(crate) fn is_remote(fs: &str) -> bool {
    matches!(fs, "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "ceph" | "fuse") || fs.starts_with("fuse.")
}

/// The mount point of our own tmpfs, when it is mounted anywhere but on `/`.
pub(crate) fn find_ram_root(table: &[Mount]) -> Option<PathBuf> {
    let ours = |mount: &&Mount| mount.source == SOURCE && is_ram(&mount.fs) && mount.mountpoint != Path::new("/");
    table.iter().rev().find(ours).map(|mount| mount.mountpoint.clone())
}

/// File systems that live in RAM alone.
pub(crate) fn is_ram(fs: &str) -> bool {
    matches!(fs, "tmpfs" | "ramfs" | "devtmpfs")
}

/// Whether `/` is the RAM root: a tmpfs or ramfs with a hand-off record in it.
pub(crate) fn root_is_ram_root() -> bool {
    // Magic numbers of `include/uapi/linux/magic.h`; the width of the field differs between libcs.
    let ram = statfs("/").is_ok_and(|fs| matches!(fs.filesystem_type().0 as u32, 0x0102_1994 | 0x8584_58f6));
    ram && Path::new(HANDOFF).exists()
}

/// mount(2) of a file system that has no device.
pub(crate) fn mount_virtual(fs: &str, target: &Path, options: &str) -> io::Result<()> {
    mount(
        Some(if fs == "tmpfs" { SOURCE } else { fs }),
        target,
        Some(fs),
        MsFlags::empty(),
        Some(options),
    )?;
    Ok(())
}

/// `MS_MOVE`.
pub(crate) fn move_mount(from: &Path, to: &Path) -> io::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    Ok(())
}

/// Cuts mount propagation, of this mount or of all below it too.
pub(crate) fn make_private(path: &Path, recursive: bool) -> io::Result<()> {
    let depth = if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
    mount(
        None::<&str>,
        path,
        None::<&str>,
        MsFlags::MS_PRIVATE | depth,
        None::<&str>,
    )?;
    Ok(())
}

/// umount2(2), never lazily: an unmount that succeeds means that nothing in this namespace uses the file system.
pub(crate) fn unmount(path: &Path) -> io::Result<()> {
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        // The flag came with 2.6.34; before that an unknown flag is EINVAL.
        Err(nix::Error::EINVAL) => umount2(path, MntFlags::empty()),
        result => result,
    }?;
    Ok(())
}

/// Makes a tmpfs writable again that `umount -a -r` of an old inittab has made read-only. Its size option stays.
pub(crate) fn make_writable(path: &Path) -> io::Result<()> {
    if statvfs(path)?.flags().contains(FsFlags::ST_RDONLY) {
        mount(None::<&str>, path, None::<&str>, MsFlags::MS_REMOUNT, None::<&str>)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a QNAP-like box under QEMU, kernel 6.1, plus a path with a blank and an optional field.
    const BOX: &str = "\
14 1 31:2 / / ro,relatime - squashfs /dev/root ro,errors=continue
15 14 0:5 / /dev rw,relatime - devtmpfs devtmpfs rw,size=59324k
16 14 0:13 / /proc rw,relatime shared:5 master:1 - proc proc rw
17 14 0:15 / /run rw,relatime - tmpfs tmpfs rw
18 17 31:4 / /mnt/my\\040disk rw,relatime - jffs2 mtd:config rw
19 17 0:16 / /run/flasher rw,relatime - tmpfs flasher rw,mode=700
nonsense
20 x 0:1 / / rw - a b
";

    #[test]
    fn fields_are_found_on_both_sides_of_the_dash() {
        let table = parse(BOX);
        assert_eq!(table.len(), 6);
        assert_eq!(
            (table[0].device, table[0].fs.as_str(), table[0].source.as_str()),
            ((31, 2), "squashfs", "/dev/root")
        );
        assert_eq!((table[2].fs.as_str(), table[2].parent), ("proc", 14));
        assert_eq!(table[4].mountpoint, Path::new("/mnt/my disk"));
        assert_eq!(table[4].source, "mtd:config");
        assert_eq!(find_ram_root(&table).as_deref(), Some(Path::new("/run/flasher")));
    }

    #[test]
    fn a_path_lies_on_the_deepest_and_topmost_mount() {
        let table = parse(BOX);
        let id = |path: &str| mount_of(&table, Path::new(path)).map(|mount| mount.id);
        assert_eq!(id("/mnt/my disk/x"), Some(18));
        assert_eq!(id("/mnt/my"), Some(14));
        assert_eq!(id("/run/flasher"), Some(19));
        assert_eq!(id("relative"), None);
    }

    #[test]
    fn escapes_are_undone_and_stray_backslashes_stay() {
        assert_eq!(unescape("a\\011b\\134c"), "a\tb\\c");
        assert_eq!(unescape("\\04"), "\\04");
        assert_eq!(unescape("\\999"), "\\999");
    }

    #[test]
    fn the_own_table_can_be_read() {
        assert!(is_mountpoint(&mounts().expect("readable"), Path::new("/")));
    }
}
