//! The mount table (`/proc/self/mountinfo`, proc(5)) and the few mount calls of the stages.
#![forbid(unsafe_code)]

use crate::bounded::{self, PATIENCE};
use crate::device::{self, Numbers};
use crate::paths::{HANDOFF, SOURCE};
use crate::shown::shown;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::statfs;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// Major and minor number of the file system's device.
    pub(crate) device: Numbers,
    pub(crate) mountpoint: PathBuf,
    pub(crate) fs: String,
    /// Programs there do not run as their owners: root does not believe what the file system says of owners.
    pub(crate) nosuid: bool,
    /// What is mounted there shows in other mount namespaces, too (mount_namespaces(7)).
    pub(crate) shared: bool,
    /// What was mounted. It is compared with names that became text in the same way, so that a byte that is none of UTF-8 never
    /// makes two of one.
    pub(crate) source: String,
}

/// Reads the table of this process.
pub(crate) fn mounts() -> io::Result<Vec<Mount>> {
    mounts_of(Path::new("/proc/self/mountinfo"))
}

/// Reads the table of another process, or a stand-in.
///
/// # Errors
/// It cannot be read, or a line of it makes no sense: what that one mounts might be what is looked for.
pub(crate) fn mounts_of(path: &Path) -> io::Result<Vec<Mount>> {
    parse(&std::fs::read(path)?).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it makes no sense"))
}

fn parse(text: &[u8]) -> Option<Vec<Mount>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    // Between the options and the dash stand any number of optional fields; kernel 2.6.26 and later.
    let dash = line.windows(3).position(|window| window == b" - ")?;
    let mut left = line[..dash].split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(left.next()?).ok();
    let id = number()?.parse().ok()?;
    let parent = number()?.parse().ok()?;
    let device = device::parse(number()?)?;
    let mountpoint = path(left.nth(1)?);
    let mut options = left.next()?.split(|byte| *byte == b',');
    let mut right = line[dash + 3..].split(|byte| *byte == b' ');
    Some(Mount {
        id,
        parent,
        device,
        mountpoint,
        nosuid: options.any(|option| option == b"nosuid"),
        shared: left.any(|field| field.starts_with(b"shared:")),
        fs: String::from_utf8_lossy(right.next()?).into_owned(),
        source: String::from_utf8_lossy(&unescape(right.next().unwrap_or_default())).into_owned(),
    })
}

/// Undoes the kernel's `mangle()`: blank, tab, newline and backslash are written as `\` and three octal digits.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
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
    out
}

/// A path as the kernel wrote it into one of its tables.
pub(crate) fn path(text: &[u8]) -> PathBuf {
    OsString::from_vec(unescape(text)).into()
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

/// File systems of a server, which may be asleep for good. A program of this box serves what is `fuse` and `fuseblk`, with the name
/// of its kind behind a dot.
pub(crate) fn is_remote(fs: &str) -> bool {
    let kind = fs.split_once('.').map_or(fs, |(kind, _)| kind);
    matches!(
        kind,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "ceph" | "fuse" | "fuseblk"
    )
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
    is_in_ram(Path::new("/")) && Path::new(HANDOFF).exists()
}

/// Whether what is put there is in RAM alone: on a tmpfs or ramfs.
#[must_use]
pub fn is_in_ram(path: &Path) -> bool {
    // Magic numbers of `include/uapi/linux/magic.h`; the width of the field differs between libcs.
    statfs(path).is_ok_and(|fs| matches!(fs.filesystem_type().0 as u32, 0x0102_1994 | 0x8584_58f6))
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

/// The directories on which something is mounted that is shared with other namespaces.
pub(crate) fn shared(table: &[Mount]) -> Vec<PathBuf> {
    let shared = table.iter().filter(|mount| mount.shared);
    shared.map(|mount| mount.mountpoint.clone()).collect()
}

/// Has these mounts shared with namespaces that are made from now on. Those that are there no longer follow.
pub(crate) fn share_again(shared: &[PathBuf]) -> Vec<String> {
    let share = |path: &PathBuf| {
        let done = mount(None::<&str>, path, None::<&str>, MsFlags::MS_SHARED, None::<&str>);
        let error = io::Error::from(done.err()?);
        Some(format!("share {} again: {error}", shown(path)))
    };
    shared.iter().filter_map(share).collect()
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

/// [`unmount`], given up after [`PATIENCE`].
pub(crate) fn unmount_patiently(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    bounded::within(PATIENCE, Box::new(move || unmount(&path)))
}

/// Takes a mount out of the tree at once; it ends with the last file of it that is open. Only for what is ours.
pub(crate) fn unmount_lazily(path: &Path) -> io::Result<()> {
    umount2(path, MntFlags::MNT_DETACH)?;
    Ok(())
}

/// Makes a tmpfs writable again that `umount -a -r` of an old inittab has made read-only. Its size option stays.
pub(crate) fn make_writable(path: &Path) -> io::Result<()> {
    if statvfs(path)?.flags().contains(FsFlags::ST_RDONLY) {
        mount(None::<&str>, path, None::<&str>, MsFlags::MS_REMOUNT, None::<&str>)?;
    }
    Ok(())
}

/// Reads a table.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &[u8]) {
    let Some(table) = parse(text) else {
        return;
    };
    assert!(table.len() <= text.len());
    for mount in &table {
        assert!(is_mountpoint(&table, &mount.mountpoint));
        let _ = mount_of(&table, &mount.mountpoint.join("x"));
    }
    let _ = find_ram_root(&table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    /// From a QNAP-like box under QEMU, kernel 6.1, plus a path with a blank and an optional field.
    const BOX: &str = "\
14 1 31:2 / / ro,relatime - squashfs /dev/root ro,errors=continue
15 14 0:5 / /dev rw,relatime - devtmpfs devtmpfs rw,size=59324k
16 14 0:13 / /proc rw,relatime shared:5 master:1 - proc proc rw
17 14 0:15 / /run rw,relatime - tmpfs tmpfs rw
18 17 31:4 / /mnt/my\\040disk rw,relatime - jffs2 mtd:config rw
19 17 0:16 / /run/flasher rw,relatime - tmpfs flasher rw,mode=700
";

    #[test]
    fn fields_are_found_on_both_sides_of_the_dash() {
        let table = parse(BOX.as_bytes()).expect("parsed");
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
        let table = parse(BOX.as_bytes()).expect("parsed");
        let id = |path: &str| mount_of(&table, Path::new(path)).map(|mount| mount.id);
        assert_eq!(id("/mnt/my disk/x"), Some(18));
        assert_eq!(id("/mnt/my"), Some(14));
        assert_eq!(id("/run/flasher"), Some(19));
        assert_eq!(id("relative"), None);
    }

    /// Whatever is mounted wherever, each line is one mount, and its directory is the bytes that it is made of.
    #[test]
    fn odd_tables_are_read_as_they_are() {
        let text = b"\
14 1 0:14 / / rw,noatime - overlay overlayfs:/overlay rw,lowerdir=/,upperdir=/overlay/upper\n\
17 14 0:5 / /mnt/a\\040b\\134c\\012d rw shared:3 master:1 propagate_from:2 unbindable - tmpfs  rw\n\
18 14 0:22 / /mnt/usb\\043x rw - fuse.sshfs user@host:/x\\040-\\040y rw,user_id=0\n\
19 14 0:23 / /mnt/-\\040-\\040x rw - fuseblk - rw\n\
20 14 8:1 /sub/vol//deleted /mnt/deleted rw - ext4 /dev/sda1 rw\n\
21 14 31:5 / /mnt/M\xfcller rw - jffs2 mtd:M\xfcller rw\n\
22 14 0:24 / /mnt/end\r rw - tmpfs none rw\r\n";
        let table = parse(text).expect("parsed");
        let points: Vec<_> = table
            .iter()
            .map(|mount| mount.mountpoint.as_os_str().as_bytes())
            .collect();
        let wanted: [&[u8]; 7] = [
            b"/",
            b"/mnt/a b\\c\nd",
            b"/mnt/usb#x",
            b"/mnt/- - x",
            b"/mnt/deleted",
            b"/mnt/M\xfcller",
            b"/mnt/end\r",
        ];
        assert_eq!(points, wanted);
        assert_eq!((table[1].fs.as_str(), table[1].source.as_str()), ("tmpfs", ""));
        assert_eq!(table[2].source, "user@host:/x - y");
        assert_eq!(table[3].source, "-");
        // What was mounted is compared as the names of partitions are.
        assert_eq!(table[5].source, String::from_utf8_lossy(b"mtd:M\xfcller"));
    }

    #[test]
    fn what_programs_and_other_machines_serve_is_remote() {
        for fs in [
            "nfs",
            "nfs4",
            "cifs",
            "9p",
            "fuse",
            "fuse.sshfs",
            "fuseblk",
            "fuseblk.exfat",
        ] {
            assert!(is_remote(fs), "{fs}");
        }
        for fs in [
            "ext4", "jffs2", "ubifs", "squashfs", "tmpfs", "overlay", "fusectl", "nfsd", "vfat",
        ] {
            assert!(!is_remote(fs), "{fs}");
        }
    }

    #[test]
    fn escapes_are_undone_and_stray_backslashes_stay() {
        assert_eq!(unescape(b"a\\011b\\134c"), b"a\tb\\c");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999"), b"\\999");
        assert_eq!(unescape(b"M\xfcller\\040\\377"), b"M\xfcller \xff");
    }

    #[test]
    fn the_own_table_can_be_read() {
        assert!(is_mountpoint(&mounts().expect("readable"), Path::new("/")));
    }

    /// What is mounted by a line that is not understood is not known.
    #[test]
    fn a_line_that_makes_no_sense_is_not_passed_over() {
        for line in [
            "nonsense",
            "20 x 0:1 / / rw - a b",
            "14 1 0:2 / / rw tmpfs tmpfs rw",
            "14 1 / / rw - tmpfs tmpfs rw",
            "x",
        ] {
            assert_eq!(parse(format!("{BOX}{line}\n").as_bytes()), None, "{line}");
        }
        assert_eq!(parse(b""), Some(Vec::new()));
    }
}
