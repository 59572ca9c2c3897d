//! Stories with stand-ins for procd and upstart, see `inits/`.

mod common;

use common::boxes::{procd, upstart};
use common::{LittleBox, is_taken_over, looks, signal};
use std::process::Child;

#[test]
fn procd_of_each_age_executes_us_when_ubus_tells_it_to() {
    if !common::is_root() {
        return;
    }
    for words in [
        "",
        "early",
        "novalidator",
        "novalidator early",
        "order novalidator early",
        "interrupted",
        "interrupted early",
        "busdies",
        "busdies novalidator",
    ] {
        let the_box = procd(words);
        assert_eq!(looks(&the_box), "procd: Ubus", "{words}");
        is_taken_over(the_box, words);
    }
}

/// A method that is only listed, and a bus that answers nothing: the last resort.
#[test]
fn procd_that_serves_nothing_is_made_to_by_ptrace() {
    if !common::is_root() {
        return;
    }
    for words in ["unserved", "hung"] {
        let the_box = procd(words);
        assert_eq!(looks(&the_box), "procd: Ptrace", "{words}");
        is_taken_over(the_box, words);
    }
}

/// It says what it serves, and answers nothing when it is really asked.
#[test]
fn a_start_that_procd_does_not_answer_is_undone() {
    if !common::is_root() {
        return;
    }
    for words in ["deaf", "deaf novalidator"] {
        let mut the_box = procd(words);
        assert_eq!(looks(&the_box), "procd: Ubus", "{words}");
        let before = the_box.mounts();
        let output = the_box.apply(&["arm_s=1"]);
        assert_eq!(output.status.code(), Some(71), "{words}: {output:?}");
        the_box.until("everything is as it was");
        assert_eq!(the_box.mounts(), before, "{words}: {output:?}");
        the_box.service_is_respawned();
        assert!(the_box.is_up(), "{words}");
    }
}

/// What it is told too late it does in the old root, where nothing of ours is, and it keeps no service of ours.
#[test]
fn procd_that_acts_too_late_has_nothing_left_of_us() {
    if !common::is_root() {
        return;
    }
    for words in ["late", "late novalidator"] {
        let mut the_box = procd(words);
        let before = the_box.mounts();
        let output = the_box.apply(&["arm_s=1"]);
        assert_eq!(output.status.code(), Some(71), "{words}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("of the new root within 5 s of being told"),
            "{words}: {said}"
        );
        the_box.until("everything is as it was");
        the_box.service_is_respawned();
        assert_eq!(the_box.mounts(), before, "{words}");
        assert!(!the_box.root().join("tmp/added").exists(), "{words}");
        assert!(!the_box.root().join("tmp/shut-down").exists(), "{words}");
        assert_eq!(looks(&the_box), "procd: Ubus", "{words}");
        the_box.forget_reports();
        is_taken_over(the_box, words);
    }
}

#[test]
fn upstart_executes_us_in_its_own_place() {
    if !common::is_root() {
        return;
    }
    let the_box = upstart();
    assert_eq!(looks(&the_box), "upstart: Upstart");
    is_taken_over(the_box, "upstart");
}

#[test]
fn upstart_that_sleeps_is_left_as_it_was() {
    if !common::is_root() {
        return;
    }
    let mut the_box = upstart();
    let before = the_box.mounts();
    signal("-STOP", the_box.init);
    let output = the_box.apply(&["arm_s=1"]);
    signal("-CONT", the_box.init);
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("did not take SIGUSR1 within 1 s"), "{said}");
    assert_eq!(the_box.mounts(), before);
    the_box.service_is_respawned();
    is_taken_over(the_box, "upstart that awoke");
}

/// A takeover that rests for a while between the pivot and what it says to init then.
fn slow_after_pivot(the_box: &mut LittleBox) -> Child {
    let name = the_box.name.clone();
    let delay = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=pivot_root:delay_exit=4000000",
    ];
    let apply = ["/box", "apply", &name, "grace_ms=50", "exit_ms=1000"];
    let child = the_box.command(&delay, &apply).spawn().expect("runs");
    the_box.wait_until("the RAM root is /", |this| this.root().join("oldroot/box").exists());
    child
}

/// Killed between the pivot and the last word: the caller puts everything back.
#[test]
fn stage_one_is_killed_in_the_new_root() {
    if !common::is_root() {
        return;
    }
    let novalidator = || procd("novalidator early");
    let current = || procd("");
    for start in [&current as &dyn Fn() -> LittleBox, &novalidator, &upstart] {
        let mut the_box = start();
        let story = looks(&the_box);
        let before = the_box.mounts();
        let caller = slow_after_pivot(&mut the_box);
        let seen = the_box.until("goes on as process");
        let pid = seen
            .last()
            .and_then(|line| line.split("process ").nth(1)?.split(',').next())
            .expect("reported");
        the_box.run(&[], &["/oldroot/bin/busybox", "kill", "-KILL", pid]);
        let output = caller.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(71), "{story}: {output:?}");
        the_box.service_is_respawned();
        assert_eq!(the_box.mounts(), before, "{story}");
        assert!(!the_box.root().join("tmp/added").exists(), "{story}");
        the_box.forget_reports();
        is_taken_over(the_box, &story);
    }
}

/// A service that ends between the pivot and the last word is started in the new root, in vain. That changes nothing.
#[test]
fn a_service_ends_in_the_new_root() {
    if !common::is_root() {
        return;
    }
    let current = || procd("");
    for start in [&current as &dyn Fn() -> LittleBox, &upstart] {
        let mut the_box = start();
        let caller = slow_after_pivot(&mut the_box);
        the_box.ends("/bin/sh /etc/service");
        let output = caller.wait_with_output().expect("ends");
        assert!(output.status.success(), "{output:?}");
        the_box.until("work done, proof given: true");
        the_box.reboots();
    }
}
