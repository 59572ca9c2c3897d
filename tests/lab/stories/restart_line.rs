//! The firmware builder has put the program into the image, and init's restart line starts it.

use super::tools::{flasher, patience};
use super::*;

on!(tell: armel = Armel, mips = Mips);
on!(tell_unheld: unheld_armel = Armel);
on!(tell_unprepared: unprepared_armel = Armel, unprepared_mips = Mips);

fn firmware(kind: Kind) -> Parts {
    Firmware::new(kind, 'A')
        .program("/sbin/flasher", flasher(kind))
        .restart("/sbin/flasher")
        .pack()
}

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let mut machine = Machine::new("restart-line", &firmware(kind)).data_disk(&[("image.bin", &image)]);
    let before = machine.flash();
    machine.boot('A');
    machine.must("cp /mnt/data/image.bin /tmp/");
    machine.must("/sbin/flasher apply --prepare -y --part kernel,rootfs /tmp/image.bin");
    // Preparing does not take over: the shell is still there to be told.
    machine.send_line("kill -QUIT 1");
    machine.expect(words::AS_PID_ONE, patience(120));
    becomes_b(&mut machine, &before, &image);
}

/// What nobody uses could be written at once; but that is not what was asked for.
fn tell_unheld(kind: Kind) {
    let content = b"\x02written when init restarts, and not before\n".repeat(3000);
    let mut machine = Machine::new("restart-line-unheld", &firmware(kind)).data_disk(&[("spare.bin", &content)]);
    let before = machine.flash();
    machine.boot('A');
    machine.must("cp /mnt/data/spare.bin /tmp/");
    machine.must("/sbin/flasher apply --prepare -y --part spare /tmp/spare.bin");
    Expected::unchanged(kind, &before).compare(&machine.flash());
    machine.send_line("kill -QUIT 1");
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.wait_exit(patience(120));
    Expected::unchanged(kind, &before)
        .with_image(&["spare"], &content)
        .compare(&machine.flash());
}

/// A box must not hang because someone sent init a signal.
fn tell_unprepared(kind: Kind) {
    let mut machine = Machine::new("restart-line-unprepared", &firmware(kind));
    let before = machine.flash();
    machine.boot('A');
    machine.send_line("kill -QUIT 1");
    machine.expect(words::NOTHING_PREPARED, patience(120));
    // Whether it starts init or the whole box again is its own affair.
    machine.comes_up_or_reboots('A');
    Expected::unchanged(kind, &before).compare(&machine.flash());
}
