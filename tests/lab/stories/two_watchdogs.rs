//! A box with two watchdogs that run, besides one that does not: both are taken over and fed, and one that takes no food stops
//! the update before anything is written.

use std::time::Instant;

use super::tools::patience;
use super::*;

/// Seconds after which each bites, and between two meals.
const TIMEOUT: u64 = 15;
const MEALS: u64 = 3;

fn boot(story: &str) -> (Machine, Vec<u8>) {
    let kind = Kind::Armel;
    let image = Parts::plain(kind, 'B').image();
    let product = tools::read(&tools::flasher(kind));
    let module = tools::module("two_watchdogs");
    let files: [(&str, &[u8]); 3] = [
        ("flasher", &product),
        ("image.bin", &image),
        ("two_watchdogs.ko", &module),
    ];
    let machine = Machine::new(story, Parts::plain(kind, 'A')).data_disk(&files);
    // So slow that writing takes several times their patience.
    (machine.flash_speed(75_000), image)
}

/// The devices of both, each with its owner.
fn start(machine: &mut Machine, timeout: u64) -> Vec<String> {
    machine.must(&format!("insmod /mnt/data/two_watchdogs.ko timeout={timeout}"));
    let list = "(cd /sys/class/watchdog && grep -l two_watchdogs */identity)";
    let found = machine.must(list);
    let names: Vec<String> = found
        .split_whitespace()
        .filter_map(|line| Some(line.strip_suffix("/identity")?.to_owned()))
        .collect();
    assert_eq!(names.len(), 2, "{found}");
    for name in &names {
        machine.must(&format!("watchdog -T {timeout} -t {MEALS} /dev/{name}"));
    }
    names
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn both_are_fed() {
    let (mut machine, image) = boot("two-watchdogs");
    let before = machine.flash();

    // The second really bites when its owner is gone, whatever becomes of the first.
    machine.boot('A');
    start(&mut machine, TIMEOUT);
    machine.send_line("kill -KILL $(pidof watchdog | cut -d' ' -f1)");
    machine.expect("bites", patience(6 * TIMEOUT));
    machine.wait_exit(patience(60));

    machine.boot('A');
    let names = start(&mut machine, TIMEOUT);
    copy_from_disk(&mut machine);
    let devices = machine.must("/tmp/flasher devices");
    let plan = machine.must("/tmp/flasher plan --part kernel,rootfs /tmp/image.bin");
    for name in &names {
        let told = format!("/dev/{name} running, {TIMEOUT} s, fed by ");
        assert!(devices.contains(&told), "{told:?} is not in\n{devices}");
        assert!(plan.contains(&told), "{told:?} is not in\n{plan}");
    }
    machine.send_line(APPLY);
    for _ in &names {
        machine.expect(words::FED, patience(120));
    }
    let begun = Instant::now();
    becomes_b(&mut machine, &before, &image);
    let took = begun.elapsed().as_secs();
    assert!(took > 2 * TIMEOUT, "writing took {took} s: they had no time to bite");
}

#[test]
#[ignore = "needs the lab: tests/run"]
fn one_that_takes_no_food_stops_the_update() {
    let (mut machine, _) = boot("deaf-watchdog");
    let before = machine.flash();
    machine.boot('A');
    let names = start(&mut machine, 100);
    copy_from_disk(&mut machine);
    machine.must("echo 1 >/sys/module/two_watchdogs/parameters/deaf");
    machine.send_line(APPLY);
    machine.expect(&format!("/dev/{} runs and cannot be fed", names[1]), patience(120));
    machine.wait_exit(patience(120));
    Expected::unchanged(Kind::Armel, &before).compare(&machine.flash());
    machine.boot('A');
}
