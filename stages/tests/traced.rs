//! Stories of an init under ptrace(2), with `inits/stubborn.c`, which looks after itself: what fails is not to be noticed.

mod common;

use common::{Kind, LittleBox, STAYS, example_of_32_bits, is_taken_over, looks, signal, stubborn};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How init calls the kernel, and of how many bits it is.
const MANNERS: [(&str, u32); 9] = [
    ("nanosleep", 64),
    ("read", 64),
    ("sigtimedwait", 64),
    ("signals", 64),
    ("threads", 64),
    ("nanosleep", 32),
    ("read", 32),
    ("sigtimedwait", 32),
    ("signals", 32),
];

/// Those that a program of 32 bits can take over: of an init of 64 bits it sees half of each register.
fn of_32_bits() -> impl Iterator<Item = (&'static str, u32)> {
    MANNERS.into_iter().filter(|(_, bits)| *bits == 32)
}

/// A box with such an init, and with this program to take it over; `None` for the example as it is.
fn start(manner: &str, bits: u32, program: Option<&Path>) -> LittleBox {
    let the_box = LittleBox::of(&Kind {
        init: Some(&stubborn(bits)),
        exec: &format!("/sbin/init {manner}"),
        program,
        ..Kind::default()
    });
    assert_eq!(looks(&the_box), "/sbin/init: Ptrace", "{manner} {bits}");
    the_box
}

fn rounds(the_box: &LittleBox) -> u64 {
    let text = fs::read_to_string(the_box.root().join("tmp/rounds")).or_else(|_| {
        // After the pivot.
        fs::read_to_string(the_box.root().join("oldroot/tmp/rounds"))
    });
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The old root has what init writes; after the pivot its paths lead into the RAM root.
fn wrote(the_box: &LittleBox, name: &str) -> bool {
    ["tmp", "oldroot/tmp"]
        .iter()
        .any(|place| the_box.root().join(place).join(name).exists())
}

fn is_untampered(the_box: &LittleBox, story: &str) {
    assert!(!wrote(the_box, "tampered"), "{story}");
}

#[test]
fn an_init_is_made_to_execute_us_whatever_it_does() {
    if !common::is_root() {
        return;
    }
    for (manner, bits) in MANNERS {
        is_taken_over(start(manner, bits, None), &format!("{manner}, {bits} bits"));
    }
}

#[test]
#[ignore = "needs cross/build box-i586: tests/run"]
fn a_program_of_32_bits_makes_an_init_of_32_bits_execute_it() {
    if !common::is_root() {
        return;
    }
    for (manner, bits) in of_32_bits() {
        is_taken_over(start(manner, bits, Some(&example_of_32_bits())), manner);
    }
}

/// It could not put the registers back.
#[test]
#[ignore = "needs cross/build box-i586: tests/run"]
fn a_program_of_32_bits_leaves_an_init_of_64_bits_alone() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::of(&Kind {
        init: Some(&stubborn(64)),
        exec: "/sbin/init nanosleep",
        program: Some(&example_of_32_bits()),
        ..Kind::default()
    });
    assert!(looks(&the_box).contains("take the flasher for the kernel's"));
    let (before, mounts) = (rounds(&the_box), the_box.mounts());
    let output = the_box.apply(&[]);
    assert!(!output.status.success(), "{output:?}");
    the_box.wait_until("init goes on", |this| rounds(this) > before + 1);
    assert_eq!(the_box.mounts(), mounts);
    is_untampered(&the_box, "64 bits");
}

#[test]
fn an_init_does_not_notice_an_execve_that_fails() {
    if !common::is_root() {
        return;
    }
    for (manner, bits) in MANNERS {
        goes_on_when_execve_fails(manner, bits, None);
    }
}

#[test]
#[ignore = "needs cross/build box-i586: tests/run"]
fn an_init_of_32_bits_does_not_notice_an_execve_that_fails_by_a_program_of_32_bits() {
    if !common::is_root() {
        return;
    }
    for (manner, bits) in of_32_bits() {
        goes_on_when_execve_fails(manner, bits, Some(&example_of_32_bits()));
    }
}

/// What it is to execute cannot be executed for a while: memory, registers and signals are put back, and init goes on with what it
/// did. The last word is repeated, and then it is heard.
fn goes_on_when_execve_fails(manner: &str, bits: u32, program: Option<&Path>) {
    let story = format!("{manner}, {bits} bits");
    let mut the_box = start(manner, bits, program);
    let name = the_box.name.clone();
    let words = [&["/box", "apply", &name], &STAYS[..]].concat();
    let mut caller = the_box.command(&[], &words).spawn().expect("runs");
    the_box.until("hands over now");
    let ours = the_box.root().join("flasher");
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o000)).expect("set");
    // The RAM root has a /tmp of its own for init, from now on.
    let _ = fs::create_dir(the_box.root().join("tmp"));
    the_box.ends_caller();
    let _ = caller.wait();
    // The last word comes now; five more seconds until it is repeated.
    sleep(Duration::from_millis(3000));
    assert!(the_box.is_up(), "{story}");
    assert_eq!(the_box.comm(), "init", "{story}");
    let before = rounds(&the_box);
    the_box.wait_until("init goes on", |this| rounds(this) > before + 1);
    if manner == "signals" {
        fs::write(the_box.root().join("tmp/enough"), "").expect("written");
        the_box.wait_until("every signal has come", |this| wrote(this, "all-came"));
    }
    is_untampered(&the_box, &story);
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o755)).expect("set");
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

/// Stopped from outside, it is taken over all the same.
#[test]
fn an_init_that_is_stopped_is_made_to_execute_us() {
    if !common::is_root() {
        return;
    }
    for (manner, bits) in [("nanosleep", 64), ("read", 64), ("signals", 32)] {
        is_taken_over_while_stopped(manner, bits, None);
    }
}

#[test]
#[ignore = "needs cross/build box-i586: tests/run"]
fn an_init_that_is_stopped_is_made_to_execute_a_program_of_32_bits() {
    if !common::is_root() {
        return;
    }
    for (manner, bits) in of_32_bits() {
        is_taken_over_while_stopped(manner, bits, Some(&example_of_32_bits()));
    }
}

fn is_taken_over_while_stopped(manner: &str, bits: u32, program: Option<&Path>) {
    let the_box = start(manner, bits, program);
    signal("-STOP", the_box.init);
    is_taken_over(the_box, &format!("{manner}, {bits} bits, stopped"));
}
