//! What a person in front of the box sees and hears while PID 1 is at work: the codes for a QNAP's microcontroller
//! (FACTS §8), as they come out of the box's second serial port.

use serde_json::{Value, json};

use super::tools::patience;
use super::*;

on!(well: armel = Armel, mips = Mips);
on!(badly: armel_that_fails = Armel);

/// A short beep, and red and green blink.
const WRITING: [u8; 2] = [0x50, 0x58];
/// Green, and a long beep.
const DONE: [u8; 2] = [0x56, 0x51];
/// Red blinks, and three long beeps.
const FAILED: [u8; 4] = [0x54, 0x51, 0x51, 0x51];

const APPLY: &str = "/tmp/flasher apply -y --board /tmp/board.json --part kernel,rootfs /tmp/image.bin";

/// A profile of the user's for the lab's box, with the signals of a TS-219 at the port that the box has.
fn profile(kind: Kind) -> Vec<u8> {
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

fn prepared(story: &str, kind: Kind) -> (Machine, Vec<u8>) {
    let image = Parts::plain(kind, 'B').image();
    let product = tools::read(&tools::flasher(kind));
    let machine = Machine::new(story, Parts::plain(kind, 'A')).second_port().data_disk(&[
        ("flasher", &product),
        ("image.bin", &image),
        ("board.json", &profile(kind)),
    ]);
    (machine, image)
}

fn start(machine: &mut Machine) {
    machine.boot('A');
    copy_from_disk(machine);
    machine.must("cp /mnt/data/board.json /tmp/");
    machine.send_line(APPLY);
}

fn well(kind: Kind) {
    let (machine, image) = prepared("signals", kind);
    // So slow that there is time to listen meanwhile.
    let mut machine = machine.flash_speed(500_000);
    let before = machine.flash();
    start(&mut machine);
    machine.expect(words::PROVED, patience(120));
    machine.expect("writing", patience(120));
    machine.expect("writing", patience(120));
    assert_eq!(machine.heard(), WRITING, "while PID 1 writes");
    machine.wait_exit(patience(300));
    assert_eq!(machine.heard(), [WRITING, DONE].concat(), "at the end");
    becomes_b_by_now(&mut machine, &before, &image);
}

/// Asserts that the flash holds the image and that it boots.
fn becomes_b_by_now(machine: &mut Machine, before: &[u8], image: &[u8]) {
    Expected::unchanged(machine.kind, before)
        .with_image(&PARTITIONS, image)
        .compare(&machine.flash());
    machine.boot('B');
}

/// The chip takes no erase any more.
fn badly(kind: Kind) {
    let (machine, _) = prepared("signals-of-failure", kind);
    let mut machine = machine.broken_flash();
    let before = machine.flash();
    start(&mut machine);
    machine.expect(words::PROVED, patience(120));
    machine.wait_exit(patience(300));
    println!("{:x?}", machine.heard());
    assert_eq!(machine.heard(), [&WRITING[..], &FAILED].concat());
    assert_eq!(machine.flash(), before);
}
