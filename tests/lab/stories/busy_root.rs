//! Something holds the old root and cannot be ended, so the flash is not touched.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips);

fn tell(kind: Kind) {
    let (mut machine, _) = box_with_disk("busy-root", kind);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.send_line("lab-stuck /mnt/data &");
    machine.expect("is frozen", patience(60));
    machine.send_line(APPLY);
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::UNKILLABLE, patience(120));
    // Told apart from what is only slow to die.
    machine.expect("(lab-stuck) in uninterruptible sleep", patience(10));
    machine.expect("(lab-stuck, in uninterruptible sleep), ", patience(120));
    machine.wait_exit(patience(300));
    Expected::unchanged(kind, &before).compare(&machine.flash());
    machine.boot('A');
    copy_from_disk(&mut machine);
    status_tells(&mut machine, "untouched");
}
