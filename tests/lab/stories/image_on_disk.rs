//! The image does not fit into the RAM of the box, and lies on a disk: it stays there while the box is taken over, and what
//! was checked is what is written.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);
on!(tell_changed: changed_armel = Armel);

/// Less than what the image needs beside the running system.
const RAM_MIB: u32 = 24;
const COMMAND: &str = "/tmp/flasher apply -y --part kernel,rootfs /mnt/data/image.bin";

/// Says by its presence that the disk may keep the record. One line that is no record is in it.
const RECORD: (&str, &[u8]) = ("flasher.record", b"{\"cut off by a power");

/// Changes the first byte of the image when init tells it to end: after all checks, directly before the takeover.
const CHANGER: &[u8] = b"cd /mnt/data\n\
    trap '/oldroot/bin/busybox printf x 1<>image.bin' TERM\n\
    while :; do sleep 1000 & wait $!; done\n";

/// A box that runs A, and what is to be on its flash.
fn ready(story: &str, kind: Kind) -> (Machine, Vec<u8>, Vec<u8>) {
    let mut image = Parts::plain(kind, 'B').image();
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new(story, Parts::plain(kind, 'A'))
        .ram_mib(RAM_MIB)
        .data_disk(&[
            ("flasher", &product),
            ("image.bin", &image),
            ("changer", CHANGER),
            RECORD,
        ]);
    let before = machine.flash();
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    (machine, before, image)
}

fn tell(kind: Kind) {
    let (mut machine, before, image) = ready("image-on-disk", kind);
    // What comes by a pipe has no place where it could stay.
    machine.must("dd if=/dev/null of=/tmp/image.bin bs=1M seek=11 count=0");
    let (status, said) =
        machine.run("cat /tmp/image.bin | /tmp/flasher plan --force=content --part kernel,rootfs --size 11534336 -");
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("copy the image to a disk"), "{said}");
    machine.must("rm /tmp/image.bin");
    // The plan counts what is needed in RAM, and the image is not.
    let plan = machine.must("/tmp/flasher --format json plan --part kernel,rootfs /mnt/data/image.bin");
    assert!(plan.contains("\"ram\":{\"needed\":2097152,"), "{plan}");

    machine.send_line(COMMAND);
    machine.expect("RAM is short: /mnt/data/image.bin stays on /mnt/data", patience(120));
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect("/mnt/data stays mounted, as /disk0", patience(120));
    machine.expect(words::WRITING, patience(120));
    machine.wait_exit(patience(300));
    words::check_memory(words::MOST_MEMORY, &machine.transcript());
    Expected::unchanged(kind, &before)
        .with_image(&PARTITIONS, &image)
        .compare(&machine.flash());
    machine.boot('B');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    // Without the record in the flash, the one on the disk is what is left.
    machine.must("flash_eraseall /dev/mtd4");
    let status = machine.must("/tmp/flasher status");
    for told in ["ok: flash written", " s old root gone", " s verified", " 0 retried"] {
        assert!(status.contains(told), "{told}: {status}");
    }
    // Where others could have given the file its name, or written it, it says nothing.
    for (strange, own) in [
        ("chmod 777 /mnt/data", "chmod 755 /mnt/data"),
        (
            "chmod 666 /mnt/data/flasher.record",
            "chmod 644 /mnt/data/flasher.record",
        ),
    ] {
        machine.must(strange);
        let status = machine.must("/tmp/flasher status");
        assert!(status.contains("no update is on record"), "{strange}: {status}");
        machine.must(own);
        assert!(
            machine.must("/tmp/flasher status").contains("ok: flash written"),
            "{own}"
        );
    }
    machine.must("umount /mnt/data");
    assert!(machine.must("/tmp/flasher status").contains("no update is on record"));
}

fn tell_changed(kind: Kind) {
    let (mut machine, before, _) = ready("image-changed-on-disk", kind);
    machine.must("(sh /mnt/data/changer >/dev/null 2>&1 &)");
    machine.send_line(COMMAND);
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::NOT_AS_CHECKED, patience(120));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before).compare(&machine.flash());
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    status_tells(&mut machine, "untouched");
    machine.must("flash_eraseall /dev/mtd4");
    let status = machine.must("/tmp/flasher status");
    assert!(
        status.contains("failed: flash untouched, image-changed"),
        "on the disk: {status}"
    );
}
