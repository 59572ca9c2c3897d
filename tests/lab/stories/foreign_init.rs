//! PID 1 is a shell, which executes nothing by itself. It is made to by ptrace, and the firmware is replaced.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips, mipsel = Mipsel);

fn tell(kind: Kind) {
    let (machine, image) = box_with_disk("foreign-init", kind);
    let mut machine = machine.append("init=/bin/sh");
    let before = machine.flash();
    machine.boot_to_shell();
    copy_from_disk(&mut machine);
    let plan = machine.must(&APPLY.replace("apply", "plan -v").replace("-y ", ""));
    assert!(plan.contains("can be taken over (way: ptrace)"), "{plan}");
    let mut expected = Expected::unchanged(kind, &before);
    // Whatever init is, what nothing uses can be written in place; the image fits where blocks are long.
    if kind.is_arm() {
        machine.must("/tmp/flasher apply -y --no-reboot --part spare /tmp/image.bin");
        expected = expected.with_image(&["spare"], &image);
    }
    machine.send_line(APPLY);
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::PROVED, patience(60));
    machine.wait_exit(patience(300));
    expected.with_image(&PARTITIONS, &image).compare(&machine.flash());
    machine.boot_to_shell();
    copy_from_disk(&mut machine);
    status_tells(&mut machine, "written");
}
