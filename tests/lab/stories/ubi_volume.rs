//! One volume of an attached UBI is updated while the others are in use.
//!
//! The simulator's content is gone with the box, so no power cut can be told of here: that a block is changed as a whole or
//! not at all is UBI's promise (`UBI_IOCEBCH`), and that we ask for it is tested in mtd-rs.

use super::*;
use crate::lab::nand;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let old = b"the old kernel ".repeat(40_000);
    // Not whole blocks, so that the last one has a tail to keep.
    let new = b"the new kernel, which is shorter ".repeat(14_321);
    let file = b"somebody works with this meanwhile\n".repeat(20_000);
    let ubifs = nand::ubifs(&[("file", &file)]);
    let next = nand::ubifs(&[("file", b"the next file system")]);
    let image = nand::ubinize(&[
        ("kernel", "dynamic", &old, 8),
        ("rootfs", "dynamic", &ubifs, 40),
        ("fixed", "static", &old, 8),
    ]);
    let product = tools::read(&tools::flasher(kind));
    let long = vec![b'x'; 8 * nand::LEB + 7];
    let mut files = nand::disk_files(kind);
    for (name, content) in [
        ("flasher", product),
        ("image.ubi", image),
        ("new.kernel", new.clone()),
        ("long.kernel", long),
        ("next.ubifs", next),
        ("wanted.kernel", [&new[..], &old[new.len()..]].concat()),
        ("old.kernel", old.clone()),
        ("file", file),
    ] {
        files.push((name.into(), content));
    }
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    let mut machine = Machine::new("ubi-volume", Parts::plain(kind, 'A')).data_disk(&files);
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    nand::load(&mut machine, "");
    let mtd = nand::first_mtd(kind);
    machine.must(&format!(
        "/tmp/flasher apply -y --no-reboot --part mtd{mtd} /mnt/data/image.ubi"
    ));
    machine.must(&format!("ubiattach -m {mtd} /dev/ubi_ctrl"));
    machine.must("mkdir -p /tmp/m && mount -t ubifs ubi0:rootfs /tmp/m");

    // The neighbour is mounted for writing all the time.
    machine.must("/tmp/flasher apply -y --no-reboot --in-place --part ubi0:kernel /mnt/data/new.kernel");
    machine.must(&format!(
        "dd if=/dev/ubi0_0 bs={} count=1 2>/dev/null | cmp - /mnt/data/wanted.kernel",
        old.len()
    ));
    machine.must("cmp /tmp/m/file /mnt/data/file && umount /tmp/m && mount -t ubifs ubi0:rootfs /tmp/m");
    machine.must("cmp /tmp/m/file /mnt/data/file");
    machine.must(&format!(
        "dd if=/dev/ubi0_2 bs={} count=1 2>/dev/null | cmp - /mnt/data/old.kernel",
        old.len()
    ));
    // The box has an MTD named `kernel` too, which that name alone means.
    let again = machine.must("/tmp/flasher apply -y --no-reboot --part ubi0_0 --in-place /mnt/data/old.kernel");
    assert!(again.contains("5 erase blocks"), "{again}");
    let again = machine.must("/tmp/flasher apply -y --no-reboot --part ubi0_0 /mnt/data/old.kernel 2>&1");
    assert!(again.contains("nothing to do"), "{again}");

    for (part, file, check, reason) in [
        (
            "ubi0:rootfs",
            "next.ubifs",
            "holders",
            "ubi0:rootfs mounted on /tmp/m (ubifs)",
        ),
        ("ubi0:kernel", "long.kernel", "size", ": 7 bytes too many"),
        ("ubi0:fixed", "new.kernel", "writable", "is a static volume"),
    ] {
        let (status, said) = machine.run(&format!(
            "/tmp/flasher apply -y --in-place --no-reboot --part {part} /mnt/data/{file} 2>&1"
        ));
        assert_eq!(status, 78, "{said}");
        assert!(
            said.contains(&format!("refused by check {check}")) && said.contains(reason),
            "{said}"
        );
    }
    // Free again, it takes the next file system, which has blank pages that UBIFS will write.
    machine.must("umount /tmp/m");
    machine.must("/tmp/flasher apply -y --no-reboot --in-place --part ubi0:rootfs /mnt/data/next.ubifs");
    machine.must("mount -t ubifs ubi0:rootfs /tmp/m && grep -q 'the next file system' /tmp/m/file");
    machine.must("cp /mnt/data/file /tmp/m/other && sync && umount /tmp/m && mount -t ubifs ubi0:rootfs /tmp/m");
    machine.must("cmp /tmp/m/other /mnt/data/file");
    let log = machine.must("dmesg | grep -i 'ubi.*error' || true");
    assert_eq!(log.trim(), "", "neither UBI nor UBIFS complains");
}
