//! The box runs as OpenWrt's do: a squashfs and a jffs2, both in the flash, under an overlay that is `/`. All three go, and
//! the whole firmware is written, with the partition that the jffs2 was in.

use super::*;
use crate::lab::modules;
use tools::patience;

on!(tell: armel = Armel, mips = Mips);

/// What `mount_root` of OpenWrt does before it starts init.
const PREINIT: &[u8] = b"#!/bin/sh
mount -t proc proc /proc
sh /modules/load /modules
mount -t jffs2 mtd:config /config
mkdir -p /config/upper /config/work
mount -t overlay -o lowerdir=/,upperdir=/config/upper,workdir=/config/work overlayfs:/overlay /mnt
mkdir -p /mnt/rom /mnt/overlay
mount --move /proc /mnt/proc
mount --move /dev /mnt/dev
mount --move /config /mnt/overlay
cd /mnt
pivot_root . rom
exec chroot . /sbin/init <dev/console >dev/console 2>&1
";

fn firmware(kind: Kind, letter: char) -> Parts {
    modules::files(kind, &["overlay"])
        .iter()
        .fold(Firmware::new(kind, letter), |firmware, (path, content)| {
            firmware.file(path, content)
        })
        .file("preinit", PREINIT)
        .pack()
}

fn tell(kind: Kind) {
    let (a, b) = (firmware(kind, 'A'), firmware(kind, 'B'));
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"of firmware B\n");
    let config = b.config(settings.path());
    let mut image = b.image();
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    image.extend(&config);
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new("overlay-root", &a)
        .append("init=/preinit")
        .data_disk(&[("flasher", &product), ("image.bin", &image)]);
    let before = machine.flash();
    machine.boot('A');
    let mounts = machine.must("cat /proc/mounts");
    assert!(mounts.contains("overlayfs:/overlay / overlay"), "{mounts}");
    machine.must("echo changed >/etc/hostname && grep -q changed /overlay/upper/etc/hostname");
    copy_from_disk(&mut machine);

    let apply = APPLY.replace("kernel,rootfs", "kernel,rootfs,config");
    refused_in_place(
        &mut machine,
        &apply,
        &["/dev/root mounted on /rom (squashfs)", "mounted on /overlay (jffs2)"],
    );

    machine.send_line(&apply);
    for gone in ["/oldroot/overlay unmounted", "/oldroot unmounted"] {
        machine.expect(gone, patience(120));
    }
    machine.expect(words::PROVED, patience(60));
    machine.expect(words::WRITING, patience(60));
    machine.wait_exit(patience(300));
    let flash = machine.flash();
    Expected::unchanged(kind, &before)
        .with_image(&["kernel", "rootfs", "config"], &image)
        .compare(&flash);
    // Which `compare` leaves out, because it is in use elsewhere.
    assert!(
        flash[kind.partition("config").range()] == config,
        "the jffs2 was written"
    );
    machine.boot('B');
    machine.must("grep -q 'of firmware B' /overlay/settings && mount | grep -q 'overlayfs:/overlay on / '");
}
