//! The root comes from a server by NFS. What nothing uses is written in place; for what is in use the box is taken over, and
//! a server that has gone meanwhile cannot keep it for good.

use super::*;
use crate::lab::{modules, nfs};
use tools::patience;

on!(in_place: armel_in_place = Armel);
on!(takeover: armel_takeover = Armel);
on!(server_gone: armel_server_gone = Armel);

/// Mounts what the server has, and goes on from there.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
sh /modules/load /modules
ifconfig lo 127.0.0.1
ifconfig eth0 10.0.2.15 netmask 255.255.255.0
mount -t nfs -o OPTIONS 10.0.2.2:/ /new || exec /bin/sh
mount -t devtmpfs devtmpfs /new/dev
umount /proc
cd /new
pivot_root . mnt
exec chroot . /sbin/init <dev/console >dev/console 2>&1
";

/// A box whose root is served, with the product and this image in `/tmp`.
fn from_server(story: &str, kind: Kind, options: &str, image: &[u8]) -> (Machine, nfs::Server, tempfile::TempDir) {
    let dir = tools::scratch();
    let root = dir.path().join("root");
    Firmware::new(kind, 'A').tree(&root);
    tools::write(&root.join("root/lab/flasher"), &tools::read(&tools::flasher(kind)));
    tools::write(&root.join("root/lab/image.bin"), image);
    let server = nfs::Server::start(&root);
    let init = INIT.replace("OPTIONS", &format!("{}{options}", server.options()));
    let files = modules::files(kind, &["nfsv3"]);
    let machine = boot_from_elsewhere(story, kind, files, init, "10.0.2.2:/ / nfs");
    (machine, server, dir)
}

fn in_place(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let (mut machine, _server, _dir) = from_server("nfs-root-in-place", kind, "", &image);
    let before = machine.flash();
    let said = machine.must(&APPLY.replace("apply", "apply -n"));
    assert!(said.contains("route: in-place"), "{said}");
    machine.must(&format!("{APPLY} --no-reboot"));
    assert_eq!(machine.must("readlink /proc/1/exe").trim(), "/bin/busybox");
    Expected::unchanged(kind, &before)
        .with_image(&PARTITIONS, &image)
        .compare(&machine.flash());
}

fn takeover(kind: Kind) {
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"new\n");
    let image = Parts::plain(kind, 'A').config(settings.path());
    let (mut machine, _server, _dir) = from_server("nfs-root", kind, "", &image);
    let before = machine.flash();
    machine.send_line(&APPLY.replace("kernel,rootfs", "config"));
    machine.expect("/oldroot/config unmounted", patience(120));
    machine.expect("/oldroot unmounted", patience(60));
    machine.expect(words::PROVED, patience(60));
    machine.wait_exit(patience(120));
    let flash = machine.flash();
    assert!(flash[kind.partition("config").range()] == image, "it was written");
    Expected::unchanged(kind, &before).compare(&flash);
}

/// With `noac` each step of a path below the old root asks the server.
fn server_gone(kind: Kind) {
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"new\n");
    let image = Parts::plain(kind, 'A').config(settings.path());
    let (mut machine, server, _dir) = from_server("nfs-server-gone", kind, ",noac", &image);
    let before = machine.flash();
    machine.send_line(&APPLY.replace("kernel,rootfs", "config"));
    machine.expect(words::HANDED_OVER, patience(120));
    server.falls_asleep();
    let said = machine.expect("rebooting into the old firmware", patience(120));
    println!("{said}");
    assert!(said.contains("does not answer"), "{said}");
    machine.wait_exit(patience(120));
    Expected::unchanged(kind, &before).compare(&machine.flash());
}
