//! The kernel's NFS server gives a file system in the flash to others, so the kernel itself holds it.

use super::*;
use crate::lab::modules;
use tools::patience;

on!(tell: armel = Armel);

/// Starts the server and exports `/config`, as `exportfs` and `rpc.nfsd` do. The server does not start before a port mapper
/// has written its ports down: here somebody who says yes to everything.
const EXPORT: &[u8] = b"#!/bin/sh
set -e
sh /mnt/data/modules/load /mnt/data/modules
mount -t nfsd nfsd /proc/fs/nfsd
echo 'nfsd 10.0.2.2 2147483647 lab' >/proc/net/rpc/auth.unix.ip/channel
echo 'lab /config 2147483647 8192 65534 65534 5' >/proc/net/rpc/nfsd.export/channel
nc -ll -p 111 -e sh /mnt/data/portmapper &
for i in 1 2 3 4 5 6 7 8; do
	sleep 1
	echo 2 >/proc/fs/nfsd/threads && exit
done
exit 1
";

/// Answers each call of a connection (RFC 5531) with success and TRUE.
const PORTMAPPER: &[u8] = b"#!/bin/sh
f=/tmp/call.$$
while :; do
\tset -- $(dd bs=1 count=4 2>/dev/null | od -An -tu1)
\t[ $# = 4 ] || exit
\tdd bs=1 count=$(($3 * 256 + $4)) of=$f 2>/dev/null
\tprintf '\\200\\0\\0\\034'
\thead -c 4 $f
\tprintf '\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\1'
done
";

fn tell(kind: Kind) {
    let mut image = Parts::plain(kind, 'B').image();
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"of firmware B\n");
    image.extend(Parts::plain(kind, 'B').config(settings.path()));
    let product = tools::read(&tools::flasher(kind));
    let mut files = modules::files(kind, &["nfsd"]);
    for (name, content) in [
        ("flasher", &product[..]),
        ("image.bin", &image),
        ("export", EXPORT),
        ("portmapper", PORTMAPPER),
    ] {
        files.push((name.into(), content.to_vec()));
    }
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new("nfs-export", Parts::plain(kind, 'A')).data_disk(&files);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("sh /mnt/data/export");
    machine.must("ps | grep -q '[[]nfsd]' && grep ^/config /proc/net/rpc/nfsd.export/content");
    let (status, _) = machine.run("umount /config");
    assert_ne!(status, 0, "the kernel holds it");

    let apply = APPLY.replace("kernel,rootfs", "kernel,rootfs,config");
    let (status, said) = machine.run(&format!("{apply} --in-place 2>&1"));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("the NFS export of /config"), "{said}");

    machine.send_line(&apply);
    machine.expect(words::AS_PID_ONE, patience(120));
    let between = machine.expect(words::PROVED, patience(60));
    println!("{between}");
    machine.expect(words::WRITING, patience(60));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before)
        .with_image(&["kernel", "rootfs", "config"], &image)
        .compare(&machine.flash());
    machine.boot('B');
    machine.must("grep -q 'of firmware B' /config/settings");
}
