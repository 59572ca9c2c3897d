//! Puts into the RAM root what PID 1 needs: this binary, device nodes, inittab, the hand-off.
#![forbid(unsafe_code)]

use crate::carry::can_be_carried;
use crate::device::{make_node, numbers};
use crate::error::{Context, Result};
use crate::files::identity_at;
use crate::handoff::HandOff;
use crate::inittab;
use crate::mounts::mounts;
use crate::ramroot::RamRoot;
use nix::sys::stat::SFlag;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// A node to make under `/dev` of the RAM root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNode {
    /// Its name, without `/dev/`.
    pub name: String,
    /// Whether it is a block device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl DeviceNode {
    /// The two character nodes of `mtdN`: `mtdN` and the read-only `mtdNro` (major 90, minors 2N and 2N+1).
    #[must_use]
    pub fn mtd(index: u32) -> [Self; 2] {
        let node = |name, minor| Self {
            name,
            block: false,
            major: mtd_rs::MTD_CHAR_MAJOR,
            minor,
        };
        [
            node(format!("mtd{index}"), 2 * index),
            node(format!("mtd{index}ro"), 2 * index + 1),
        ]
    }

    /// The node of a device that has one directly in `/dev`, such as `/dev/sda1`. Its numbers are those of the node that is there:
    /// every driver has its own.
    #[must_use]
    pub fn like(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/dev/").filter(|name| !name.contains('/'))?;
        let about = fs::metadata(path).ok()?;
        let kind = about.file_type();
        let (major, minor) = numbers(about.rdev());
        (kind.is_block_device() || kind.is_char_device()).then(|| Self {
            name: name.to_owned(),
            block: kind.is_block_device(),
            major,
            minor,
        })
    }
}

/// What the caller puts into the RAM root.
#[derive(Clone, Copy, Debug)]
pub struct Populate<'a> {
    /// The record for PID 1.
    pub handoff: &'a HandOff,
    /// Nodes beside the standard ones, such as [`DeviceNode::mtd`] of each target. They matter on boxes whose
    /// `/dev` is on flash and cannot be carried over.
    pub device_nodes: &'a [DeviceNode],
    /// A static busybox for the rescue shell.
    pub rescue_shell: Option<&'a Path>,
}

/// A RAM root with all that PID 1 needs in it.
#[derive(Debug)]
pub struct Populated {
    root: RamRoot,
}

impl Populated {
    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn into_root(self) -> RamRoot {
        self.root
    }
}

/// Name, major, minor of the character nodes every system needs (`Documentation/admin-guide/devices.txt`). std aborts
/// without `/dev/null`, and old kernels give random bytes by `/dev/urandom` alone.
const STANDARD: [(&str, u32, u32); 9] = [
    ("console", 5, 1),
    ("null", 1, 3),
    ("zero", 1, 5),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("kmsg", 1, 11),
    ("tty", 5, 0),
    ("ttyS0", 4, 64),
    ("watchdog", 10, 130),
];

/// sysvinit has its FIFO in `/run`, and systemd looks at `/run/systemd` before it re-executes.
const DIRECTORIES: [&str; 8] = ["bin", "dev", "etc", "oldroot", "proc", "run/systemd", "sys", "tmp"];

/// What init executes when it starts anew. Up to 1.18 busybox init may run its old restart action, `/sbin/init`, whatever the
/// new inittab says (measured), and sysvinit was started by that path. systemd has its own built in, before and after
/// the merge of `/usr`, and stops for ever where it is missing (measured with 252).
const INITS: [&str; 3] = ["sbin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd"];

impl RamRoot {
    /// Fills it. On an error it is unmounted again.
    ///
    /// # Errors
    /// The file or node that could not be made, and why; usually ENOSPC or EPERM.
    pub fn populate(self, content: &Populate<'_>) -> Result<Populated> {
        let root = self.path();
        for name in DIRECTORIES {
            let path = root.join(name);
            fs::create_dir_all(&path).context(|| format!("make {}", path.display()))?;
        }
        install(Path::new("/proc/self/exe"), &root.join("flasher"))?;
        for init in INITS {
            also_at(root, init)?;
        }
        for (name, major, minor) in STANDARD {
            node(
                root,
                &DeviceNode {
                    name: name.to_owned(),
                    block: false,
                    major,
                    minor,
                },
            )?;
        }
        for wanted in content.device_nodes {
            node(root, wanted)?;
        }
        let inittab = inittab::rewrite(old_inittab()?.as_deref(), console_opens(root));
        write(&root.join("etc/inittab"), &inittab)?;
        if let Some(busybox) = content.rescue_shell {
            install(busybox, &root.join("bin/busybox"))?;
            symlink("busybox", root.join("bin/sh")).context(|| "link bin/sh".to_owned())?;
            link_programs(busybox, &root.join("bin"));
            // Without it the whole name has to be typed.
            let _ = symlink("/flasher", root.join("bin/flasher"));
        }
        content.handoff.store(root)?;
        Ok(Populated { root: self })
    }
}

/// Gives busybox the names that it has in the running system, so that a program need not be called by `busybox NAME`. Not
/// every busybox can tell its own (`--list`, `--install`).
fn link_programs(busybox: &Path, bin: &Path) {
    let ours = identity_at(busybox);
    for directory in ["/bin", "/sbin", "/usr/bin", "/usr/sbin"] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if ours.is_some() && identity_at(entry.path()) == ours {
                // Its own name is there already.
                let _ = symlink("busybox", bin.join(entry.file_name()));
            }
        }
    }
}

/// Whether init will be able to open `/dev/console` of the RAM root, whichever that will be. As init does it, without
/// waiting for a modem.
fn console_opens(root: &Path) -> bool {
    let carried = mounts().is_ok_and(|table| can_be_carried(&table, Path::new("/dev")));
    let dev = if carried { Path::new("/") } else { root };
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK)
        .open(dev.join("dev/console"))
        .is_ok()
}

/// The inittab in use. That there is none is no error: init has a default.
fn old_inittab() -> Result<Option<Vec<u8>>> {
    match fs::read("/etc/inittab") {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(|| "read /etc/inittab".to_owned()),
    }
}

/// Lies at this path of the RAM root, too, for an init that executes it. What is there already stays; what is no path of its own
/// kind is left out.
pub(crate) fn also_at(root: &Path, path: &str) -> Result<()> {
    let inside = path.trim_start_matches('/');
    let plain = Path::new(inside)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let to = root.join(inside);
    if inside.is_empty() || !plain || to.exists() {
        return Ok(());
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).context(|| format!("make {}", directory.display()))?;
    }
    link(&root.join("flasher"), &to)
}

/// A new file that nobody but root can read.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .context(|| format!("write {}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).context(|| format!("write {}", path.display()))
}

fn install(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).context(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).context(|| format!("make {} executable", to.display()))
}

/// A hard link, so that it is one binary in RAM and has one inode: PID 1 knows itself by it.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to).context(|| format!("link {} to {}", from.display(), to.display()))
}

fn node(root: &Path, wanted: &DeviceNode) -> Result<()> {
    let path = root.join("dev").join(wanted.name.trim_start_matches('/'));
    let kind = if wanted.block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    match make_node(&path, kind, (wanted.major, wanted.minor)) {
        // The caller may list a standard node again.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.context(|| format!("make device node {}", path.display())),
    }
}
