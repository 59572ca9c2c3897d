//! The kernel's NFS server gives a file system in the flash to others, so the kernel itself holds it.

use super::*;
use crate::lab::modules;
use tools::patience;

on!(tell: armel = Armel);

/// Exports `/config`, as `exportfs` does. That no server runs makes no difference to the file system: it is in use.
const EXPORT: &[u8] = b"#!/bin/sh
set -e
sh /mnt/data/modules/load /mnt/data/modules
mount -t nfsd nfsd /proc/fs/nfsd
echo 'nfsd 10.0.2.2 2147483647 lab' >/proc/net/rpc/auth.unix.ip/channel
echo 'lab /config 2147483647 8192 65534 65534 5' >/proc/net/rpc/nfsd.export/channel
";

fn tell(kind: Kind) {
    let mut image = Parts::plain(kind, 'B').image();
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"of firmware B\n");
    image.extend(Parts::plain(kind, 'B').config(settings.path()));
    let product = tools::read(&tools::flasher(kind));
    let mut files = modules::files(kind, &["nfsd"]);
    for (name, content) in [("flasher", &product[..]), ("image.bin", &image), ("export", EXPORT)] {
        files.push((name.into(), content.to_vec()));
    }
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new("nfs-export", Parts::plain(kind, 'A')).data_disk(&files);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("sh /mnt/data/export");
    machine.must("grep ^/config /proc/net/rpc/nfsd.export/content");
    let (status, _) = machine.run("umount /config");
    assert_ne!(status, 0, "the kernel holds it");

    let apply = APPLY.replace("kernel,rootfs", "kernel,rootfs,config");
    refused_in_place(&mut machine, &apply, &["the NFS export of /config"]);

    machine.send_line(&apply);
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect("NFS export of /oldroot/config withdrawn", patience(60));
    machine.expect(words::PROVED, patience(60));
    machine.expect(words::WRITING, patience(60));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before)
        .with_image(&["kernel", "rootfs", "config"], &image)
        .compare(&machine.flash());
    machine.boot('B');
    machine.must("grep -q 'of firmware B' /config/settings");
}
