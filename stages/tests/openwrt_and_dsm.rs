//! Stories with stand-ins for procd and upstart, see `inits/`.

mod common;

use common::{Kind, LittleBox, signal, stand_in};

const QUICK: [&str; 2] = ["grace_ms=50", "exit_ms=1000"];

/// A box whose init is procd with these manners.
fn procd(words: &str) -> LittleBox {
    LittleBox::of(&Kind {
        init: Some(&stand_in("procd")),
        setup: "echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd; mv sbin/init sbin/procd; ln -s procd sbin/init; \
                rm dev/console; touch dev/console",
        exec: &format!("/sbin/procd {words}"),
        comm: "procd",
        ..Kind::default()
    })
}

fn upstart() -> LittleBox {
    LittleBox::of(&Kind {
        init: Some(&stand_in("upstart")),
        ..Kind::default()
    })
}

fn looks(the_box: &LittleBox) -> String {
    let output = the_box.run(&[], &["/box", "look"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn is_taken_over(mut the_box: LittleBox, story: &str) {
    let output = the_box.apply(&QUICK);
    assert!(output.status.success(), "{story}: {output:?}");
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

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

/// Between the question and the proof it falls asleep.
#[test]
fn a_start_that_procd_does_not_answer_is_undone() {
    if !common::is_root() {
        return;
    }
    for words in ["", "novalidator"] {
        let mut the_box = procd(words);
        let before = the_box.mounts();
        let name = the_box.name.clone();
        let caller = the_box
            .command(&[], &["/box", "apply", &name, "arm_s=1"])
            .spawn()
            .expect("runs");
        the_box.until("RAM root is /");
        signal("-STOP", the_box.init);
        let output = caller.wait_with_output().expect("ends");
        signal("-CONT", the_box.init);
        // It may have answered before it was stopped; then the box is on its way.
        if output.status.code() == Some(71) {
            assert_eq!(the_box.mounts(), before, "{output:?}");
            the_box.service_is_respawned();
        }
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
