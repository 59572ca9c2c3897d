//! The root is a loop device, whose file lies on a jffs2 in the flash, which is mounted below that very root.

use super::*;
use tools::patience;

on!(tell: armel = Armel);

const PREINIT: &[u8] = b"#!/bin/sh
mount -t proc proc /proc
mount -t jffs2 mtd:config /config
losetup -r /dev/loop0 /config/root.img
mount -t squashfs -o ro /dev/loop0 /mnt
umount /proc
mount --move /dev /mnt/dev
mount --move /config /mnt/config
cd /mnt
pivot_root . root
exec chroot . /sbin/init <dev/console >dev/console 2>&1
";

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let mut image = image;
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"of firmware B\n");
    image.extend(Parts::plain(kind, 'B').config(settings.path()));
    let starter = Firmware::new(kind, 'A').file("preinit", PREINIT).pack();
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new("loop-root", &starter).data_disk(&[
        ("flasher", &product),
        ("image.bin", &image),
        ("root.img", &Parts::plain(kind, 'A').rootfs),
    ]);
    machine.boot('A');
    machine.must("cp /mnt/data/root.img /config/ && umount /config");
    machine.power_cut();
    let before = machine.flash();
    let mut machine = machine.append("init=/preinit");
    machine.boot('A');
    let mounts = machine.must("cat /proc/mounts");
    assert!(mounts.contains("/dev/loop0 / squashfs"), "{mounts}");
    copy_from_disk(&mut machine);

    let apply = APPLY.replace("kernel,rootfs", "kernel,rootfs,config");
    refused_in_place(
        &mut machine,
        &apply,
        &[
            "/dev/loop0 mounted on / (squashfs)",
            "mounted on /root (squashfs)",
            "mounted on /root/config (jffs2)",
            "loop device /dev/loop0 on /root/config/root.img",
        ],
    );

    machine.send_line(&apply);
    machine.expect("/oldroot unmounted", patience(120));
    machine.expect("/aside", patience(60));
    machine.expect(words::PROVED, patience(60));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before)
        .with_image(&["kernel", "rootfs", "config"], &image)
        .compare(&machine.flash());
    let mut machine = machine.append("");
    machine.boot('B');
    machine.must("grep -q 'of firmware B' /config/settings");
}
