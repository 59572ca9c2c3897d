//! The image does not fit into the RAM of the box.

use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new("little-memory", Parts::plain(kind, 'A'))
        .data_disk(&[("flasher", &product)])
        .ram_mib(48);
    let before = machine.flash();
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher");
    // A file with nothing in it but its length: 48 MiB, which `spare` could take.
    machine.must("dd if=/dev/null of=/tmp/image.bin bs=1M seek=48 count=0");
    let (status, output) = machine.run("/tmp/flasher apply -y --no-reboot --part spare /tmp/image.bin");
    assert_eq!(status, 78, "{output}");
    Expected::unchanged(kind, &before).compare(&machine.flash());
}
