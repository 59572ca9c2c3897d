//! A box that is this machine's own kernel under QEMU, for the demo: nothing is built for it. Its flash is RAM that the kernel is
//! kept out of (`drivers/mtd/devices/phram.c`), which is read from outside when the box has ended.

#![forbid(unsafe_code)]

use crate::base::elf;
use crate::base::error::{Context, Result};
use crate::base::quoted::one_line;
use crate::report::Reporter;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Bytes of the flash, and where it lies in the box's memory of 256 MiB.
pub const FLASH: usize = 4 << 20;
const PLACE: u64 = 0xc00_0000;
const MEMORY: &str = "256M";
const QEMU: &str = "qemu-system-x86_64";
const MODULES: [&str; 2] = ["mtd", "devices/phram"];
/// What of the console is shown begins behind it: firmware and kernel have their own words, and clear the screen.
const BEGINS: &str = "the emulated box has started";
/// What the box says of a kernel that makes none of its RAM.
const NO_FLASH: &str = "the kernel has no flash in its RAM";
/// A box that says nothing for so long is switched off, and so is one that talks three times as long without having started. It
/// starts within seconds.
const SILENCE: Duration = Duration::from_secs(300);

/// Loads what makes the flash, and goes over to a root that can be left.
const FIRST: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc none /proc; $b mount -t sysfs none /sys; $b mount -t devtmpfs none /dev
$b insmod /mtd.ko; $b insmod /phram.ko phram=flash,PLACE,0x400000,0x10000
echo flasher,RECORD,0x10000,0x10000 >/sys/module/phram/parameters/phram
$b mkdir /new; $b mount -t tmpfs none /new
for d in bin dev proc sys etc tmp run; do $b mkdir /new/$d; done
$b cp /bin/* /new/bin/; $b cp /etc/* /new/etc/; $b cp /image.bin /new/tmp/
for name in sh init mount sleep reboot poweroff; do $b ln -s busybox /new/bin/$name; done
for d in proc sys dev; do $b mount --move /$d /new/$d; done
exec $b switch_root /new /bin/init
"#;
const INITTAB: &str = "::sysinit:/bin/sh /etc/rc\n::once:/bin/sh /etc/story\n::ctrlaltdel:/bin/reboot\n";
/// A service has the flash open, so that nothing can be written in place.
const SERVICES: &str = "mount -t tmpfs none /run\nsleep 10000 </dev/mtd0 &\n(sleep 300; poweroff -f) &\n";
const STORY: &str = r#"exec </dev/console >/dev/console 2>&1
export TERM=dumb
[ -c /dev/mtd0 ] || { echo "NO_FLASH"; exec poweroff -f; }
echo BEGINS
for words in devices "apply -y flash=/tmp/image.bin"; do
    echo
    echo "box# flasher $words"
    flasher $words || poweroff -f
done
"#;

/// How a box ended.
#[derive(Debug)]
pub enum Ended {
    /// Its flash holds the image.
    Updated,
    /// Its flash holds something else.
    Otherwise,
    /// It started flasher, and then said nothing more for so long.
    Silent(Duration),
    /// It did not come as far as to start flasher, which says something of the kernel or of QEMU only.
    NeverBegan {
        /// Its last words.
        last: String,
        /// What to do to see it all the same.
        next: String,
    },
}

/// What such a box is made of.
#[derive(Debug)]
pub struct Parts {
    qemu: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    modules: Vec<PathBuf>,
    busybox: PathBuf,
    flasher: PathBuf,
    silence: Duration,
}

impl Parts {
    /// Those of a machine with this root; `flashers` are binaries that may do for the box.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn find(root: &Path, flashers: &[PathBuf]) -> std::result::Result<Parts, String> {
        let there = |place: &Path| place.is_file();
        let qemu = ["usr/bin", "usr/local/bin"]
            .map(|bin| root.join(bin).join(QEMU))
            .into_iter()
            .find(|file| there(file))
            .ok_or_else(|| format!("{QEMU} (Debian: qemu-system-x86)"))?;
        let is_static = |file: &PathBuf| elf::is_static(file).unwrap_or(false);
        let flasher = flashers.iter().find(|file| is_static(file));
        let flasher = flasher.ok_or("a static flasher for x86_64 (cross/build x86_64)")?;
        let busybox = ["bin", "usr/bin"].map(|bin| root.join(bin).join("busybox"));
        let busybox = busybox
            .into_iter()
            .find(is_static)
            .ok_or("a static busybox (Debian: busybox-static)")?;
        let mut kernels = Vec::new();
        for entry in fs::read_dir(root.join("boot")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(version) = name.strip_prefix("vmlinuz-") else {
                continue;
            };
            let mtd = root.join("lib/modules").join(version).join("kernel/drivers/mtd");
            // busybox unpacks these by itself.
            let module = |name: &&str| {
                ["ko", "ko.xz", "ko.gz"]
                    .map(|end| mtd.join(format!("{name}.{end}")))
                    .into_iter()
                    .find(|file| there(file))
            };
            let modules: Vec<_> = MODULES.iter().filter_map(module).collect();
            if modules.len() == MODULES.len() && File::open(entry.path()).is_ok() {
                kernels.push((entry.path(), modules));
            }
        }
        kernels.sort();
        let (kernel, modules) = kernels
            .pop()
            .ok_or("a kernel in /boot that may be read, with the modules mtd and phram")?;
        Ok(Parts {
            qemu,
            kernel,
            modules,
            busybox,
            flasher: flasher.clone(),
            silence: SILENCE,
        })
    }

    /// Everything that the kernel finds in its first root.
    fn first_root(&self, image: &[u8]) -> Result<Vec<u8>> {
        let mut archive = Vec::new();
        for directory in ["bin", "dev", "proc", "sys", "etc"] {
            archive.extend(member(directory, 0o040_755, b""));
        }
        let first = FIRST
            .replace("PLACE", &format!("{PLACE:#x}"))
            .replace("RECORD", &format!("{:#x}", PLACE + FLASH as u64));
        archive.extend(member("init", 0o100_755, first.as_bytes()));
        for (name, text) in [
            ("etc/inittab", INITTAB),
            ("etc/rc", SERVICES),
            (
                "etc/story",
                &STORY.replace("BEGINS", BEGINS).replace("NO_FLASH", NO_FLASH),
            ),
        ] {
            archive.extend(member(name, 0o100_644, text.as_bytes()));
        }
        archive.extend(member("image.bin", 0o100_644, image));
        let named = ["mtd.ko", "phram.ko"].into_iter().zip(&self.modules);
        for (name, file) in named.chain([("bin/busybox", &self.busybox), ("bin/flasher", &self.flasher)]) {
            archive.extend(member(name, 0o100_755, &fs::read(file).context(file.display())?));
        }
        archive.extend(member("TRAILER!!!", 0, b""));
        Ok(archive)
    }

    /// Starts the box, which takes this image of [`FLASH`] bytes by itself, and shows its console. `dir` is for files that may go
    /// then.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn show(&self, dir: &Path, image: &[u8], reporter: &mut Reporter) -> Result<Ended> {
        let (root, memory) = (dir.join("first-root"), dir.join("memory"));
        fs::write(&root, self.first_root(image)?).context(root.display())?;
        let errors = dir.join("qemu-errors");
        let mut qemu = self.command(&root, &memory);
        qemu.stderr(File::create(&errors).context(errors.display())?);
        let mut qemu = match qemu.spawn() {
            Ok(qemu) => qemu,
            Err(error) => {
                return Ok(Ended::NeverBegan {
                    last: format!("{}: {error}", self.qemu.display()),
                    next: format!("{} --version has to work; install QEMU anew", self.qemu.display()),
                });
            }
        };
        let console = qemu.stdout.take().map(lines);
        let heard = console.map_or_else(Heard::default, |console| watch(&console, self.silence, reporter));
        // It has ended, or says nothing any more.
        let _ = qemu.kill();
        qemu.wait().context(self.qemu.display())?;
        match heard {
            Heard {
                begun: true,
                silent: true,
                ..
            } => return Ok(Ended::Silent(self.silence)),
            Heard { begun: true, .. } => (),
            Heard { silent, last, .. } => {
                let said = fs::read_to_string(&errors).unwrap_or_default();
                let last = [last.as_str(), said.trim()].into_iter().find(|text| !text.is_empty());
                let last = last.unwrap_or("it said nothing").to_owned();
                let waited = format!("; it was waited for {} s", self.silence.as_secs());
                return Ok(Ended::NeverBegan {
                    last: [last.as_str(), if silent { &waited } else { "" }].concat(),
                    next: format!(
                        "try another kernel than {}, such as that of linux-image-amd64, which has the modules mtd \
                         and phram",
                        self.kernel.display()
                    ),
                });
            }
        }
        let mut flash = vec![0; FLASH];
        let mut memory = File::open(&memory).context(memory.display())?;
        memory.seek(SeekFrom::Start(PLACE)).context(QEMU)?;
        memory.read_exact(&mut flash).context(QEMU)?;
        Ok(match flash == image {
            true => Ended::Updated,
            false => Ended::Otherwise,
        })
    }

    /// QEMU with this first root, and its RAM in this file.
    fn command(&self, root: &Path, memory: &Path) -> Command {
        let mut qemu = Command::new(&self.qemu);
        qemu.args([
            "-accel",
            "tcg",
            "-m",
            MEMORY,
            "-nodefaults",
            "-nographic",
            "-serial",
            "stdio",
        ])
        .args(["-no-reboot", "-M", "pc,memory-backend=ram", "-object"])
        .arg(format!(
            "memory-backend-file,id=ram,size={MEMORY},share=on,mem-path={}",
            memory.display()
        ))
        .args([Path::new("-kernel"), &self.kernel, Path::new("-initrd"), root])
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet panic=-1 mitigations=off memmap=8M${PLACE:#x}"
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
        qemu
    }
}

/// Lines of the console, as they come.
fn lines(console: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(|line| line.ok()) {
            let line = String::from_utf8_lossy(&line);
            // Of a line that was rewritten, what it ended as.
            let line = line.trim_end().rsplit(['\r', '\u{1b}']).next().unwrap_or_default();
            if sender.send(line.trim_start_matches("[K").to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What came of listening to a box.
#[derive(Default)]
struct Heard {
    /// It started flasher.
    begun: bool,
    /// It had not ended when nobody listened any more.
    silent: bool,
    /// Its last words that say something.
    last: String,
}

/// Shows what the box says from where flasher is started, until it ends or is silent.
fn watch(console: &Receiver<String>, silence: Duration, reporter: &mut Reporter) -> Heard {
    let mut heard = Heard::default();
    let until = Instant::now() + silence * 3;
    loop {
        let line = match console.recv_timeout(silence) {
            Ok(line) if heard.begun || Instant::now() < until => line,
            Err(RecvTimeoutError::Disconnected) => return heard,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {
                heard.silent = true;
                return heard;
            }
        };
        match heard.begun {
            true => reporter.line(&line),
            false => heard.begun = line.ends_with(BEGINS),
        }
        // Behind these come only registers and a trace, or that the power goes.
        let told = heard.last.contains("Kernel panic") || heard.last.ends_with(NO_FLASH);
        if !line.trim().is_empty() && !told {
            heard.last = one_line(line.trim());
        }
    }
}

/// A member of a cpio archive in the new format (`Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel).
pub fn member(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut text = format!("070701{:08x}{mode:08x}", 1);
    for number in [0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0] {
        text += &format!("{number:08x}");
    }
    let mut bytes = format!("{text}{name}\0").into_bytes();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::Global;

    #[test]
    fn what_the_emulated_box_is_made_of_is_found_or_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let put = |path: &str, bytes: &[u8]| {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), bytes).unwrap();
        };
        let busybox = fs::read("/bin/busybox").unwrap();
        let flashers = [root.join("no-flasher"), root.join("flasher")];
        let missing = || Parts::find(root, &flashers).unwrap_err();
        assert!(missing().contains("qemu-system-x86"));
        put("usr/bin/qemu-system-x86_64", b"");
        assert!(missing().contains("a static flasher"));
        put("no-flasher", b"#!/bin/sh\n");
        assert!(missing().contains("a static flasher"));
        put("flasher", &busybox);
        assert!(missing().contains("busybox-static"));
        put("bin/busybox", &busybox);
        put("boot/vmlinuz-6.1", b"kernel");
        put("lib/modules/6.1/kernel/drivers/mtd/mtd.ko.xz", b"mtd");
        assert!(missing().contains("mtd and phram"));
        put("lib/modules/6.1/kernel/drivers/mtd/devices/phram.ko", b"phram");
        // A newer one without modules does not do.
        put("boot/vmlinuz-6.2", b"kernel");
        let parts = Parts::find(root, &flashers).unwrap();
        assert_eq!(parts.kernel, root.join("boot/vmlinuz-6.1"));
        assert_eq!(parts.flasher, root.join("flasher"));

        // Its first root, as cpio reads it.
        put("image", &parts.first_root(b"an image").unwrap());
        let out = Command::new("busybox")
            .args(["cpio", "-i", "-d", "-F"])
            .arg(root.join("image"))
            .current_dir(root.join("lib"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        let read = |name: &str| fs::read(root.join("lib").join(name)).unwrap();
        assert_eq!(read("phram.ko"), b"phram");
        assert_eq!(read("bin/flasher"), busybox);
        assert_eq!(read("image.bin"), b"an image");
        let init = String::from_utf8(read("init")).unwrap();
        assert!(
            init.contains("phram=flash,0xc000000,0x400000,") && init.contains("echo flasher,0xc400000,"),
            "{init}"
        );
    }

    #[test]
    fn what_becomes_of_the_emulated_box_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("file"), b"anything").unwrap();
        // In place of QEMU, a script that finds the file of its memory. A shell writes it: a program that this process has open
        // for writing, or a child of another test, could not be started (ETXTBSY).
        let show = |script: &str| {
            let (qemu, work) = (root.join("qemu"), tempfile::tempdir().unwrap());
            let find = "for word; do case $word in memory-backend-file,*) memory=${word##*mem-path=};; esac; done";
            let wrote = Command::new("sh")
                .args([
                    "-c",
                    "rm -f \"$1\"; printf '#!/bin/sh\n%s\n' \"$2\" >\"$1\"; chmod +x \"$1\"",
                    "sh",
                ])
                .args([&qemu, Path::new(&format!("{find}\n{script}"))])
                .status();
            assert!(wrote.unwrap().success());
            let parts = Parts {
                qemu,
                kernel: root.join("file"),
                modules: vec![root.join("file"), root.join("file")],
                busybox: root.join("file"),
                flasher: root.join("file"),
                silence: Duration::from_secs(2),
            };
            let image = vec![0x5a; FLASH];
            parts
                .show(work.path(), &image, &mut Reporter::new(&Global::default()))
                .unwrap()
        };
        let never = |script: &str| match show(script) {
            Ended::NeverBegan { last, next } => {
                assert!(next.contains("linux-image-amd64"), "{next}");
                last
            }
            other => panic!("{script}: {other:?}"),
        };
        assert_eq!(
            never("echo '[ 1.0] Kernel panic - not syncing: VFS'; echo '[ 1.0] ---[ end trace'"),
            "[ 1.0] Kernel panic - not syncing: VFS"
        );
        assert_eq!(
            never(&format!("echo {NO_FLASH}; echo '[ 1.0] reboot: Power down'")),
            NO_FLASH
        );
        assert_eq!(never("echo no such accelerator >&2; exit 1"), "no such accelerator");
        assert_eq!(never("exit 0"), "it said nothing");
        let begins = format!("echo {BEGINS}; truncate -s {} $memory", PLACE + FLASH as u64);
        assert!(matches!(show(&begins), Ended::Otherwise));
        let flash = format!("tr '\\0' Z </dev/zero | head -c {FLASH}");
        let updated = format!("echo {BEGINS}; truncate -s {PLACE} $memory; {flash} >>$memory");
        assert!(matches!(show(&updated), Ended::Updated));
        // Those that do not end by themselves. The shell is replaced, so that the one that is ended has the console alone.
        let begun = Instant::now();
        assert_eq!(
            never("echo '[ 1.0] booting'; exec sleep 100"),
            "[ 1.0] booting; it was waited for 2 s"
        );
        assert_eq!(never("exec sleep 100"), "it said nothing; it was waited for 2 s");
        assert!(never("exec yes again").starts_with("again; "));
        let silent = show(&format!("echo {BEGINS}; exec sleep 100"));
        assert!(
            matches!(silent, Ended::Silent(waited) if waited.as_secs() == 2),
            "{silent:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_qemu_that_cannot_be_started_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"no program").unwrap();
        for qemu in [file.clone(), dir.path().join("missing"), dir.path().to_owned()] {
            let parts = Parts {
                qemu: qemu.clone(),
                kernel: file.clone(),
                modules: vec![file.clone(), file.clone()],
                busybox: file.clone(),
                flasher: file.clone(),
                silence: SILENCE,
            };
            let shown = parts.show(dir.path(), &[0; 16], &mut Reporter::new(&Global::default()));
            let Ended::NeverBegan { last, next } = shown.unwrap() else {
                panic!("{qemu:?}");
            };
            let name = qemu.display().to_string();
            assert!(last.starts_with(&name) && next.starts_with(&name), "{last} {next}");
        }
    }
}
