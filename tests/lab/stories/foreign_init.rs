//! PID 1 is no busybox init, so nobody can be made to start us: refused before anything is touched.

use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let (machine, _) = box_with_disk("foreign-init", kind);
    let mut machine = machine.append("init=/bin/sh");
    let before = machine.flash();
    machine.boot_to_shell();
    copy_from_disk(&mut machine);
    let (status, output) = machine.run(APPLY);
    assert_eq!(status, 78, "{output}");
    assert!(output.contains("busybox init") && output.contains("next:"), "{output}");
    Expected::unchanged(kind, &before).compare(&machine.flash());
    // What nothing uses can be written all the same.
    machine.must("/tmp/flasher apply -y --no-reboot --part spare /tmp/image.bin");
}
