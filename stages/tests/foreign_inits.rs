//! Stories with the inits of other people, real ones from Debian's packages.

mod common;

use common::boxes::{openrc, stubborn_box, stubborn_inits, systemd, sysvinit};
use common::{LittleBox, QUICK, is_taken_over, looks, signal};

#[test]
fn s80_sysvinit_starts_us_anew_as_telinit_u_does() {
    if !common::is_root() {
        return;
    }
    let the_box = sysvinit();
    assert_eq!(looks(&the_box), "sysvinit: Initctl");
    is_taken_over(the_box, "sysvinit");
}

#[test]
fn s81_sysvinit_that_does_not_listen_is_left_as_it_was() {
    if !common::is_root() {
        return;
    }
    let mut the_box = sysvinit();
    let before = the_box.mounts();
    signal("-STOP", the_box.init);
    let output = the_box.apply(&["arm_s=1"]);
    signal("-CONT", the_box.init);
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did not open its FIFO /run/initctl within 1 s"), "{said}");
    assert_eq!(the_box.mounts(), before);
    the_box.service_is_respawned();
    // And it can be taken over after all: its FIFO is the one of the old root again.
    the_box.forget_reports();
    assert!(the_box.apply(&QUICK).status.success());
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

#[test]
fn s82_systemd_executes_us_in_its_own_place() {
    if !common::is_root() {
        return;
    }
    for (suite, others, version) in [
        ("bookworm", &["libip4tc2", "libssl3"][..], "systemd 252"),
        ("trixie", &["libssl3t64", "zlib1g"][..], "systemd 257"),
    ] {
        let the_box = systemd(suite, others);
        assert!(looks(&the_box).starts_with(version), "{}", looks(&the_box));
        is_taken_over(the_box, version);
    }
}

#[test]
fn openrc_init_executes_us_when_its_fifo_says_so() {
    if !common::is_root() {
        return;
    }
    let the_box = openrc();
    assert_eq!(looks(&the_box), "openrc-init: OpenrcCtl");
    is_taken_over(the_box, "openrc-init");
}

#[test]
fn an_init_that_executes_nothing_is_made_to_by_ptrace() {
    if !common::is_root() {
        return;
    }
    for (setup, exec, comm, name) in stubborn_inits() {
        let the_box = stubborn_box(&setup, exec, comm);
        assert_eq!(looks(&the_box), format!("{name}: Ptrace"));
        is_taken_over(the_box, name);
    }
}

/// Stage one, which this init does not end, goes on for seconds when process 1 has much to wait for, such as watchdogs that somebody
/// has open.
#[test]
fn process_1_that_takes_its_time_does_not_have_to_begin_anew() {
    if !common::is_root() {
        return;
    }
    let [.., (setup, exec, comm, _)] = stubborn_inits();
    let mut the_box = stubborn_box(&setup, exec, comm);
    assert!(
        the_box
            .apply(&[&QUICK[..], &["pause_ms=7000"]].concat())
            .status
            .success()
    );
    let seen = the_box.until("work done, proof given: true");
    assert_eq!(
        seen.iter().filter(|line| *line == "pid one: up").count(),
        1,
        "{seen:#?}"
    );
    the_box.reboots();
}

/// The pid of stage one in the box, as its first report has it.
fn stage_one(seen: &[String]) -> String {
    let pid = seen
        .iter()
        .find_map(|line| line.strip_prefix("stage one: goes on as process "));
    pid.and_then(|rest| rest.split(',').next())
        .expect("reported")
        .to_owned()
}

/// After stage one has said that all is done nobody puts things back any more, and init knows of no other way.
#[test]
fn s84_stage_one_is_killed_after_its_last_word_and_the_box_is_taken_over_all_the_same() {
    if !common::is_root() {
        return;
    }
    let bookworm = || systemd("bookworm", &["libip4tc2", "libssl3"]);
    for (start, all) in [
        (&sysvinit as &dyn Fn() -> LittleBox, false),
        (&bookworm, false),
        // Its marker is respawned.
        (&sysvinit, true),
    ] {
        let mut the_box = start();
        let name = the_box.name.clone();
        let mut caller = the_box
            .command(&[], &["/box", "apply", &name, "grace_ms=8000", "exit_ms=1000"])
            .spawn()
            .expect("runs");
        let seen = the_box.until("caller: last line");
        let _ = caller.wait();
        let victims = if all { "-1".to_owned() } else { stage_one(&seen) };
        the_box.run(&[], &["/oldroot/bin/busybox", "kill", "-KILL", &victims]);
        the_box.until("work done, proof given: true");
        the_box.reboots();
    }
}

/// And before it: the caller puts everything back.
#[test]
fn s85_stage_one_is_killed_before_its_last_word() {
    if !common::is_root() {
        return;
    }
    let mut the_box = sysvinit();
    let before = the_box.mounts();
    signal("-STOP", the_box.init);
    let name = the_box.name.clone();
    let caller = the_box.command(&[], &["/box", "apply", &name]).spawn().expect("runs");
    let seen = the_box.until("RAM root is /");
    the_box.run(&[], &["/oldroot/bin/busybox", "kill", "-KILL", &stage_one(&seen)]);
    let output = caller.wait_with_output().expect("ends");
    signal("-CONT", the_box.init);
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(the_box.mounts(), before, "{output:?}");
    the_box.service_is_respawned();
    assert!(the_box.is_up());
    assert!(the_box.apply(&QUICK).status.success());
    the_box.until("work done, proof given: true");
    the_box.reboots();
}
