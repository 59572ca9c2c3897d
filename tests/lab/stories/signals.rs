//! What a person in front of the box sees and hears while PID 1 is at work: the codes for a QNAP's microcontroller
//! (those of Debian's qcontrol), as they come out of the box's second serial port; and LEDs of the kernel's, as they are on the
//! board when the box goes down.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips);

/// A short beep, and red and green blink.
const WRITING: [u8; 2] = [0x50, 0x58];
/// Green, and a long beep.
const DONE: [u8; 2] = [0x56, 0x51];

/// LEDs of QEMU's versatilepb (`versatile-ab.dts`, `leds-syscon.c`); the other boxes have none of that name.
const LEDS: [&str; 2] = ["versatile:3", "versatile:4"];
/// Their bits in the register of all LEDs, and how the monitor shows it (`SYS_LED`, `hw/misc/arm_sysctl.c` of QEMU).
const BITS: u32 = 1 << 3 | 1 << 4;
const REGISTER: &str = "xp /1wx 0x10000008";

const APPLY: &str = "/tmp/flasher apply -y --board /tmp/board.json --part kernel,rootfs /tmp/image.bin";

/// A profile of the user's for the lab's box, with the signals of a TS-219 at the port that the box has.
pub fn profile(kind: Kind) -> Vec<u8> {
    let qnap: Value = serde_json::from_slice(&tools::read(
        &tools::repository().join("src/board/profiles/qnap-ts219.json"),
    ))
    .expect("a profile");
    let mut signals = qnap["signals"].clone();
    signals["port"] = kind.second_port().into();
    signals["leds"] = json!(LEDS);
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
    let machine = Machine::new("signals", Parts::plain(kind, 'A'))
        .second_port()
        .flash_speed(500_000)
        .data_disk(&[
            ("flasher", &product),
            ("image.bin", &image),
            ("board.json", &profile(kind)),
        ]);
    let mut machine = match kind.is_arm() {
        true => machine.stays_at_its_end(),
        false => machine,
    };
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must("cp /mnt/data/board.json /tmp/");
    if kind.is_arm() {
        assert_eq!(lit(&machine), 0, "before");
    }
    machine.send_line(APPLY);
    machine.expect(words::PROVED, patience(120));
    machine.expect("writing", patience(120));
    machine.expect("writing", patience(120));
    assert_eq!(machine.heard(), WRITING, "while PID 1 writes");
    if kind.is_arm() {
        let deadline = Instant::now() + patience(300);
        while !machine.ask_qemu("info status").contains("shutdown") {
            assert!(Instant::now() < deadline, "it does not go down");
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(lit(&machine), BITS, "all is well");
        machine.ask_qemu("quit");
    }
    machine.wait_exit(patience(300));
    assert_eq!(machine.heard(), [WRITING, DONE].concat(), "at the end");
    Expected::unchanged(kind, &before)
        .with_image(&PARTITIONS, &image)
        .compare(&machine.flash());
    machine.boot('B');
}

/// Those of our LEDs that are lit.
fn lit(machine: &Machine) -> u32 {
    let said = machine.ask_qemu(REGISTER);
    let value = said
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("0x"))
        .next_back();
    let value = value.and_then(|word| u32::from_str_radix(word, 16).ok());
    value.unwrap_or_else(|| panic!("{said}")) & BITS
}
