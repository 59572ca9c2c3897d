//! Stories with every behaviour that busybox init ever had.
//!
//! Debian's suites have 1.30 and later (`new_inits.rs`); what is older is played by `inits/old_init.c`, which says what it
//! takes from where.

mod common;

use common::{INITTAB, Kind, OldInit, QUICK, STAYS, is_taken_over};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

const VERSIONS: [&str; 5] = ["1.1", "1.9", "1.13", "1.20", "1.24"];

/// Each box is met at another moment of init's main loop.
fn fifty_times(version: &str) {
    for round in 0..50 {
        let the_box = OldInit::of(version).start();
        sleep(Duration::from_millis(round * 7 % 50));
        is_taken_over(the_box, &format!("{version}, round {round}"));
    }
}

#[test]
fn s51_busybox_1_1_is_taken_over_fifty_times() {
    if !common::is_root() {
        return;
    }
    fifty_times("1.1");
}

#[test]
fn s52_busybox_1_9_is_taken_over_fifty_times() {
    if !common::is_root() {
        return;
    }
    fifty_times("1.9");
}

#[test]
fn s53_busybox_1_13_is_taken_over_fifty_times() {
    if !common::is_root() {
        return;
    }
    fifty_times("1.13");
}

#[test]
fn s54_busybox_1_20_is_taken_over_fifty_times() {
    if !common::is_root() {
        return;
    }
    fifty_times("1.20");
}

#[test]
fn s55_busybox_1_24_is_taken_over_fifty_times() {
    if !common::is_root() {
        return;
    }
    fifty_times("1.24");
}

/// What the fifty rounds are about: of `kill -HUP 1; kill -QUIT 1`, each of these inits acts on the
/// second alone and runs the restart line of before, or loses it. (Of two pending signals the kernel runs the handler
/// of the higher number first.)
#[test]
fn s56_a_bare_hup_and_quit_goes_wrong() {
    if !common::is_root() {
        return;
    }
    for version in VERSIONS {
        let the_box = OldInit::of(version).start();
        let expected = if version == "1.24" { "neither" } else { "old" };
        assert_eq!(the_box.restarts_after_bare_signals(), expected, "{version}");
    }
}

/// Before sysinit has ended, HUP is QUIT to some, nothing to others, and something for later to the rest.
#[test]
fn s57_started_during_sysinit() {
    if !common::is_root() {
        return;
    }
    let inittab = format!("::sysinit:/bin/sleep 600\n{INITTAB}");
    for version in VERSIONS {
        let mut the_box = OldInit {
            kind: Kind {
                inittab: Some(&inittab),
                serves: false,
                ..Kind::default()
            },
            ..OldInit::of(version)
        }
        .start();
        the_box.runs("/bin/sleep 600");
        let before = the_box.mounts();
        let output = the_box.apply(&["arm_s=2"]);
        if ["1.1", "1.9"].contains(&version) {
            // `/sbin/init` of the RAM root is ours, and all was ready.
            the_box.until("work done, proof given: true");
            the_box.reboots();
            continue;
        }
        assert_eq!(output.status.code(), Some(71), "{version}: {output:?}");
        the_box.until("everything is as it was");
        assert_eq!(the_box.mounts(), before, "{version}");
        the_box.ends("/bin/sleep 600");
        the_box.wait_until("the service starts", |this| this.service().is_some());
        is_taken_over(the_box, version);
    }
}

#[test]
fn s58_sysinit_ends_while_stage_one_waits() {
    if !common::is_root() {
        return;
    }
    let inittab = format!("::sysinit:/bin/sleep 600\n{INITTAB}");
    for version in ["1.13", "1.20", "1.24"] {
        let mut the_box = OldInit {
            kind: Kind {
                inittab: Some(&inittab),
                serves: false,
                ..Kind::default()
            },
            ..OldInit::of(version)
        }
        .start();
        the_box.runs("/bin/sleep 600");
        let caller = the_box
            .command(&[], &["/box", "apply", &the_box.name, QUICK[0], QUICK[1]])
            .spawn()
            .expect("runs");
        the_box.until("asked to re-read");
        the_box.ends("/bin/sleep 600");
        the_box.until("work done, proof given: true");
        the_box.reboots();
        let _ = caller.wait_with_output();
    }
}

/// An inittab that other people have written.
const ODD: &str = "\
::sysinit:/bin/true
::wait:/bin/true
::once:/bin/true
   # a comment, and a blank line

::respawn:/bin/sh /etc/service
/dev/console::askfirst:-/bin/sh
console::askfirst:/bin/sh
a-terminal-name-of-more-than-thirty-one-characters::respawn:/bin/sleep 60
tts/0:12345:respawn:/bin/sleep 61
id:3:initdefault:
S:
::restart:/sbin/init
::restart:/bin/false
null::shutdown:/bin/umount -a -r
::ctrlaltdel:/bin/reboot
::respawn:/bin/sleep 62 #: colons: and: more
";

/// [`ODD`], with a line whose tail is a restart line to those who read 255 bytes at a time, and one that is only long.
fn odd() -> String {
    let trap = format!("::once:/bin/true {}", "x".repeat(255 - 17));
    format!(
        "{trap}::restart:/bin/false\n::once:/bin/true {}\n{ODD}",
        "y ".repeat(200)
    )
}

#[test]
fn s59_long_lines_odd_ids_askfirst_and_shutdown_lines() {
    if !common::is_root() {
        return;
    }
    let odd = odd();
    for version in VERSIONS {
        let kind = Kind {
            inittab: Some(&odd),
            ..Kind::default()
        };
        let odd = OldInit {
            kind,
            ..OldInit::of(version)
        };
        is_taken_over(odd.start(), version);
    }
}

/// Up to 1.4 an empty id is the console that init found at its start; here the RAM root has no such node.
#[test]
fn s60_the_console_of_init_is_not_in_the_ram_root() {
    if !common::is_root() {
        return;
    }
    let init = OldInit {
        words: "console=/dev/ttyQ7",
        kind: Kind {
            dev_is_mounted: false,
            setup: "mkfifo dev/ttyQ7",
            ..Kind::default()
        },
        ..OldInit::of("1.1")
    };
    is_taken_over(init.start(), "1.1");
}

/// Init halts the box when it cannot open the terminal of the restart line.
#[test]
fn s61_a_box_without_a_console() {
    if !common::is_root() {
        return;
    }
    for version in VERSIONS {
        let init = OldInit {
            words: "console=/dev/null",
            kind: Kind {
                setup: "rm dev/console",
                ..Kind::default()
            },
            ..OldInit::of(version)
        };
        is_taken_over(init.start(), version);
    }
}

#[test]
fn s62_init_built_without_inittab_restarts_into_us_all_the_same() {
    if !common::is_root() {
        return;
    }
    for version in VERSIONS {
        let init = OldInit {
            words: "noinittab",
            kind: Kind {
                inittab: None,
                ..Kind::default()
            },
            ..OldInit::of(version)
        };
        is_taken_over(init.start(), version);
    }
}

/// The caller is a child of a respawn line, and init was built to end what vanishes from the inittab.
#[test]
fn s63_feature_kill_removed_does_not_kill_the_caller() {
    if !common::is_root() {
        return;
    }
    for version in ["1.13", "1.20", "1.24"] {
        let mut the_box = OldInit {
            words: "killremoved",
            ..OldInit::of(version)
        }
        .start();
        let script = format!(
            "echo $$ >/tmp/service; exec /box apply {} grace_ms=50 exit_ms=1000 >/mnt/data/said 2>&1",
            the_box.name
        );
        fs::write(the_box.root().join("etc/service"), script).expect("written");
        let pid = the_box.serving();
        the_box.run(&[], &["/bin/busybox", "kill", pid.trim()]);
        let seen = the_box.until("work done, proof given: true");
        assert!(
            seen.iter().any(|line| line.contains("last line")),
            "{version}: {seen:?}"
        );
        the_box.reboots();
    }
}

/// Somebody else keeps sending signals, and one variable holds only the last: both HUP and QUIT are lost now and then.
#[test]
fn s64_signals_of_others_overwrite_ours() {
    if !common::is_root() {
        return;
    }
    let mut the_box = OldInit::of("1.24").start();
    let mut storm = the_box
        .command(
            &[],
            &["/bin/busybox", "sh", "-c", "while :; do kill -HUP 1; kill -INT 1; done"],
        )
        .spawn()
        .expect("runs");
    let output = the_box.apply(&QUICK);
    assert!(output.status.success(), "{output:?}");
    the_box.until("work done, proof given: true");
    the_box.reboots();
    let _ = storm.wait();
}

/// `kill -9` of every other process, at each stage: everything was ready, so init is told by the marker.
#[test]
fn s65_every_other_process_is_killed() {
    if !common::is_root() {
        return;
    }
    for (version, moment) in [
        ("1.9", "re-read its inittab after"),
        ("1.24", "re-read its inittab after"),
        ("1.20", "caller: last line"),
        ("1.13", "asked to re-read"),
    ] {
        let mut the_box = OldInit::of(version).start();
        let slow = if moment.contains("last line") {
            "slow_ms=0"
        } else {
            "slow_ms=300"
        };
        let mut caller = the_box
            .command(
                &[],
                &["/box", "apply", &the_box.name, slow, "exit_ms=8000", "grace_ms=8000"],
            )
            .spawn()
            .expect("runs");
        the_box.until(moment);
        the_box.run(&[], &["/oldroot/bin/busybox", "kill", "-KILL", "-1"]);
        the_box.until("work done, proof given: true");
        the_box.reboots();
        let _ = caller.wait();
    }
}

/// What sessions and terminals send, to stage one and its caller, at each step of it. The caller has no handlers of its own
/// and ends, as with its session.
#[test]
fn s66_signals_to_stage_one_make_no_difference() {
    if !common::is_root() {
        return;
    }
    for moment in [
        "goes on as process",
        "RAM root is /",
        "asked to re-read",
        "re-read its inittab after",
    ] {
        for signals in [&["-HUP", "-INT", "-QUIT"][..], &["-PIPE", "-TERM", "-USR1"]] {
            let mut the_box = OldInit::of("1.24").start();
            // What it is told ends the caller, and stage one waits for that.
            let name = the_box.name.clone();
            let words = [&["/box", "apply", &name, "slow_ms=200"], &STAYS[..]].concat();
            let line = words.join(" ");
            let mut caller = the_box.command(&[], &words).spawn().expect("runs");
            the_box.until(moment);
            let mut told = 0;
            for signal in signals {
                for pid in the_box.pids(&line) {
                    // The hand-over goes on meanwhile: a process that was listed may have ended as it should.
                    told += usize::from(common::signals(signal, pid));
                }
            }
            assert_ne!(told, 0, "{moment}: nobody was there to be told");
            the_box.until("work done, proof given: true");
            the_box.reboots();
            let _ = caller.wait();
        }
    }
}

/// The caller says that the takeover goes on before stage one has got anywhere: signals that arrive by then end it no more than
/// later ones.
#[test]
fn no_signal_comes_before_stage_one_is_deaf_to_it() {
    if !common::is_root() {
        return;
    }
    // What ignoring a signal takes.
    let slow = "inject=rt_sigaction:delay_enter=100000";
    let strace = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=rt_sigaction",
        "-e",
        slow,
    ];
    let mut the_box = OldInit::of("1.24").start();
    let name = the_box.name.clone();
    let words = [&["/box", "apply", &name][..], &STAYS[..]].concat();
    let mut caller = the_box.command(&strace, &words).spawn().expect("runs");
    the_box.until("goes on as process");
    let all = the_box.pids(&words.join(" "));
    assert_eq!(all.len(), 2, "the caller and stage one");
    for pid in all {
        assert!(common::signals("-USR2", pid));
    }
    the_box.until("work done, proof given: true");
    the_box.reboots();
    let _ = caller.wait();
}
