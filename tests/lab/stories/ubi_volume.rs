//! One volume of an attached UBI is updated while the others are in use: block by block where it is dynamic, as a whole
//! where it is static or has lost its content.
//!
//! The simulator's content is gone with the box, so no power cut can be told of here: that a block is changed as a whole or
//! not at all is UBI's promise (`UBI_IOCEBCH`), and that we ask for it is tested in mtd-rs.

use super::*;
use crate::lab::nand;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let old = b"\x02the old kernel ".repeat(40_000);
    // Not whole blocks, so that the last one has a tail to keep.
    let new = b"\x02the new kernel, which is shorter ".repeat(14_321);
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
    let files = [
        ("image.ubi", image),
        ("new.kernel", new.clone()),
        ("long.kernel", long),
        ("next.ubifs", next),
        ("alien.ubifs", alien_ubifs()),
        ("wanted.kernel", [&new[..], &old[new.len()..]].concat()),
        ("old.kernel", old.clone()),
        ("file", file),
    ]
    .map(|(name, content)| (name.to_owned(), content));
    let mut machine = nand::boot("ubi-volume", kind, product, files.into(), "");
    let mtd = nand::attach(&mut machine, "image.ubi");
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
        (
            "ubi0:rootfs",
            "alien.ubifs",
            "content",
            "made for erase blocks of 126,976 bytes",
        ),
        // A UBIFS is none of those that go onto the flash itself, and where it goes is said.
        (
            &*format!("mtd{mtd}"),
            "next.ubifs",
            "content",
            "one of its volumes: ubi0:kernel ubi0:rootfs ubi0:fixed",
        ),
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
    static_volume(&mut machine, &old, &new);

    // Free again, it takes the next file system, which has blank pages that UBIFS will write.
    machine.must("umount /tmp/m");
    let said =
        machine.must("/tmp/flasher apply -y --no-reboot --in-place --part ubi0:rootfs /mnt/data/next.ubifs 2>&1");
    assert!(said.contains("made blank behind the ubifs"), "{said}");
    machine.must("mount -t ubifs ubi0:rootfs /tmp/m && grep -q 'the next file system' /tmp/m/file");
    machine.must("cp /mnt/data/file /tmp/m/other && sync && umount /tmp/m && mount -t ubifs ubi0:rootfs /tmp/m");
    machine.must("cmp /tmp/m/other /mnt/data/file");
    let log = machine.must("dmesg | grep -i 'ubi.*error' || true");
    assert_eq!(log.trim(), "", "neither UBI nor UBIFS complains");
}

/// One for UBI whose headers take two pages, which this one's do not.
fn alien_ubifs() -> Vec<u8> {
    let dir = tools::scratch();
    let (root, image) = (dir.path().join("root"), dir.path().join("ubifs"));
    tools::write(&root.join("file"), b"of another box");
    tools::run(
        tools::command("mkfs.ubifs")
            .args(["-m", "2048", "-e", "126976", "-c", "60"])
            .args(["-r", tools::text(&root), "-o", tools::text(&image)]),
    );
    tools::read(&image)
}

/// UBI empties a static volume before it takes the new content, and remembers when that does not come to its end.
fn static_volume(machine: &mut Machine, old: &[u8], new: &[u8]) {
    let apply = |machine: &mut Machine, part: &str, file: &str| {
        machine.must(&format!(
            "/tmp/flasher apply -y --no-reboot --in-place --part {part} /mnt/data/{file} 2>&1"
        ))
    };
    let holds = |machine: &mut Machine, volume: u32, content: &[u8], file: &str| {
        let attribute = format!("/sys/class/ubi/ubi0_{volume}");
        let state = machine.must(&format!("cat {attribute}/upd_marker {attribute}/corrupted"));
        assert_eq!(state.split_whitespace().collect::<Vec<_>>(), ["0", "0"]);
        machine.must(&format!(
            "dd if=/dev/ubi0_{volume} bs={} count=1 2>/dev/null | cmp - /mnt/data/{file}",
            content.len()
        ));
    };
    let said = apply(machine, "ubi0:fixed", "new.kernel");
    assert!(
        said.contains("is a static volume, which UBI replaces only as a whole"),
        "{said}"
    );
    assert!(
        said.contains("a power cut or a fault meanwhile leaves it without content"),
        "{said}"
    );
    holds(machine, 2, new, "new.kernel");
    let bytes = machine.must("cat /sys/class/ubi/ubi0_2/data_bytes");
    assert_eq!(bytes.trim(), new.len().to_string(), "its length is that of the image");
    let again = apply(machine, "ubi0:fixed", "new.kernel");
    assert!(again.contains("nothing to do"), "{again}");
    // A copy is as long as what it holds, and a second one is refused only where it is of something else.
    machine
        .must("umask 077; /tmp/flasher backup --part ubi0:fixed /tmp/copy && cmp /tmp/copy/*.bin /mnt/data/new.kernel");
    let kept = machine.must("/tmp/flasher backup --part ubi0:fixed /tmp/copy 2>&1; rm -r /tmp/copy");
    assert!(kept.contains("kept as they are"), "{kept}");
    // Longer again: what was longer before is not taken for right.
    apply(machine, "ubi0:fixed", "old.kernel");
    holds(machine, 2, old, "old.kernel");

    // An update that ends in the middle, of either kind of volume.
    for (volume, part) in [(2, "ubi0:fixed"), (0, "ubi0_0")] {
        machine.must(&format!(
            "head -c 100000 /mnt/data/old.kernel >/tmp/short; ubiupdatevol -s 300000 /dev/ubi0_{volume} /tmp/short || true"
        ));
        let marker = machine.must(&format!("cat /sys/class/ubi/ubi0_{volume}/upd_marker"));
        assert_eq!(marker.trim(), "1", "broken off");
        let said = apply(machine, part, "new.kernel");
        assert!(said.contains("an update of it was broken off"), "{said}");
        holds(machine, volume, new, "new.kernel");
    }
    // Attached anew, UBI finds everything whole.
    apply(machine, "ubi0:fixed", "old.kernel");
    apply(machine, "ubi0_0", "old.kernel");
    let mtd = nand::first_mtd(machine.kind);
    machine.must("umount /tmp/m && ubidetach -d 0 /dev/ubi_ctrl");
    machine.must(&format!(
        "ubiattach -m {mtd} /dev/ubi_ctrl && mount -t ubifs ubi0:rootfs /tmp/m"
    ));
    holds(machine, 2, old, "old.kernel");
    holds(machine, 0, old, "old.kernel");
}
