//! The root is the initramfs, which cannot be pivoted away. Nothing of the flash need be in use then, so it is written in
//! place; what is in use has to be unmounted by whoever mounted it.

use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let product = tools::read(&tools::flasher(kind));
    let settings = tools::scratch();
    tools::write(&settings.path().join("settings"), b"new\n");
    let config = Parts::plain(kind, 'B').config(settings.path());
    let mut machine = Machine::new("initramfs-root", Parts::plain(kind, 'A'))
        .initramfs(&Firmware::new(kind, 'R').initramfs())
        .data_disk(&[("flasher", &product), ("image.bin", &image), ("config.jffs2", &config)]);
    let before = machine.flash();
    machine.boot('R');
    let mounts = machine.must("cat /proc/self/mountinfo");
    assert!(mounts.contains(" / / rw - rootfs "), "{mounts}");
    copy_from_disk(&mut machine);

    let apply = "/tmp/flasher apply -y --no-reboot --part config /mnt/data/config.jffs2";
    let (status, said) = machine.run(&format!("{apply} 2>&1"));
    assert_eq!(status, 78, "{said}");
    for words in [
        "the root file system is the initramfs",
        "next:  nothing of the flash need be mounted in such a system: unmount what is",
    ] {
        assert!(said.contains(words), "{said}");
    }
    Expected::unchanged(kind, &before).compare(&machine.flash());

    machine.must("umount /config");
    machine.must(apply);
    machine.must(&format!("{APPLY} --no-reboot"));
    assert_eq!(machine.must("readlink /proc/1/exe").trim(), "/bin/busybox");
    machine.must("mount -t jffs2 mtd:config /config && umount /config");
    Expected::unchanged(kind, &before)
        .with_image(&PARTITIONS, &image)
        .compare(&machine.flash());
}
