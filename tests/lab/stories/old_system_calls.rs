//! The kernel knows no system call that is newer than Linux 2.6.32, as the kernels of the oldest boxes do not: the whole box runs
//! under a filter that answers ENOSYS to all others (`tests/lab/box/linux-2.6.32.c`), and what PID 1 executes inherits it.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips);

/// Where the program with the filter is in the firmware.
const FILTER: &str = "/sbin/linux-2.6.32";

fn tell(kind: Kind) {
    let firmware = |letter| {
        let program = made(kind).join("linux-2.6.32");
        Firmware::new(kind, letter).program(FILTER, program).pack()
    };
    let (old, new) = (firmware('A'), firmware('B'));
    let (image, product) = (new.image(), tools::read(&tools::flasher(kind)));
    let mut machine = Machine::new("old-system-calls", &old)
        .data_disk(&[("flasher", &product), ("image.bin", &image)])
        .append(&format!("init={FILTER}"));
    let before = machine.flash();
    machine.boot('A');
    let transcript = machine.transcript();
    assert!(
        transcript.contains("linux-2.6.32: 10 of 10 newer calls worked, 0 work now"),
        "the kernel without the filter knows them all, and init knows none:\n{transcript}"
    );
    // So do those whom init starts.
    let shell = machine.must(&format!("{FILTER} /bin/true"));
    assert!(shell.contains("linux-2.6.32: 0 of 10 newer calls worked"), "{shell}");

    copy_from_disk(&mut machine);
    let devices = machine.must("/tmp/flasher devices");
    assert!(devices.contains("rootfs"), "{devices}");
    machine.send_line(APPLY);
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::WRITING, patience(120));
    becomes_b(&mut machine, &before, &image);
    words::check_memory(words::MOST_MEMORY, &machine.transcript());
    copy_from_disk(&mut machine);
    status_tells(&mut machine, "written");
}
