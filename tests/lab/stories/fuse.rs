//! File systems that a program of the box serves by FUSE, out of the flash: that program holds the flash. It may have stopped, and
//! then whoever asks for anything of its file system waits for ever.

use super::*;
use crate::lab::modules;

on!(served: armel = Armel);
on!(stopped: armel_stopped = Armel);

/// What is served: from a loop device whose file lies in `spare`, and from `config` itself.
const SERVE: &str = "#!/bin/sh
set -e
sh /mnt/data/modules/load /mnt/data/modules
cp /mnt/data/fuse2fs /tmp/
chmod +x /tmp/fuse2fs
umount /config
dd if=/mnt/data/inner of=/dev/mtdblock3 bs=64k
dd if=/mnt/data/outer of=/dev/mtdblock5 bs=64k
mkdir -p /tmp/m /tmp/loop /tmp/direct /tmp/aside
mount -t ext2 /dev/mtdblock5 /tmp/m
losetup /dev/loop0 /tmp/m/inner
/tmp/fuse2fs /dev/loop0 /tmp/loop
/tmp/fuse2fs /dev/mtdblock3 /tmp/direct
";

/// Who uses it: from a directory, by a mount that is in no table any more, and in a mount namespace of its own. Then all that serves
/// stops.
const STOP: &str = "#!/bin/sh
set -e
cd /tmp/loop
sleep 1111 &
echo $! >/tmp/user
cd /tmp/direct
sleep 2222 &
cd /tmp
sleep 1
umount -l /tmp/direct
losetup /dev/loop1 /tmp/m/second
unshare -m sh -c '/tmp/fuse2fs /dev/loop1 /tmp/aside && : >/tmp/aside.up && exec /tmp/aside/busybox sleep 3333' &
until [ -e /tmp/aside.up ]; do sleep 1; done
sleep 2
kill -STOP $(pidof fuse2fs)
";

/// A box in which all of [`SERVE`] is served, the command that writes what it lies on, and the image for that.
fn serving(story: &str, kind: Kind) -> (Machine, String, Vec<u8>, Vec<u8>) {
    let busybox = tools::read(&super::made(kind).join("root/bin/busybox"));
    let inner = ext2(1920, &[("busybox", &busybox)]);
    let outer = ext2(6 << 10, &[("inner", &inner), ("second", &inner)]);
    let (apply, image) = config_and_spare(kind, outer.len());

    let fuse2fs = tools::read(&tools::built(&["--fuse2fs"]).join("fuse2fs"));
    let product = tools::read(&tools::flasher(kind));
    let mut files = modules::files(kind, &["fuse"]);
    for (name, content) in [
        ("flasher", &product[..]),
        ("image.bin", &image),
        ("fuse2fs", &fuse2fs),
        ("inner", &inner),
        ("outer", &outer),
        ("serve", SERVE.as_bytes()),
        ("stop", STOP.as_bytes()),
    ] {
        files.push((name.into(), content.to_vec()));
    }
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new(story, Parts::plain(kind, 'A')).data_disk(&files);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("sh /mnt/data/serve && cmp /tmp/loop/busybox /bin/busybox && cmp /tmp/direct/busybox /bin/busybox");
    (machine, apply, before, image)
}

fn served(kind: Kind) {
    let (mut machine, apply, before, image) = serving("fuse-served", kind);
    is_held(&mut machine, &apply);
    becomes_new(
        &mut machine,
        &apply,
        &before,
        &image,
        &["/oldroot/tmp/loop unmounted", "/oldroot/tmp/direct unmounted"],
    );
}

fn stopped(kind: Kind) {
    let (mut machine, apply, before, image) = serving("fuse-stopped", kind);
    machine.must("sh /mnt/data/stop");
    // Whoever asks waits.
    let (status, said) = machine.run("timeout -s KILL 5 stat -L /proc/$(cat /tmp/user)/cwd");
    assert_ne!(status, 0, "{said}");
    is_held(&mut machine, &apply);
    becomes_new(&mut machine, &apply, &before, &image, &["/oldroot/tmp/loop unmounted"]);
}

/// Who holds the flash.
const HOLDERS: [&str; 4] = [
    "/dev/mtdblock5 mounted on /tmp/m (ext2)",
    "loop device /dev/loop0 on /tmp/m/inner",
    "(fuse2fs), which has /dev/loop0 open",
    "(fuse2fs), which has /dev/mtdblock3 open",
];

/// Nothing is written while it runs, what holds the flash is named, and the box can be taken over.
fn is_held(machine: &mut Machine, apply: &str) {
    refused_in_place(machine, apply, &HOLDERS);
    let plan = machine.must(&apply.replace("apply -y", "plan"));
    assert!(plan.contains("route: staged"), "{plan}");
}
