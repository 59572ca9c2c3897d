//! A hardware watchdog runs. Its owner dies with the old system; without a new one the box would reset mid-erase.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);

/// Seconds after which the watchdog bites.
const TIMEOUT: u64 = 10;

fn tell(kind: Kind) {
    let (machine, image) = box_with_disk("watchdog", kind);
    // So slow that writing takes several times the watchdog's patience.
    let mut machine = machine.device("i6300esb").flash_speed(150_000);
    let before = machine.flash();

    // It really bites when its owner is gone.
    machine.boot('A');
    machine.must("grep -i i6300esb /sys/class/watchdog/watchdog0/identity");
    start_owner(&mut machine);
    machine.send_line("killall -KILL watchdog");
    machine.wait_exit(patience(6 * TIMEOUT));

    machine.boot('A');
    start_owner(&mut machine);
    copy_from_disk(&mut machine);
    machine.send_line(APPLY);
    machine.expect(words::FED, patience(120));
    let begun = std::time::Instant::now();
    becomes_b(&mut machine, &before, &image);
    let took = begun.elapsed().as_secs();
    assert!(
        took > 2 * TIMEOUT,
        "writing took {took} s: the watchdog of the old system had no time to bite"
    );
}

fn start_owner(machine: &mut Machine) {
    machine.must(&format!("watchdog -T {TIMEOUT} -t 2 /dev/watchdog0"));
}
