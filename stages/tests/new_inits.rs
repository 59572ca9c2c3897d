//! Stories with the real busybox init of Debian's suites, from 1.30 (one variable for all signals) on.

mod common;

use common::{INITTAB, Kind, LittleBox, is_taken_over, unpacked};
use std::path::PathBuf;

/// Suite, where the program lies, and how its version begins. Nothing older is in the suites any more.
const SUITES: [(&str, &str, &str); 3] = [
    ("bullseye", "bin/busybox", "BusyBox v1.30.1"),
    ("bookworm", "bin/busybox", "BusyBox v1.35.0"),
    ("trixie", "usr/bin/busybox", "BusyBox v1.37.0"),
];

fn busybox(suite: &(&str, &str, &str)) -> PathBuf {
    let path = unpacked(suite.0, &["busybox-static"]).join(suite.1);
    let said = std::process::Command::new(&path).output().expect("it runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.starts_with(suite.2), "{said}");
    path
}

#[test]
fn s71_the_busybox_of_each_suite_is_taken_over() {
    if !common::is_root() {
        return;
    }
    for suite in &SUITES {
        let busybox = busybox(suite);
        for _ in 0..5 {
            let kind = Kind {
                busybox: Some(&busybox),
                ..Kind::default()
            };
            is_taken_over(LittleBox::of(&kind), suite.0);
        }
    }
}

/// The stand-ins have the same answers for the versions before (`old_inits.rs`).
#[test]
fn s72_a_bare_hup_and_quit_works_from_1_32_on() {
    if !common::is_root() {
        return;
    }
    for (suite, expected) in SUITES.iter().zip(["neither", "new", "new"]) {
        let busybox = busybox(suite);
        let the_box = LittleBox::of(&Kind {
            busybox: Some(&busybox),
            ..Kind::default()
        });
        assert_eq!(the_box.restarts_after_bare_signals(), expected, "{}", suite.0);
    }
}

#[test]
fn s73_started_during_sysinit_it_is_refused_and_works_later() {
    if !common::is_root() {
        return;
    }
    let inittab = format!("::sysinit:/bin/sleep 600\n{INITTAB}");
    for suite in &SUITES {
        let busybox = busybox(suite);
        let mut the_box = LittleBox::of(&Kind {
            inittab: Some(&inittab),
            busybox: Some(&busybox),
            serves: false,
            ..Kind::default()
        });
        the_box.runs("/bin/sleep 600");
        let before = the_box.mounts();
        let output = the_box.apply(&["arm_s=2"]);
        assert_eq!(output.status.code(), Some(71), "{output:?}");
        the_box.until("everything is as it was");
        assert_eq!(the_box.mounts(), before);
        the_box.ends("/bin/sleep 600");
        the_box.wait_until("the service starts", |this| this.service().is_some());
        is_taken_over(the_box, suite.0);
    }
}

/// A root that nothing can be written to, with an inittab on it; and one with no place for a directory anywhere.
#[test]
fn s74_the_root_is_read_only() {
    if !common::is_root() {
        return;
    }
    let inittab = INITTAB.replace(
        "::respawn:/bin/sh /etc/service",
        "::respawn:/bin/sh -c 'while :; do sleep 1; done'",
    );
    let bare = "/bin/umount /run; /bin/umount /mnt/data/deep; /bin/umount /mnt/data; /bin/busybox rmdir /mnt/data";
    for (dev_is_mounted, last) in [(true, "true"), (false, bare)] {
        let the_box = LittleBox::of(&Kind {
            inittab: Some(&inittab),
            dev_is_mounted,
            serves: false,
            setup: "echo started >tmp/service",
            last: &format!("{last}; /bin/mount -o remount,ro /"),
            ..Kind::default()
        });
        assert!(std::fs::write(the_box.root().join("etc/inittab"), "").is_err());
        is_taken_over(the_box, last);
    }
}
