//! Whatever can hold a file system in the flash holds it: all of it is named before the start, and ended by the takeover.

use super::*;

on!(takeover: armel = Armel);
on!(out_of_sight: armel_out_of_sight = Armel);

/// Bytes of the file system that is put into `spare`.
const SIZE: usize = 4 << 20;

/// Everything that holds `/tmp/m`, which is `spare`, and `config`.
const HOLD: &[u8] = b"#!/bin/sh
set -e
umount /config
dd if=/mnt/data/swap of=/dev/mtdblock3 bs=64k
mkswap /dev/mtdblock3
swapon /dev/mtdblock3
dd if=/mnt/data/spare.ext2 of=/dev/mtdblock5 bs=64k
mkdir -p /tmp/m /tmp/l
mount -t ext2 /dev/mtdblock5 /tmp/m
mkswap /tmp/m/swap
swapon /tmp/m/swap
losetup /dev/loop0 /tmp/m/loop.ext2
mount -t ext2 /dev/loop0 /tmp/l
cp /bin/busybox /tmp/m/jail/busybox
chroot /tmp/m/jail /busybox sleep 1111 &
cp /bin/busybox /tmp/m/sleep
/tmp/m/sleep 2222 &
sleep 1
rm /tmp/m/sleep
unshare -m sleep 3333 &
sleep 1
";

/// The command for a box in which all of that is done, and the image for `config` and `spare`.
fn held(story: &str, kind: Kind) -> (Machine, String, Vec<u8>, Vec<u8>) {
    // Not zeros, of which mke2fs makes holes.
    let room = vec![b'-'; 256 << 10];
    let inner = {
        let dir = tools::scratch();
        let image = dir.path().join("ext2");
        tools::run(tools::command("mke2fs").args(["-q", "-t", "ext2", tools::text(&image), "256k"]));
        tools::read(&image)
    };
    let spare = ext2(
        SIZE / 1024,
        &[("swap", &room), ("loop.ext2", &inner), ("jail/.keep", b"")],
    );
    let (apply, image) = config_and_spare(kind, SIZE);
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new(story, Parts::plain(kind, 'A')).data_disk(&[
        ("flasher", &product),
        ("image.bin", &image),
        ("spare.ext2", &spare),
        ("swap", &room),
        ("hold", HOLD),
    ]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("sh /mnt/data/hold");
    (machine, apply, before, image)
}

fn takeover(kind: Kind) {
    let (mut machine, apply, before, image) = held("held-every-way", kind);
    refused_in_place(
        &mut machine,
        &apply,
        &[
            "swap on /dev/mtdblock3",
            "/dev/mtdblock5 mounted on /tmp/m (ext2)",
            "swap on /tmp/m/swap",
            "/dev/loop0 mounted on /tmp/l (ext2)",
            "loop device /dev/loop0 on /tmp/m/loop.ext2",
            "(sleep)",
        ],
    );
    becomes_new(
        &mut machine,
        &apply,
        &before,
        &image,
        &[
            "swap /dev/mtdblock3 is off",
            "loop device /dev/loop0 is free",
            "/oldroot/tmp/m unmounted",
        ],
    );
}

/// What was unmounted lazily is in use all the same. (A swap file or a loop device there could not be freed any more.)
fn out_of_sight(kind: Kind) {
    let (mut machine, apply, before, image) = held("held-out-of-sight", kind);
    machine.must("swapoff /tmp/m/swap && umount -l /tmp/l && losetup -d /dev/loop0 && umount -l /tmp/m");
    refused_in_place(
        &mut machine,
        &apply,
        &[
            "mounted on /tmp/m in the mount namespace of process",
            "(busybox), whose root directory is /jail",
            "(sleep), which runs /sleep (deleted)",
        ],
    );
    becomes_new(&mut machine, &apply, &before, &image, &["swap /dev/mtdblock3 is off"]);
}
