//! Stories with every behaviour that busybox init ever had.
//!
//! Debian's suites have 1.30 and later; what is older is played by `inits/old_init.c`, which says what it takes from
//! where.

mod common;

use common::{Kind, LittleBox, OldInit};
use std::time::Duration;

const QUICK: [&str; 2] = ["grace_ms=50", "exit_ms=1000"];

/// Takes over fifty boxes, one after the other, each at another moment of init's main loop.
fn fifty_times(init: &OldInit<'_>) {
    for round in 0..50 {
        let mut the_box = init.start();
        std::thread::sleep(Duration::from_millis(round * 7 % 50));
        let output = the_box.apply(&QUICK);
        assert!(output.status.success(), "round {round}: {output:?}");
        the_box.until("work done, proof given: true");
        the_box.reboots();
    }
}

#[test]
fn s50_busybox_1_1_is_taken_over_fifty_times() {
    fifty_times(&OldInit::of("1.1"));
}
