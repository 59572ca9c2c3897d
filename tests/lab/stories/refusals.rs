//! Updates that must not begin: each ends with its own exit code, and with the flash and the box as they were.

use super::*;

on!(tell: armel = Armel, mips = Mips);

fn tell(kind: Kind) {
    let (mut machine, _) = box_with_disk("refusals", kind);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    for (case, command, exit) in [
        ("not root", format!("setuidgid nobody {APPLY}"), 77),
        ("no such partition", APPLY.replace("kernel,rootfs", "nosuch"), 78),
        ("image too long", APPLY.replace("kernel,rootfs", "kernel"), 78),
        ("read-only partition", APPLY.replace("kernel,rootfs", "boot"), 78),
    ] {
        let (status, output) = machine.run(&command);
        assert_eq!(status, exit, "{case}: {output}");
    }
    // The first one waits for an image that never comes, and holds the lock meanwhile.
    machine.must("mkfifo /tmp/never; sleep 1000 >/tmp/never & { /tmp/flasher apply -y --part kernel,rootfs - </tmp/never & }; sleep 5");
    let (status, output) = machine.run(APPLY);
    assert_eq!(status, 75, "second flasher: {output}");
    machine.must("killall sleep; wait");
    Expected::unchanged(kind, &before).compare(&machine.flash());
    assert_eq!(machine.must("readlink /proc/1/exe").trim(), "/bin/busybox");
}
