//! A box as OpenWrt makes them: `firmware` with kernel and root in it, a squashfs and behind it a JFFS2 that lies over it, procd as
//! process 1, which holds the watchdog. The owner replaces the firmware over ssh, and the box has its settings afterwards.
//!
//! Procd is a stand-in with the same behaviour on the bus (`stages/tests/inits/procd.c`). Of the kernel of OpenWrt two things are
//! done here in its place: partitions come from the command line where its splitter would make them, and what lies behind the mark
//! `0xdeadc0de` is erased before the box is switched on, where its JFFS2 would do that.

use super::tools::{command, patience, repository, run, scratch, text, write};
use super::*;
use crate::lab::modules;

on!(tell: mips = Mips);

const KIB: usize = 1024;
/// Kernel and root, up to the end of the chip.
const FIRMWARE: std::ops::Range<usize> = 128 * KIB..4096 * KIB;
const ROOT: usize = (128 + 1664) * KIB;
const MARK: [u8; 4] = [0xde, 0xad, 0xc0, 0xde];
/// Seconds after which the watchdog bites.
const TIMEOUT: u32 = 10;

/// What `mount_root` of fstools, `80_mount_root` and `done` do, and then procd.
const PREINIT: &[u8] = b"#!/bin/sh
mount -t proc proc /proc
sh /modules/load /modules
mount -t jffs2 mtd:rootfs_data /config || echo LAB-NO-OVERLAY
mkdir -p /config/upper /config/work
[ ! -f /config/sysupgrade.tgz ] || mv /config/sysupgrade.tgz /config/upper/
mount -t overlay -o lowerdir=/,upperdir=/config/upper,workdir=/config/work overlayfs:/overlay /mnt
mkdir -p /mnt/rom /mnt/overlay
mount --move /proc /mnt/proc
mount --move /dev /mnt/dev
mount --move /config /mnt/overlay
cd /mnt
pivot_root . rom
exec chroot . /sbin/start <dev/console >dev/console 2>&1
";
const START: &[u8] = b"#!/bin/sh
cd /
if [ -f /sysupgrade.tgz ]; then
	ls -ln /sysupgrade.tgz
	tar xzf /sysupgrade.tgz && rm -f /sysupgrade.tgz && echo LAB-SETTINGS
	sync
fi
sh /etc/init.d/rcS
exec /sbin/procd watchdog
";
/// The one service: ssh, and a shell on the console. The last line is what init of the other boxes says then.
const SERVICE: &[u8] = b"#!/bin/sh
/usr/sbin/dropbear -R 2>/run/dropbear.log
echo \"'/usr/sbin/dropbear -F -R 2>/run/dropbear.log'\"
exec /bin/sh -i
";

/// The stand-in, for the box.
fn procd(dir: &std::path::Path) -> std::path::PathBuf {
    let program = dir.join("procd");
    let source = repository().join("stages/tests/inits/procd.c");
    run(command("mips-linux-gnu-gcc")
        .args(["-std=gnu11", "-Os", "-static", "-s", "-o"])
        .args([text(&program), text(&source)]));
    program
}

fn firmware(kind: Kind, letter: char, procd: std::path::PathBuf) -> Parts {
    modules::files(kind, &["overlay"])
        .iter()
        .fold(Firmware::new(kind, letter), |firmware, (path, content)| {
            firmware.file(path, content)
        })
        .program("sbin/procd", procd)
        .file("preinit", PREINIT)
        .file("sbin/start", START)
        .file("etc/service", SERVICE)
        .file("etc/openwrt_release", b"DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='lab'\n")
        .file("lib/upgrade/keep.d/base", b"/etc/config/\n/config/ssh/\n/etc/mine\n")
        .pack()
}

/// Where `rootfs_data` begins in the chip.
fn data_of(parts: &Parts) -> usize {
    ROOT + parts.rootfs.len().next_multiple_of(64 * KIB)
}

/// The partitions as the kernel of OpenWrt would make them for this firmware.
fn table(parts: &Parts) -> String {
    let data = data_of(parts) / KIB;
    let length = 4096 - data;
    format!("128k(boot)ro,1664k(kernel),2304k(rootfs),3968k@128k(firmware),{length}k@{data}k(rootfs_data)")
}

/// The image: kernel, root, and the marks.
fn image_of(parts: &Parts) -> Vec<u8> {
    let mut image = parts.image();
    for align in [4 * KIB, 64 * KIB] {
        image.resize(image.len().next_multiple_of(align), 0xff);
        image.extend(MARK);
    }
    image
}

fn tell(kind: Kind) {
    let dir = scratch();
    let procd = procd(dir.path());
    let (a, b) = (firmware(kind, 'A', procd.clone()), firmware(kind, 'B', procd));
    let image = image_of(&b);
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new("openwrt-box", &a)
        .append(&format!("init=/preinit softdog.soft_margin={TIMEOUT}"))
        .table(&table(&a))
        .flash_speed(400_000)
        .data_disk(&[("flasher", &product), ("image.bin", &image)]);
    // The overlay of its owner.
    let overlay = dir.path().join("overlay");
    machine.authorize(&overlay.join("upper/config"));
    write(&overlay.join("upper/etc/config/network"), b"of the owner\n");
    let mut flash = vec![0xff; kind.flash_size()];
    for (at, content) in [
        (0, &b"boot loader ".repeat(2000)[..]),
        (FIRMWARE.start, &a.image()),
        (data_of(&a), &jffs2(kind, &overlay)),
    ] {
        flash[at..at + content.len()].copy_from_slice(content);
    }
    machine.set_flash(&flash);
    let before = flash;
    machine.boot('A');
    machine.ssh().wait();
    machine.must("grep -q 'overlayfs:/overlay / overlay' /proc/mounts && grep -q procd /proc/1/comm");
    machine
        .must("echo secret >/etc/mine && chmod 600 /etc/mine && chown 3:4 /etc/mine && echo gone >/etc/gone && sync");
    copy_from_disk(&mut machine);

    let apply = "/tmp/flasher apply -y --force=content --part firmware /tmp/image.bin";
    let plan = machine.must(&apply.replace("apply -y", "plan -v"));
    for said in [
        "the settings of this OpenWrt, 4 files",
        "behind the new root",
        "/etc/mine",
    ] {
        assert!(plan.contains(said), "{said}: {plan}");
    }
    assert!(!plan.contains("way: ptrace"), "{plan}");
    let output = machine.ssh().output(apply);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("handed over"), "{said}");
    machine.expect(words::FED, patience(60));
    machine.expect(words::PROVED, patience(60));
    machine.expect("4 files handed to the new firmware", patience(300));
    machine.wait_exit(patience(60));

    // Only the firmware has changed, and up to its root it is the image.
    let mut flash = machine.flash();
    let data = data_of(&b);
    assert!(flash[..FIRMWARE.start] == before[..FIRMWARE.start], "the boot loader");
    assert!(
        flash[FIRMWARE.start..data] == image[..data - FIRMWARE.start],
        "kernel and root"
    );
    let blocks = (data..flash.len()).step_by(kind.erase_size());
    let mark = blocks.into_iter().find(|at| flash[*at..].starts_with(&MARK));
    flash[mark.expect("a mark behind the settings")..].fill(0xff);
    machine.set_flash(&flash);

    let mut machine = machine.table(&table(&b));
    if let Err(refusal) = machine.power_on() {
        panic!("{refusal}");
    }
    // For root alone, until it is unpacked.
    machine.expect("-rw-------    1 0        0", patience(120));
    machine.expect("LAB-SETTINGS", patience(60));
    machine.comes_up('B');
    machine.ssh().wait();
    machine.must(
        "grep -q 'overlayfs:/overlay / overlay' /proc/mounts && test ! -e /sysupgrade.tgz && test ! -e /etc/gone",
    );
    assert_eq!(
        machine.must("cat /etc/config/network /etc/mine").trim(),
        "of the owner\nsecret"
    );
    let mine = machine.must("ls -ln /etc/mine");
    assert!(mine.starts_with("-rw-------    1 3        4"), "{mine}");
}
