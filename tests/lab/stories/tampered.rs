//! The image in RAM changes after it was checked: what was checked is what is written, or nothing is.

use super::tools::{flasher, patience};
use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let firmware = Firmware::new(kind, 'A')
        .program("/sbin/flasher", flasher(kind))
        .restart("/sbin/flasher")
        .pack();
    let mut machine = Machine::new("tampered", &firmware).data_disk(&[("image.bin", &image)]);
    let before = machine.flash();
    machine.boot('A');
    machine.must("cp /mnt/data/image.bin /tmp/");
    machine.must("/sbin/flasher apply --prepare -y --part kernel,rootfs /tmp/image.bin");
    machine.must("printf x >>/run/flasher/image");
    machine.send_line("kill -QUIT 1");
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::NOT_AS_CHECKED, patience(120));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before).compare(&machine.flash());
    machine.boot('A');
    let status = machine.must("/sbin/flasher --format json status");
    assert_eq!(
        words::field(&status, "code").as_deref(),
        Some("image-changed"),
        "{status}"
    );
}
