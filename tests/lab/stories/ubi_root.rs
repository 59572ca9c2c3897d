//! The box runs from UBIFS on NAND. To replace all of it the takeover unmounts the root and detaches UBI; to replace the
//! root's volume alone UBI stays, and the settings of the OpenWrt box lie in the new root.
//!
//! The simulated NAND is gone after the reboot, so what was done is seen on the console only.

use super::*;
use crate::lab::nand;
use tools::patience;

on!(whole: armel_whole = Armel);
on!(volume: armel_volume = Armel);

/// Loads UBI, puts the root onto the NAND as an installer would, and goes on from there.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
sh /modules/load /modules
ubiattach -m MTD /dev/ubi_ctrl
ubimkvol /dev/ubi0 -N rootfs -s 16MiB
ubimkvol /dev/ubi0 -N other -s 1MiB
ubiupdatevol /dev/ubi0_0 /root.ubifs
mount -t ubifs ubi0:rootfs /new
mount -t devtmpfs devtmpfs /new/dev
umount /sys
umount /proc
cd /new
pivot_root . mnt
exec chroot . /sbin/init <dev/console >dev/console 2>&1
";

/// A box that runs from the volume `rootfs`, with these files in `/root/lab` of it.
fn from_ubifs(story: &str, kind: Kind, image: &[u8]) -> Machine {
    let product = tools::read(&tools::flasher(kind));
    let dir = tools::scratch();
    let (root, ubifs) = (dir.path().join("root"), dir.path().join("ubifs"));
    // An OpenWrt box, with settings.
    Firmware::new(kind, 'A')
        .file("etc/openwrt_release", b"DISTRIB_ID='OpenWrt'\n")
        .file("lib/upgrade/keep.d/lab", b"/etc/mine\n/etc/gone\n")
        .file("etc/mine", b"of the owner")
        .tree(&root);
    for (name, content) in [("flasher", &product[..]), ("image.bin", image)] {
        tools::write(&root.join("root/lab").join(name), content);
    }
    nand::ubifs_of(&root, &ubifs, 140);
    let init = INIT.replace("MTD", &nand::first_mtd(kind).to_string());
    let mut files = nand::disk_files(kind);
    files.push(("root.ubifs".into(), tools::read(&ubifs)));
    boot_from_elsewhere(story, kind, files, init, "ubi0:rootfs / ubifs")
}

fn whole(kind: Kind) {
    let kernel = b"\x02kernel of firmware B ".repeat(20_000);
    let ubifs = nand::ubifs(&[("etc/firmware", b"B")]);
    let image = nand::ubinize(&[("kernel", "dynamic", &kernel, 8), ("rootfs", "dynamic", &ubifs, 40)]);
    let mut machine = from_ubifs("ubi-root", kind, &image);
    let mtd = nand::first_mtd(kind);
    let (status, said) = machine.run(&format!(
        "/tmp/flasher apply -y --in-place --part mtd{mtd} /tmp/image.bin 2>&1"
    ));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("ubi0:rootfs mounted on / (ubifs); "), "{said}");
    // The image of a whole UBI says nothing of where the new firmware looks for settings.
    let refused = machine.run(&format!("/tmp/flasher apply -y --part mtd{mtd} /tmp/image.bin 2>&1"));
    assert_eq!(refused.0, 78, "{refused:?}");
    assert!(
        refused.1.contains("the settings of this OpenWrt cannot be kept"),
        "{refused:?}"
    );
    machine.send_line(&format!(
        "/tmp/flasher apply -y --no-keep --part mtd{mtd} /tmp/image.bin"
    ));
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect("the old root is unmounted and proved gone", patience(120));
    machine.expect(&format!("ubi0 detached from mtd{mtd}"), patience(60));
    machine.expect("nothing holds the flash any more", patience(60));
    machine.expect("written and verified", patience(120));
    machine.wait_exit(patience(120));
}

fn volume(kind: Kind) {
    let image = nand::ubifs(&[("etc/firmware", &b"firmware B\n".repeat(50_000))]);
    let mut machine = from_ubifs("ubi-root-volume", kind, &image);
    machine.send_line("/tmp/flasher apply -y --part ubi0:rootfs /tmp/image.bin");
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect("the old root is unmounted and proved gone", patience(120));
    let between = machine.expect(
        "1 file handed to the new firmware in ubifs:ubi0:rootfs and read back",
        patience(120),
    );
    assert!(!between.contains("detached"), "{between}");
    machine.expect("written and verified", patience(120));
    machine.wait_exit(patience(120));
}
