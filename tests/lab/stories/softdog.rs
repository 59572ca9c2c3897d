//! The kernel's own watchdog (softdog) runs and cannot be stopped any more (`nowayout`): not by its owner's orderly end, and not
//! by ours. A daemon of the box feeds it, and would be ended before the flash is written.

use std::time::{Duration, Instant};

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);

/// Seconds after which the watchdog bites.
const TIMEOUT: u64 = 10;
/// Seconds between two meals that the daemon gives it.
const MEALS: u64 = 2;

fn tell(kind: Kind) {
    let (machine, image) = box_with_disk("softdog", kind);
    // So slow that writing takes several times the watchdog's patience.
    let mut machine = machine
        .append(&format!("softdog.nowayout=1 softdog.soft_margin={TIMEOUT}"))
        .flash_speed(150_000);
    let before = machine.flash();

    // It really bites when nobody feeds it, although its owner ended as one should, with the word that stops others.
    machine.boot('A');
    machine.must(
        "grep -i software /sys/class/watchdog/watchdog0/identity && grep 1 /sys/class/watchdog/watchdog0/nowayout",
    );
    let owner = start_owner(&mut machine);
    machine.must(&format!("kill {owner}"));
    machine.wait_exit(patience(6 * TIMEOUT));

    machine.boot('A');
    let owner = start_owner(&mut machine);
    copy_from_disk(&mut machine);
    let devices = machine.must("/tmp/flasher devices");
    let named = format!("watchdog: /dev/watchdog0 running, {TIMEOUT} s, fed by {owner} (watchdog)");
    assert!(devices.contains(&named), "{named:?} is not in\n{devices}");
    machine.send_line(APPLY);
    machine.expect(words::INIT_ENDS_ALL, patience(120));
    let hungry = Instant::now();
    machine.expect(words::FED, patience(120));
    let gap = hungry.elapsed();
    println!(
        "softdog: fed {gap:.1?} after its owner was told to end, at most {} s allowed",
        TIMEOUT - MEALS
    );
    assert!(gap < Duration::from_secs(TIMEOUT - MEALS), "{gap:?}");
    machine.expect(words::WRITING, patience(120));
    let begun = Instant::now();
    becomes_b(&mut machine, &before, &image);
    let took = begun.elapsed().as_secs();
    println!("softdog: writing took {took} s, the watchdog's patience is {TIMEOUT} s");
    assert!(
        took > 2 * TIMEOUT,
        "writing took {took} s: the watchdog had no time to bite"
    );
}

/// Starts the daemon and answers its process id.
fn start_owner(machine: &mut Machine) -> String {
    machine.must(&format!("watchdog -T {TIMEOUT} -t {MEALS} /dev/watchdog0"));
    machine.must("pidof watchdog").trim().to_owned()
}
