//! PCs with Debian's own kernels, of 64 and of 32 bits, and with a script as PID 1, which executes nothing by itself. It is made to
//! by ptrace, and the firmware is replaced. The flash is RAM that the kernel is kept out of, and is read from outside at the end.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::tools::{self, command, patience, run, scratch, text, write};
use crate::lab::Console;

/// Bytes of the flash, and where it lies in the memory of the box.
const FLASH: usize = 4 << 20;
const PLACE: u64 = 0xc00_0000;

/// Makes the flash, and goes over to a root that can be left.
const FIRST: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc none /proc; $b mount -t sysfs none /sys; $b mount -t devtmpfs none /dev
$b insmod /binfmt_misc.ko; $b insmod /mtd.ko; $b insmod /phram.ko phram=flash,0xc000000,0x400000,0x10000
echo flasher,0xc400000,0x10000,0x10000 >/sys/module/phram/parameters/phram
$b mkdir /new; $b mount -t tmpfs none /new
for d in bin dev proc sys tmp run; do $b mkdir /new/$d; done
$b cp /bin/* /new/bin/; $b cp /image.bin /new/tmp/
for name in sh mount sleep poweroff; do $b ln -s busybox /new/bin/$name; done
for d in proc sys dev; do $b mount --move /$d /new/$d; done
exec $b switch_root /new /bin/rc
"#;

/// PID 1 of the box. A service has the flash open, so that it cannot be written in place. The kernel has an interpreter of the old
/// root open, and a task is frozen that not even SIGKILL ends.
const RC: &str = r#"#!/bin/sh
mount -t tmpfs none /run
busybox mkdir /tmp/formats /tmp/groups
mount -t binfmt_misc none /tmp/formats
echo ':lab:M::LABX::/bin/busybox:F' >/tmp/formats/register && busybox umount /tmp/formats || poweroff -f
mount -t cgroup -o freezer none /tmp/groups && busybox mkdir /tmp/groups/frozen || poweroff -f
sleep 20000 &
echo $! >/tmp/groups/frozen/cgroup.procs && echo FROZEN >/tmp/groups/frozen/freezer.state || poweroff -f
sleep 10000 </dev/mtd0 &
(
    flasher plan -v flash=/tmp/image.bin && flasher apply -y flash=/tmp/image.bin || poweroff -f
) </dev/null &
while :; do sleep 1; done
"#;

/// A box with the kernel and the userland of these of Debian's architectures, taken over by this product.
fn tell(kernel: &str, userland: &str, product: &str) {
    let (dir, image) = (scratch(), tools::noise(FLASH, 1));
    let (root, initrd, memory) = (
        dir.path().join("root"),
        dir.path().join("initrd"),
        dir.path().join("memory"),
    );
    let (kernel, userland) = (tools::debian_kernel(kernel), tools::debian_kernel(userland));
    for directory in ["dev", "proc", "sys"] {
        std::fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    let product = tools::product(product);
    let files = [
        ("binfmt_misc.ko", found(&kernel, "binfmt_misc.ko")),
        ("mtd.ko", found(&kernel, "mtd.ko")),
        ("phram.ko", found(&kernel, "phram.ko")),
        ("bin/busybox", userland.join("bin/busybox")),
        ("bin/flasher", product),
    ];
    for (name, from) in files {
        write(&root.join(name), &tools::read(&from));
    }
    for (name, content) in [
        ("init", FIRST.as_bytes()),
        ("bin/rc", RC.as_bytes()),
        ("image.bin", &image),
    ] {
        write(&root.join(name), content);
    }
    run(command("chmod").args(["-R", "755", text(&root)]));
    tools::pack_initramfs(&root, &initrd);

    let mut qemu = command("qemu-system-x86_64")
        .args([
            "-accel",
            "tcg",
            "-m",
            "256M",
            "-nodefaults",
            "-nographic",
            "-no-reboot",
            "-serial",
            "stdio",
        ])
        .args(["-M", "pc,memory-backend=ram", "-object"])
        .arg(format!(
            "memory-backend-file,id=ram,size=256M,share=on,mem-path={}",
            text(&memory)
        ))
        .args([
            "-kernel",
            text(&found(&kernel, "vmlinuz-*")),
            "-initrd",
            text(&initrd),
            "-append",
        ])
        .arg(format!(
            "console=ttyS0 quiet panic=-1 mitigations=off memmap=8M${PLACE:#x}"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu-system-x86_64 starts");
    let mut console = Console::default();
    console.connect(qemu.stdin.take().expect("a pipe"), qemu.stdout.take().expect("a pipe"));
    for words in [
        "can be taken over (way: ptrace)",
        "flasher is PID 1",
        "the old root is unmounted and proved gone",
        "written and verified",
    ] {
        if let Err(missing) = console.expect(words, patience(120)) {
            let _ = qemu.kill();
            panic!("{missing}\nall of it:\n{}", console.transcript());
        }
    }
    let status = qemu.wait().expect("it ends");
    assert!(status.success(), "{status}: {}", console.transcript());
    let mut flash = vec![0; FLASH];
    let mut memory = std::fs::File::open(&memory).expect("the box's memory");
    memory.seek(SeekFrom::Start(PLACE)).expect("its flash");
    memory.read_exact(&mut flash).expect("its flash");
    assert!(flash == image, "another flash than the image");
}

/// The one file of this name below a directory.
fn found(below: &Path, name: &str) -> PathBuf {
    let found = run(command("find").args([text(below), "-name", name])).stdout;
    let found = String::from_utf8(found).expect("paths of the lab are plain");
    assert_eq!(found.lines().count(), 1, "{name}: {found}");
    PathBuf::from(found.trim())
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn x86_64() {
    tell("amd64", "amd64", "x86_64");
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn i586() {
    tell("i386", "i386", "i586");
}

/// All but the kernel has 32 bits.
#[test]
#[ignore = "needs the lab: tests/run"]
fn i586_on_64_bits() {
    tell("amd64", "i386", "i586");
}
