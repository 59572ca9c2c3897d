//! `poll` and an update whose name comes again: forced, canceled and wanted all the same, with another file in it.

use crate::ddi::{Ddi, boots, poll, polled_box, status};
use crate::hawkbit::Status;
use crate::simbox::{Run, SimBox, bytes};
use serde_json::json;
use std::fs;

const MIB: usize = 1 << 20;
const SECOND: &str = "22222222-0000-0000-0000-000000000000";
const THIRD: &str = "33333333-0000-0000-0000-000000000000";

/// Polls once, and says how it ended.
fn polled(sim: &SimBox, ddi: &Ddi) -> (i32, String, Run) {
    let run = poll(sim, &ddi.url(), &[]);
    let code = run.json()["code"].as_str().unwrap().to_owned();
    (run.exit, code, run)
}

fn ends(sim: &SimBox, ddi: &Ddi, code: &str) {
    let (_, ended, run) = polled(sim, ddi);
    assert_eq!(ended, code, "{run:?}");
}

fn holds(sim: &SimBox, image: &[u8]) -> bool {
    sim.flash()[0x50000..][..image.len()] == *image
}

fn attempt(sim: &SimBox) -> u64 {
    let kept = sim.run("status", &["--format", "json"]).exits(0).json();
    kept["action"]["attempt"].as_u64().unwrap()
}

/// hawkBit forces an update that it has wanted already: it is the same one, and its tries go on being counted.
#[test]
fn one_that_is_forced_while_it_waits_is_the_same_update() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 90);
    ddi.hawkbit(|server| server.assign(7, &[ddi.artifact("image.bin", &image)]));
    ddi.does("/files/image.bin", status("503 Service Unavailable"));
    for attempts in 1..=2 {
        ends(&sim, &ddi, "image-unreadable");
        assert_eq!(attempt(&sim), attempts);
        ddi.hawkbit(|server| server.force(7));
    }
    ddi.says("/files/image.bin", image.as_slice());
    ends(&sim, &ddi, "written");
    assert_eq!(attempt(&sim), 3);
    boots(&sim, SECOND);
    ends(&sim, &ddi, "settled");
    ddi.hawkbit(|server| assert_eq!(server.status(7), Status::Finished));
    ends(&sim, &ddi, "idle");
}

/// What is written is not canceled, and so hawkBit goes on with it.
#[test]
fn one_that_could_not_be_canceled_ends_as_it_would_have() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 91);
    ddi.hawkbit(|server| server.assign(7, &[ddi.artifact("image.bin", &image)]));
    ends(&sim, &ddi, "written");
    ddi.hawkbit(|server| server.set(7, Status::Canceling));
    ends(&sim, &ddi, "idle");
    ddi.hawkbit(|server| assert_eq!(server.status(7), Status::Running));
    ends(&sim, &ddi, "waiting");
    boots(&sim, SECOND);
    ends(&sim, &ddi, "settled");
    ddi.hawkbit(|server| assert_eq!(server.status(7), Status::Finished));
    assert_eq!(ddi.count("GET", "/files/"), 1);
}

/// At hawkBit a canceled update is gone, and a new one has another name; another server may want it again under the old one.
#[test]
fn one_that_was_canceled_is_done_when_it_is_wanted_all_the_same() {
    for idle in [true, false] {
        let ddi = Ddi::new();
        let sim = polled_box();
        let before = sim.flash();
        let image = bytes(MIB, 92);
        let artifacts = [ddi.artifact("image.bin", &image)];
        ddi.hawkbit(|server| server.assign(7, &artifacts));
        ddi.when("/files/image.bin", |server| server.set(7, Status::Canceling));
        ends(&sim, &ddi, "canceled");
        assert!(sim.flash() == before);
        ddi.hawkbit(|server| assert_eq!(server.status(7), Status::Canceled));
        if idle {
            ends(&sim, &ddi, "idle");
        }
        ddi.hawkbit(|server| server.assign(7, &artifacts));
        ends(&sim, &ddi, "written");
        assert_eq!(attempt(&sim), if idle { 1 } else { 2 });
        boots(&sim, SECOND);
        ends(&sim, &ddi, "settled");
        assert_eq!(ddi.last().2, "success");
    }
}

/// A server may still name the update that it asks to cancel.
#[test]
fn one_that_was_just_canceled_is_not_begun() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let before = sim.flash();
    ddi.deploys("7", &[ddi.artifact("image.bin", &bytes(MIB, 95))]);
    ddi.cancels("7");
    let both = ["cancelAction", "deploymentBase"].map(|kind| (kind.to_owned(), ddi.link(&format!("{kind}/7"))));
    ddi.wants(serde_json::Value::Object(both.into_iter().collect()));
    ends(&sim, &ddi, "canceled");
    assert_eq!(ddi.told("cancelAction/7").pop().unwrap().2, "success");
    assert!(sim.flash() == before && ddi.count("GET", "/files/") == 0);
}

/// Nobody asks to cancel it: it is gone, which what is told of it is answered with.
#[test]
fn one_that_the_server_has_given_up_meanwhile_touches_nothing() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let before = sim.flash();
    ddi.hawkbit(|server| server.assign(7, &[ddi.artifact("image.bin", &bytes(MIB, 93))]));
    ddi.when("/files/image.bin", |server| server.set(7, Status::Canceled));
    let (exit, code, run) = polled(&sim, &ddi);
    assert_eq!((exit, code.as_str()), (68, "server"), "{run:?}");
    assert!(run.out.contains("410"), "{run:?}");
    assert_eq!(run.json()["harm"], "untouched");
    assert!(sim.flash() == before);
    ends(&sim, &ddi, "idle");
}

/// A flash that a try has left half written is better off with the update than without.
#[test]
fn one_that_has_changed_the_flash_is_not_canceled_whatever_came_of_it() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 94);
    ddi.hawkbit(|server| server.assign(7, &[ddi.artifact("image.bin", &image)]));
    ends(&sim, &ddi, "written");
    let path = sim.path().join("status.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    kept["result"] = "failed".into();
    kept["harm"] = "partly".into();
    kept["code"] = "flash".into();
    fs::write(&path, kept.to_string()).unwrap();
    sim.fill(&vec![0xff; sim.flash().len()]);
    ddi.hawkbit(|server| server.set(7, Status::Canceling));
    ends(&sim, &ddi, "idle");
    let (text, execution, _) = ddi.told("cancelAction/7").pop().unwrap();
    assert_eq!(execution, "rejected", "{text}");
    // Nor while the next try goes on.
    ddi.when("/files/image.bin", |server| server.set(7, Status::Canceling));
    ends(&sim, &ddi, "written");
    assert!(holds(&sim, &image));
    assert_eq!(ddi.told("cancelAction/7").pop().unwrap().1, "rejected");
}

/// A server that has heard of a failure, and wants the same update later, is told by somebody to do so.
#[test]
fn one_that_failed_for_good_is_tried_anew_when_it_is_forced_later() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 95);
    let artifacts = [ddi.artifact("image.bin", &image)];
    ddi.hawkbit(|server| server.assign(7, &artifacts));
    ddi.does("/files/image.bin", status("503 Service Unavailable"));
    for _ in 1..=3 {
        ends(&sim, &ddi, "image-unreadable");
    }
    ddi.hawkbit(|server| assert_eq!(server.status(7), Status::Error));
    // A server that wants it still has not heard.
    ddi.hawkbit(|server| server.assign(7, &artifacts));
    ends(&sim, &ddi, "settled");
    assert_eq!(ddi.last().2, "failure");
    ends(&sim, &ddi, "idle");
    ddi.says("/files/image.bin", image.as_slice());
    ddi.hawkbit(|server| server.assign(7, &artifacts));
    ends(&sim, &ddi, "written");
    assert_eq!(attempt(&sim), 1);
    boots(&sim, SECOND);
    ends(&sim, &ddi, "settled");
    assert_eq!(ddi.last().2, "success");
}

/// That it ran once says nothing of the flash as it is now.
#[test]
fn one_that_runs_is_compared_with_the_flash_when_it_is_forced_later() {
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 96);
    let artifacts = [ddi.artifact("image.bin", &image)];
    ddi.hawkbit(|server| server.assign(7, &artifacts));
    ends(&sim, &ddi, "written");
    boots(&sim, SECOND);
    ends(&sim, &ddi, "settled");
    ends(&sim, &ddi, "idle");
    ddi.hawkbit(|server| server.assign(7, &artifacts));
    ends(&sim, &ddi, "nothing-to-do");
    assert_eq!(ddi.last().2, "success");
    ends(&sim, &ddi, "idle");
    sim.fill(&vec![0xff; sim.flash().len()]);
    ddi.hawkbit(|server| server.assign(7, &artifacts));
    ends(&sim, &ddi, "written");
    assert!(holds(&sim, &image));
}

/// A server that was set up anew counts from the beginning, and a module may get another file.
#[test]
fn a_name_that_comes_with_another_file_is_another_update() {
    for name in ["image.bin", "other.bin"] {
        let ddi = Ddi::new();
        let sim = polled_box();
        let (first, second) = (bytes(MIB, 97), bytes(MIB, 98));
        ddi.hawkbit(|server| server.assign(7, &[ddi.artifact("image.bin", &first)]));
        ends(&sim, &ddi, "written");
        ddi.hawkbit(|server| server.assign(7, &[ddi.artifact(name, &second)]));
        // It has to boot the first one.
        ends(&sim, &ddi, "waiting");
        boots(&sim, SECOND);
        ends(&sim, &ddi, "written");
        assert!(holds(&sim, &second));
        ends(&sim, &ddi, "waiting");
        assert!(ddi.told("deploymentBase/7").iter().all(|told| told.2 != "success"));
        boots(&sim, THIRD);
        ends(&sim, &ddi, "settled");
        assert_eq!(ddi.last().2, "success");
    }
    // Nor is a failure of the other file its failure.
    let ddi = Ddi::new();
    let sim = polled_box();
    let image = bytes(MIB, 99);
    let right = ddi.artifact("image.bin", &image);
    let mut wrong = right.clone();
    wrong["hashes"]["sha256"] = json!("0".repeat(64));
    ddi.hawkbit(|server| server.assign(7, &[wrong]));
    ends(&sim, &ddi, "sha256");
    ddi.hawkbit(|server| server.assign(7, &[right]));
    ends(&sim, &ddi, "written");
}
