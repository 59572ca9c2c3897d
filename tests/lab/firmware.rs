//! Firmware for the boxes: packed from what `tests/lab/build` made, and put into flash files and images.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::kind::Kind;
use super::tools::{command, pack_initramfs, read, repository, run, scratch, text, write};

/// A firmware to be packed. Its letter is what it says about itself on the console.
pub struct Firmware {
    kind: Kind,
    letter: char,
    restart: &'static str,
    programs: Vec<(&'static str, PathBuf)>,
    files: Vec<(String, Vec<u8>)>,
}

/// A packed firmware.
pub struct Parts {
    pub kind: Kind,
    /// A uImage, for the partition `kernel`.
    pub kernel: Vec<u8>,
    /// A squashfs, for the partition `rootfs`.
    pub rootfs: Vec<u8>,
}

impl Firmware {
    pub fn new(kind: Kind, letter: char) -> Self {
        Firmware {
            kind,
            letter,
            restart: "/sbin/init",
            programs: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Puts a program of the workstation into the firmware.
    pub fn program(mut self, path: &'static str, from: PathBuf) -> Self {
        self.programs.push((path, from));
        self
    }

    /// Puts an executable file with this content into the firmware.
    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        self.files.push((path.to_owned(), content.to_vec()));
        self
    }

    /// What init becomes on SIGQUIT, in place of itself.
    pub fn restart(mut self, program: &'static str) -> Self {
        self.restart = program;
        self
    }

    pub fn pack(&self) -> Parts {
        let made = made(self.kind);
        let dir = scratch();
        Parts {
            kind: self.kind,
            kernel: self.pack_kernel(&made.join("kernel"), dir.path()),
            rootfs: self.pack_rootfs(dir.path()),
        }
    }

    fn pack_kernel(&self, kernel: &Path, dir: &Path) -> Vec<u8> {
        let payload = dir.join("payload");
        let uimage = dir.join("uImage");
        let (compression, mut content) = match self.kind {
            // A zImage unpacks itself. Nothing reads what follows its device tree, so each letter gets an end of its own.
            Kind::Armel | Kind::ArmelSmall => ("none", read(kernel)),
            // lzma, as the routers have it. Another number of context bits makes other bytes throughout.
            Kind::Mips | Kind::Mipsel => {
                let options = if self.letter == 'A' {
                    "preset=3,lc=3"
                } else {
                    "preset=3,lc=2"
                };
                let mut xz = command("xz");
                xz.args(["--format=lzma", &format!("--lzma1={options}"), "-c", text(kernel)]);
                ("lzma", run(&mut xz).stdout)
            }
        };
        if self.kind.is_arm() {
            content.extend(std::iter::repeat_n(self.letter as u8, 64 * 1024));
        }
        write(&payload, &content);
        run(command("mkimage")
            .args([
                "-A",
                self.kind.mkimage_arch(),
                "-O",
                "linux",
                "-T",
                "kernel",
                "-C",
                compression,
            ])
            .args(["-a", "0x8000", "-e", "0x8000", "-n", &format!("lab {}", self.letter)])
            .args(["-d", text(&payload), text(&uimage)]));
        read(&uimage)
    }

    /// The files of its root, in a directory that is made.
    pub fn tree(&self, root: &Path) {
        run(command("cp").args(["-a", text(&made(self.kind).join("root")), text(root)]));
        let inittab = root.join("etc/inittab");
        let lines = String::from_utf8_lossy(&read(&inittab))
            .replace("::restart:/sbin/init", &format!("::restart:{}", self.restart));
        write(&inittab, lines.as_bytes());
        write(&root.join("etc/hostname"), format!("box-{}\n", self.letter).as_bytes());
        write(
            &root.join("etc/firmware"),
            format!("{} 1.0-{}\n", self.letter, self.kind).as_bytes(),
        );
        // Something big that no two firmwares share, and of which none has the same length: whatever is packed after it
        // moves, so that most erase blocks differ.
        write(&root.join("bin/.bulk"), &noise(self.letter, self.kind.bulk()));
        let programs = self.programs.iter().map(|(path, from)| (*path, read(from)));
        let files = self.files.iter().map(|(path, content)| (&**path, content.clone()));
        for (path, content) in programs.chain(files) {
            let to = root.join(path.trim_start_matches('/'));
            write(&to, &content);
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755)).expect("a mode on a file of ours");
        }
    }

    /// The same root as an initramfs. A kernel mounts nothing in it, so its `/init` does what the kernel does elsewhere.
    pub fn initramfs(self) -> Vec<u8> {
        const INIT: &[u8] =
            b"#!/bin/sh\nmount -t devtmpfs devtmpfs /dev\nexec /sbin/init <dev/console >dev/console 2>&1\n";
        let dir = scratch();
        let (root, cpio) = (dir.path().join("root"), dir.path().join("cpio"));
        self.file("init", INIT).tree(&root);
        pack_initramfs(&root, &cpio);
        read(&cpio)
    }

    fn pack_rootfs(&self, dir: &Path) -> Vec<u8> {
        let root = dir.join("root");
        let squashfs = dir.join("rootfs.squashfs");
        self.tree(&root);
        run(command("mksquashfs")
            .args([
                text(&root),
                text(&squashfs),
                "-comp",
                "xz",
                "-all-root",
                "-noappend",
                "-no-progress",
            ])
            // The flash of the MIPS boxes is small, and long blocks pack better.
            .args(["-b", if self.kind.is_arm() { "128K" } else { "1M" }])
            .args(["-mkfs-time", "0", "-all-time", "0"]));
        read(&squashfs)
    }
}

impl Parts {
    /// Firmware A or B without anything added. Packing takes a while, so all stories of a run share them.
    pub fn plain(kind: Kind, letter: char) -> &'static Parts {
        static PLAIN: [[OnceLock<Parts>; 2]; Kind::COUNT] = [const { [const { OnceLock::new() }; 2] }; Kind::COUNT];
        PLAIN[kind as usize][usize::from(letter != 'A')].get_or_init(|| Firmware::new(kind, letter).pack())
    }

    /// The image for `--part kernel,rootfs`: the uImage, filled up to the size of its partition, then the squashfs.
    pub fn image(&self) -> Vec<u8> {
        let mut image = self.kernel.clone();
        let size = self.kind.partition("kernel").size;
        assert!(
            image.len() <= size,
            "the uImage has {} bytes, its partition {size}",
            image.len()
        );
        image.resize(size, 0xff);
        image.extend(&self.rootfs);
        image
    }

    /// A file system for the partition `config`, as long as that.
    pub fn config(&self, from: &Path) -> Vec<u8> {
        let mut config = jffs2(self.kind, from);
        config.resize(self.kind.partition("config").size, 0xff);
        config
    }

    /// A module of the kernel that a firmware does not load by itself.
    pub fn module(&self, name: &str) -> Vec<u8> {
        read(&made(self.kind).join(format!("modules/{name}.ko")))
    }

    /// A whole chip with this firmware on it, and with this directory as the content of `config`.
    pub fn flash(&self, config: &Path) -> Vec<u8> {
        let mut flash = vec![0xff; self.kind.flash_size()];
        for (name, content) in [
            // Nothing runs these two; they are there to be found unchanged.
            ("boot", b"boot loader ".repeat(2000)),
            ("spare", b"not to be touched ".repeat(2000)),
            ("kernel", self.kernel.clone()),
            ("rootfs", self.rootfs.clone()),
            ("config", jffs2(self.kind, config)),
        ] {
            let Some(partition) = self.kind.partitions().into_iter().find(|p| p.name == name) else {
                continue;
            };
            assert!(
                content.len() <= partition.size,
                "{name} of {} has {} bytes, its partition {}",
                self.kind,
                content.len(),
                partition.size,
            );
            flash[partition.offset..partition.offset + content.len()].copy_from_slice(&content);
        }
        flash
    }
}

/// A system that runs from a disk and uses nothing of the flash, as a boot loader's recovery does.
pub struct Rescue {
    pub kernel: PathBuf,
    pub disk: PathBuf,
    _dir: tempfile::TempDir,
}

impl Rescue {
    /// The programs of a firmware, with these files in its root, and a shell on the console.
    pub fn pack(kind: Kind, files: &[(&str, &[u8])]) -> Self {
        const INIT: &[u8] = b"#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sysfs /sys\n\
            mount -t tmpfs tmpfs /run\necho LAB-RESCUE\nexec /bin/sh -i\n";
        let files: Vec<_> = files.iter().copied().chain([("init", INIT)]).collect();
        Rescue::pack_with_init(kind, &files)
    }

    /// The programs of a firmware, with these files in its root, `init` among them.
    pub fn pack_with_init(kind: Kind, files: &[(&str, &[u8])]) -> Self {
        let dir = scratch();
        let (root, disk) = (dir.path().join("root"), dir.path().join("disk"));
        run(command("cp").args(["-a", text(&made(kind).join("root")), text(&root)]));
        for (name, content) in files {
            write(&root.join(name), content);
            std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(0o755))
                .expect("a mode on a file of ours");
        }
        run(command("mke2fs").args(["-q", "-t", "ext2", "-d", text(&root), text(&disk), "48M"]));
        Rescue {
            kernel: made(kind).join("kernel"),
            disk,
            _dir: dir,
        }
    }
}

/// The directory in which `tests/lab/build` put this kind of box. Builds it if need be.
pub fn made(kind: Kind) -> &'static Path {
    static MADE: [OnceLock<PathBuf>; Kind::COUNT] = [const { OnceLock::new() }; Kind::COUNT];
    MADE[kind as usize].get_or_init(|| {
        let output = Command::new(repository().join("tests/lab/build"))
            .args(["--where", kind.name()])
            .stderr(Stdio::inherit())
            .output()
            .expect("tests/lab/build");
        assert!(output.status.success(), "tests/lab/build {kind} failed");
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// About `length` bytes that do not compress.
fn noise(letter: char, length: usize) -> Vec<u8> {
    let mut state = u32::from(letter);
    let next = || {
        // George Marsaglia's xorshift32.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next)
        .take(length + 997 * letter as usize)
        .collect()
}

/// A jffs2 of this directory, padded to whole erase blocks.
pub fn jffs2(kind: Kind, from: &Path) -> Vec<u8> {
    let dir = scratch();
    let file = dir.path().join("jffs2");
    run(command("mkfs.jffs2")
        .arg(if kind.is_big_endian() {
            "--big-endian"
        } else {
            "--little-endian"
        })
        .args(["--squash-uids", "--pad", &format!("--eraseblock={}", kind.erase_size())])
        .args(["-r", text(from), "-o", text(&file)]));
    read(&file)
}
