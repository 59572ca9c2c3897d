//! Memory that survives a warm reboot (ramoops) keeps the record where the partition for it is being overwritten.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);

/// The last of the box's 128 MiB, which its kernel is told to leave alone.
const RAMOOPS: &str = "insmod /mnt/data/reed_solomon.ko; insmod /mnt/data/pstore.ko; \
    insmod /mnt/data/ramoops.ko mem_address=0x7f00000 mem_size=0x100000 record_size=0x4000 pmsg_size=0x10000 ecc=0";

fn tell(kind: Kind) {
    let firmware = Parts::plain(kind, 'B');
    let image = firmware.image();
    let product = tools::read(&tools::flasher(kind));
    let modules = ["reed_solomon", "pstore", "ramoops"].map(|name| firmware.module(name));
    let mut machine = Machine::new("pmsg", Parts::plain(kind, 'A'))
        .append("mem=127M")
        .warm_reboots()
        .data_disk(&[
            ("flasher", &product),
            ("image.bin", &image),
            ("reed_solomon.ko", &modules[0]),
            ("pstore.ko", &modules[1]),
            ("ramoops.ko", &modules[2]),
        ]);
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must(RAMOOPS);
    machine.must("test -c /dev/pmsg0");
    machine.send_line(APPLY);
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.comes_up('B');
    copy_from_disk(&mut machine);
    // The partition `flasher` has the record too. Without it, the memory is what is left.
    machine.must("flash_eraseall /dev/mtd4");
    assert!(machine.must("/tmp/flasher status").contains("no update is on record"));
    machine.must(RAMOOPS);
    machine.must("mount -t pstore pstore /sys/fs/pstore");
    let status = machine.must("/tmp/flasher status");
    assert!(status.contains("ok: flash written"), "{status}");
    assert!(status.contains(" s old root gone"), "{status}");
    status_tells(&mut machine, "written");
}
