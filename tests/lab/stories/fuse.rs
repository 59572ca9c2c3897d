//! File systems that a program of the box serves by FUSE, out of the flash: that program holds the flash. It may have stopped, and
//! then whoever asks for anything of its file system waits for ever.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::lab::modules;
use tools::patience;

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

/// An ext2 of this many KiB with these files.
fn ext2(kib: usize, files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = tools::scratch();
    let (root, image) = (dir.path().join("root"), dir.path().join("ext2"));
    for (name, content) in files {
        tools::write(&root.join(name), content);
    }
    tools::run(
        tools::command("mke2fs")
            .args(["-q", "-t", "ext2", "-m", "0", "-d"])
            .args([tools::text(&root), tools::text(&image), &format!("{kib}k")]),
    );
    tools::read(&image)
}

/// A box in which all of [`SERVE`] is served, the command that writes what it lies on, and the image for that.
fn serving(story: &str, kind: Kind) -> (Machine, String, Vec<u8>, Vec<u8>) {
    let busybox = tools::read(&super::made(kind).join("root/bin/busybox"));
    let inner = ext2(1920, &[("busybox", &busybox)]);
    let outer = ext2(6 << 10, &[("inner", &inner), ("second", &inner)]);
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"new\n");
    let mut image = Parts::plain(kind, 'A').config(settings.path());
    image.resize(image.len() + outer.len(), b'n');

    let build = tools::repository().join("tests/lab/build");
    let made = tools::run(Command::new(build).arg("--fuse2fs")).stdout;
    let fuse2fs = tools::read(&Path::new(String::from_utf8_lossy(&made).trim()).join("fuse2fs"));
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
    let apply = APPLY
        .replace("kernel,rootfs", "config,spare")
        .replace("-y", "-y --force=settings,content");
    (machine, apply, before, image)
}

fn served(kind: Kind) {
    let (mut machine, apply, before, image) = serving("fuse-served", kind);
    refused_in_place(&mut machine, &apply);
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
    refused_in_place(&mut machine, &apply);
    becomes_new(&mut machine, &apply, &before, &image, &["/oldroot/tmp/loop unmounted"]);
}

/// Nothing is written while it runs, and what holds the flash is named.
fn refused_in_place(machine: &mut Machine, apply: &str) {
    let (status, said) = machine.run(&format!("{apply} --in-place 2>&1"));
    assert_eq!(status, 78, "{said}");
    for holder in [
        "/dev/mtdblock5 mounted on /tmp/m (ext2)",
        "loop device /dev/loop0 on /tmp/m/inner",
        "(fuse2fs), which has /dev/loop0 open",
        "(fuse2fs), which has /dev/mtdblock3 open",
    ] {
        assert!(said.contains(holder), "{holder}: {said}");
    }
    let plan = machine.must(&apply.replace("apply -y", "plan"));
    assert!(plan.contains("route: staged"), "{plan}");
}

/// Takes the box over, which says these words in this order, and looks at what was written.
fn becomes_new(machine: &mut Machine, apply: &str, before: &[u8], image: &[u8], freed: &[&str]) {
    machine.send_line(apply);
    for words in freed.iter().chain(&[words::PROVED, words::WRITING]) {
        machine.expect(words, patience(120));
    }
    machine.wait_exit(patience(300));
    Expected::unchanged(machine.kind, before)
        .with_image(&["config", "spare"], image)
        .compare(&machine.flash());
    machine.boot('A');
    machine.must("grep -q new /config/settings");
}
