//! Two slots on one chip: the one that does not run is written while the box goes on, and the environment then names it.
//! `fw_printenv` says what the environment is; the boot loader starts what it names.

use super::super::slots::Slots;
use super::tools::patience;
use super::*;

on!(two_copies: armel_two_copies = Armel);
on!(one_copy: armel_one_copy = Armel);

const TO_B: &str = "/tmp/flasher apply -y --board /tmp/board.json --part kernel-b,rootfs-b /tmp/image.bin";
const TO_A: &str = "/tmp/flasher apply -y --board /tmp/board.json --part kernel,rootfs /tmp/image.bin";

/// A box whose slot A runs firmware A; slot B has never been written.
fn a_box(story: &str, slots: Slots, kind: Kind) -> Machine {
    let product = tools::read(&tools::flasher(kind));
    let images = ['A', 'B'].map(|letter| Parts::plain(kind, letter).image());
    // About four seconds for a slot.
    Machine::new(story, Parts::plain(kind, 'A'))
        .flash_speed(3_000_000)
        .two_slots(slots, "bootcmd=run slot\nkept=yes\nslot=a\ntries=0\n")
        .data_disk(&[
            ("flasher", &product),
            ("A.bin", &images[0]),
            ("image.bin", &images[1]),
            ("board.json", slots.profile().as_bytes()),
        ])
}

fn prepare(machine: &mut Machine, image: &str) {
    machine.must("cp /mnt/data/flasher /mnt/data/board.json /tmp/ && chmod +x /tmp/flasher");
    machine.must(&format!("cp /mnt/data/{image} /tmp/image.bin"));
}

/// Panics if anything but these partitions has changed. What lives by itself is left out, as in `flash_file`.
fn only_differs_in(slots: Slots, before: &[u8], after: &[u8], names: &[&str]) {
    let mut expected = before.to_vec();
    for name in names.iter().chain(&["config", "flasher"]) {
        expected[slots.range(name)].copy_from_slice(&after[slots.range(name)]);
    }
    let at = expected.iter().zip(after).position(|(a, b)| a != b);
    assert_eq!(at, None, "the first byte that changed and may not have");
}

fn environment(slot: &str) -> Vec<String> {
    let lines = ["bootcmd=run slot", "kept=yes", &format!("slot={slot}"), "tries=3"];
    lines.map(str::to_owned).to_vec()
}

/// Slot B has the firmware, and not a byte more.
fn slot_b_has(slots: Slots, before: &[u8], after: &[u8], kind: Kind) {
    let mut expected = before.to_vec();
    let start = slots.range("kernel-b").start;
    let image = Parts::plain(kind, 'B').image();
    expected[start..start + image.len()].copy_from_slice(&image);
    let range = start..slots.range("rootfs-b").end;
    assert!(after[range.clone()] == expected[range]);
}

fn two_copies(kind: Kind) {
    let slots = Slots::new(kind, 2);
    let mut machine = a_box("two-slots", slots, kind);
    let before = machine.flash();
    machine.boot('A');
    prepare(&mut machine, "image.bin");
    let devices = machine.must("/tmp/flasher devices --board /tmp/board.json");
    assert!(devices.contains("slots: A boots, B takes the next update"), "{devices}");

    // The power fails while slot B is written: slot A, which nobody touched, boots as ever.
    machine.send_line(&format!("{TO_B} --no-reboot"));
    machine.expect("writing [##", patience(120));
    machine.power_cut();
    let cut = machine.flash();
    assert!(
        cut[slots.range("env")] == before[slots.range("env")],
        "not switched yet"
    );
    only_differs_in(slots, &before, &cut, &["kernel-b", "rootfs-b"]);
    machine.boot('A');

    // The same command again, while the box does its work.
    prepare(&mut machine, "image.bin");
    machine.must("while sleep 1; do echo tick >>/tmp/ticks; done & echo $! >/tmp/worker");
    let said = machine.must(&format!("{TO_B} --no-reboot"));
    assert!(said.contains("slot: A runs, B is written and boots then"), "{said}");
    assert!(said.contains("this one goes on where it stopped"), "{said}");
    machine.must("kill $(cat /tmp/worker) && test -s /tmp/ticks");
    assert_eq!(machine.must("readlink /proc/1/exe").trim(), "/bin/busybox");
    assert!(
        machine.must("cat /etc/firmware").starts_with("A "),
        "what runs is what ran"
    );
    let after = machine.flash();
    only_differs_in(slots, &before, &after, &["kernel-b", "rootfs-b", "env"]);
    slot_b_has(slots, &before, &after, kind);
    assert_eq!(slots.printenv(&after), environment("b"));
    machine.power_cut();
    machine.boot('B');

    // The same command once more finds that it is done; and the way back is an update like any other.
    prepare(&mut machine, "image.bin");
    let again = machine.must(&format!("{TO_B} --no-reboot"));
    assert!(again.contains("nothing to do"), "{again}");
    prepare(&mut machine, "A.bin");
    machine.send_line(TO_A);
    machine.wait_exit(patience(300));
    assert_eq!(slots.printenv(&machine.flash()), environment("a"));
    machine.boot('A');

    // Without an environment nobody knows which slot runs, so none is written; nor with one that names neither.
    machine.power_cut();
    for (variables, problem) in [
        (None, "it is blank"),
        (Some("slot=c\n"), "does not say which slot boots"),
    ] {
        machine.set_environment(variables);
        machine.boot('A');
        prepare(&mut machine, "image.bin");
        let before = machine.flash();
        let (status, said) = machine.run(&format!("{TO_B} 2>&1"));
        assert_eq!(status, 78, "{said}");
        assert!(
            said.contains("refused by check slot") && said.contains(problem),
            "{said}"
        );
        only_differs_in(slots, &before, &machine.flash(), &[]);
        machine.power_cut();
    }
}

fn one_copy(kind: Kind) {
    let slots = Slots::new(kind, 1);
    let mut machine = a_box("one-copy", slots, kind);
    let before = machine.flash();
    machine.boot('A');
    prepare(&mut machine, "image.bin");
    let (status, said) = machine.run(&format!("{TO_B} 2>&1"));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("refused by check one-copy"), "{said}");
    only_differs_in(slots, &before, &machine.flash(), &[]);
    machine.send_line(&format!("{TO_B} --force=one-copy"));
    machine.wait_exit(patience(300));
    let after = machine.flash();
    only_differs_in(slots, &before, &after, &["kernel-b", "rootfs-b", "env"]);
    slot_b_has(slots, &before, &after, kind);
    assert_eq!(slots.printenv(&after), environment("b"));
    machine.boot('B');
}
