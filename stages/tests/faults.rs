//! Every system call of stage one fails once, and the box goes on as if nothing had been tried.
//!
//! strace puts the errors in: `when=N` is the Nth call of each process, so the caller and the stage-one child both meet it.

mod common;

use common::LittleBox;

/// Calls that nsenter makes too (chdir, clone) are left out: it would meet the error first.
///
/// The call, the error, and up to which N it is tried. A run in which the injection no longer meets anything takes over.
const CALLS: [(&str, &str, u32); 7] = [
    ("pivot_root", "EINVAL", 2),
    ("mount", "EIO", 6),
    ("mknodat,mknod", "EPERM", 12),
    ("kill", "EPERM", 2),
    ("mkdir,mkdirat", "ENOSPC", 10),
    ("link,linkat", "EIO", 2),
    ("write", "ENOSPC", 12),
];

#[test]
fn every_failed_call_before_the_hand_over_is_undone() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    let before = the_box.mounts();
    let (mut undone, mut taken) = (0, 0);
    for (calls, error, last) in CALLS {
        for n in 1..=last {
            let inject = format!("inject={calls}:error={error}:when={n}");
            // strace tells of the injection on its standard error, which `-o` leaves to the box program.
            let log = std::env::temp_dir().join(format!("{}.strace", the_box.name));
            let log_path = log.display().to_string();
            let before_nsenter = [
                "strace",
                "-f",
                "-qq",
                "-o",
                &log_path,
                "-e",
                &format!("trace={calls}"),
                "-e",
                &inject,
            ];
            let name = the_box.name.clone();
            the_box.forget_reports();
            let output = the_box.run(&before_nsenter, &["/box", "apply", &name, "arm_s=8"]);
            let met = std::fs::read_to_string(&log).is_ok_and(|text| text.contains("(INJECTED)"));
            let _ = std::fs::remove_file(&log);
            let case = format!("{calls} {error} when={n}: {output:?}");
            if output.status.success() {
                taken += 1;
                println!("taken over: {case}");
                the_box.until("proof given: true");
                the_box.reboots();
                the_box = LittleBox::start();
                if !met {
                    break;
                }
            } else {
                undone += 1;
                println!("undone: {}", String::from_utf8_lossy(&output.stderr).trim());
                assert!(met, "it failed by itself: {case}");
                assert!(
                    !String::from_utf8_lossy(&output.stderr).contains("not undone"),
                    "{case}"
                );
                the_box.wait_until(&format!("the mounts are as before after {case}"), |this| {
                    let now = this.mounts();
                    if now != before {
                        println!("{now:#?}");
                    }
                    now == before
                });
                assert!(!the_box.root().join("run/flasher").exists(), "{case}");
            }
        }
        the_box.service_is_respawned();
        assert!(the_box.is_up());
    }
    println!("{undone} undone, {taken} taken over");
    assert!(undone >= 15, "only {undone} faults were met");
}
