//! Stories with stand-ins for procd and upstart, see `inits/`.

mod common;

use common::boxes::{procd, upstart};
use common::{is_taken_over, looks, signal};

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
