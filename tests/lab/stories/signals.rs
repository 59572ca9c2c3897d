//! What a person in front of the box sees and hears while PID 1 is at work: the codes for a QNAP's microcontroller
//! (those of Debian's qcontrol), as they come out of the box's second serial port.

use serde_json::{Value, json};

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips);

/// A short beep, and red and green blink.
const WRITING: [u8; 2] = [0x50, 0x58];
/// Green, and a long beep.
const DONE: [u8; 2] = [0x56, 0x51];

const APPLY: &str = "/tmp/flasher apply -y --board /tmp/board.json --part kernel,rootfs /tmp/image.bin";

/// A profile of the user's for the lab's box, with the signals of a TS-219 at the port that the box has.
pub fn profile(kind: Kind) -> Vec<u8> {
    let qnap: Value = serde_json::from_slice(&tools::read(
        &tools::repository().join("src/board/profiles/qnap-ts219.json"),
    ))
    .expect("a profile");
    let mut signals = qnap["signals"].clone();
    signals["port"] = kind.second_port().into();
    let partitions: Vec<Value> = kind
        .partitions()
        .iter()
        .enumerate()
        .map(|(mtd, p)| json!({ "mtd": mtd, "name": p.name, "offset": p.offset, "size": p.size }))
        .collect();
    let profile = json!({
        "id": "lab",
        "name": "a box of the lab",
        "chip": { "kind": "nor", "size": kind.flash_size(), "erase_size": kind.erase_size() },
        "ram": 128 << 20,
        "partitions": partitions,
        "record": "flasher",
        "signals": signals,
    });
    profile.to_string().into_bytes()
}

fn tell(kind: Kind) {
    let image = Parts::plain(kind, 'B').image();
    let product = tools::read(&tools::flasher(kind));
    // So slow that there is time to listen meanwhile.
    let mut machine = Machine::new("signals", Parts::plain(kind, 'A'))
        .second_port()
        .flash_speed(500_000)
        .data_disk(&[
            ("flasher", &product),
            ("image.bin", &image),
            ("board.json", &profile(kind)),
        ]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("cp /mnt/data/board.json /tmp/");
    machine.send_line(APPLY);
    machine.expect(words::PROVED, patience(120));
    machine.expect("writing", patience(120));
    machine.expect("writing", patience(120));
    assert_eq!(machine.heard(), WRITING, "while PID 1 writes");
    machine.wait_exit(patience(300));
    assert_eq!(machine.heard(), [WRITING, DONE].concat(), "at the end");
    Expected::unchanged(kind, &before)
        .with_image(&PARTITIONS, &image)
        .compare(&machine.flash());
    machine.boot('B');
}
