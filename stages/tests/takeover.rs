//! Stories of the takeover, with the real init of busybox.

mod common;

use common::{Kind, LittleBox, PAUSE, STAYS, signal};
use std::time::Duration;

/// Everything the box reported, in the order of the list and with others between.
fn in_order(seen: &[String], wanted: &[&str]) {
    let mut rest = seen.iter();
    for text in wanted {
        assert!(
            rest.any(|line| line.contains(text)),
            "{text:?} is missing or late in:\n{}",
            seen.join("\n")
        );
    }
}

#[test]
fn s01_init_hands_over_and_the_old_root_is_proved_gone() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    let output = the_box.apply(&[]);
    assert!(output.status.success(), "{output:?}");
    let seen = the_box.until("peak:");
    println!("{}", seen.join("\n"));
    in_order(
        &seen,
        &[
            "stage one: goes on as process",
            "stage one: the RAM root is / now, /proc /sys /dev carried over",
            "asked to re-read",
            "init re-read its inittab after",
            "hands over now",
            "caller: last line",
            "pid one: up",
            "stage two: flasher is PID 1",
            "/oldroot/mnt/data/deep unmounted",
            "/oldroot/mnt/data unmounted",
            "/oldroot unmounted",
            "proved gone",
            "work done, proof given: true",
        ],
    );
    let mounts = seen.iter().find(|line| line.starts_with("mounts:")).expect("reported");
    assert!(!mounts.contains("thebox") && !mounts.contains("oldroot"), "{mounts}");
    assert!(
        seen.iter()
            .any(|line| line.starts_with("open: /dev/console /dev/console /dev/console")),
        "{seen:?}"
    );
    the_box.reboots();
}

#[test]
fn s02_device_nodes_on_the_old_root_do_not_matter() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::build(Some(common::INITTAB), false);
    assert!(the_box.apply(&[]).status.success());
    in_order(
        &the_box.until("work done, proof given: true"),
        &["/proc /sys carried over", "/oldroot unmounted"],
    );
    the_box.reboots();
}

#[test]
fn s03_a_box_without_an_inittab_is_taken_over_too() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::with_inittab(None);
    assert!(the_box.apply(&[]).status.success());
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

#[test]
fn s04_the_caller_is_killed_and_the_takeover_goes_on() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    // Slow enough to be met between the first event and the last.
    let mut caller = the_box
        .command(
            &[],
            &["/box", "apply", &the_box.name, "slow_ms=400", STAYS[0], STAYS[1]],
        )
        .spawn()
        .expect("runs");
    the_box.until("RAM root is /");
    let second = the_box.run(&[], &["/flasher", "apply", &the_box.name]);
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("being taken over already"),
        "{second:?}"
    );
    let pid = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", caller.id())).expect("read");
    // nsenter forks: the child is the caller proper. Both go, as with a session that is torn down.
    for pid in pid.split_whitespace().chain([caller.id().to_string().as_str()]) {
        let _ = std::process::Command::new("kill").args(["-KILL", pid]).status();
    }
    let _ = caller.wait();
    let seen = the_box.until("work done, proof given: true");
    assert!(!seen.iter().any(|line| line.contains("last line")), "{seen:?}");
    the_box.reboots();
}

#[test]
fn s05_a_process_that_holds_the_old_root_is_named_and_killed() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    assert!(the_box.apply(&[PAUSE]).status.success());
    the_box.until("pid one: up");
    // After init has killed everybody, so that stage three meets it.
    let script =
        "trap '' TERM; cd /oldroot/mnt; exec 5</oldroot/etc/service; while :; do /oldroot/bin/busybox sleep 1; done";
    let mut holder = the_box
        .command(&[], &["/oldroot/bin/busybox", "sh", "-c", script])
        .spawn()
        .expect("runs");
    // Its trap is set by then.
    the_box.runs("/oldroot/bin/busybox sleep 1");
    the_box.go();
    let seen = the_box.until("work done, proof given: true");
    in_order(&seen, &["stage three: ending", "stage three: killing", "proved gone"]);
    let _ = holder.wait();
    the_box.reboots();
}

#[test]
fn s06_a_holder_that_does_not_die_is_named_and_there_is_no_proof() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    assert!(the_box.apply(&[PAUSE]).status.success());
    the_box.until("pid one: up");
    let freezer = Freezer::new(&the_box.name);
    let mut holder = the_box.command(
        &[],
        &[
            "/oldroot/bin/busybox",
            "sh",
            "-c",
            "cd /oldroot/mnt; while :; do /oldroot/bin/busybox sleep 60; done",
        ],
    );
    let mut holder = holder.spawn().expect("runs");
    the_box.runs("/oldroot/bin/busybox sleep 60");
    freezer.freeze(holder.id());
    the_box.go();
    let seen = the_box.until("work done");
    println!("{}", seen.join("\n"));
    in_order(
        &seen,
        &[
            "cannot be killed",
            "/oldroot is in use by process",
            "no work done: /oldroot cannot be unmounted; held by process",
        ],
    );
    let named = "(busybox, in uninterruptible sleep), whose working directory is /oldroot/mnt";
    assert!(seen.last().is_some_and(|last| last.contains(named)), "{seen:?}");
    // Each is named once, not once a round.
    assert_eq!(seen.iter().filter(|line| line.contains("cannot be killed")).count(), 1);
    assert!(!seen.iter().any(|line| line.contains("proof given")));
    drop(freezer);
    let _ = holder.wait();
    the_box.reboots();
}

#[test]
fn s07_a_holder_out_of_sight_keeps_the_proof_away() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    assert!(the_box.apply(&[PAUSE]).status.success());
    the_box.until("pid one: up");
    // In the mount namespace, but not in the pid namespace: the box's /proc does not show it.
    let pid = the_box.init.to_string();
    let mut holder = std::process::Command::new("nsenter")
        .args(["-t", &pid, "-m", "-r", "/oldroot/bin/busybox", "sleep", "300"])
        .spawn()
        .expect("runs");
    let comm = format!("/proc/{}/comm", holder.id());
    the_box.wait_until("it runs", |_| {
        std::fs::read_to_string(&comm).is_ok_and(|comm| comm.trim() == "busybox")
    });
    the_box.go();
    let seen = the_box.until("work done");
    in_order(
        &seen,
        &["no work done: /oldroot cannot be unmounted; no process that we can see holds it"],
    );
    holder.kill().expect("killed");
    let _ = holder.wait();
    the_box.reboots();
}

#[test]
fn s08_init_that_does_not_listen_is_left_as_it_was() {
    if !common::is_root() {
        return;
    }
    // Before its wait action has ended, this busybox keeps SIGHUP pending.
    let inittab = format!("::respawn:/bin/sh /etc/service\n{}", common::INITTAB);
    let mut the_box = LittleBox::with_inittab(Some(&inittab));
    let before = the_box.mounts();
    // A stopped init answers to nothing; SIGSTOP from outside of its namespace does that.
    let init = the_box.init.to_string();
    let signal = |name: &str| {
        assert!(
            std::process::Command::new("kill")
                .args([name, &init])
                .status()
                .expect("runs")
                .success()
        )
    };
    signal("-STOP");
    let output = the_box.apply(&["arm_s=4"]);
    signal("-CONT");
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("InitSilent: init did not re-read its inittab within 4 s"),
        "{output:?}"
    );
    in_order(
        &the_box.until("everything is as it was"),
        &["attempt 2", "putting everything back"],
    );
    assert_eq!(the_box.mounts(), before);
    assert!(!the_box.root().join("run/flasher").exists());
    the_box.service_is_respawned();
    assert!(the_box.is_up());
    // And it can be taken over after all.
    assert!(the_box.apply(&[]).status.success());
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

#[test]
fn s09_a_restart_line_finds_a_prepared_root() {
    if !common::is_root() {
        return;
    }
    let inittab = common::INITTAB.replace("::restart:/sbin/init", "::restart:/box");
    let mut the_box = LittleBox::with_inittab(Some(&inittab));
    let output = the_box.run(&[], &["/box", "prepare", &the_box.name]);
    assert!(output.status.success(), "{output:?}");
    the_box.until("prepared, held by");
    the_box.run(&[], &["/bin/busybox", "kill", "-QUIT", "1"]);
    let seen = the_box.until("work done");
    in_order(&seen, &["pid one: up", "/oldroot unmounted", "proof given: true"]);
    the_box.reboots();
}

#[test]
fn s10_pid_one_with_nothing_to_do_boots_on() {
    if !common::is_root() {
        return;
    }
    let inittab = common::INITTAB.replace("::restart:/sbin/init", "::restart:/box");
    let mut the_box = LittleBox::with_inittab(Some(&inittab));
    std::fs::remove_file(the_box.root().join("tmp/service")).expect("removed");
    the_box.run(&[], &["/bin/busybox", "kill", "-QUIT", "1"]);
    // Its shutdown lines have made the root read-only, so the service cannot write; that init runs it is enough.
    the_box.wait_until("init is back and runs the service", |this| {
        let list = this.run(
            &[],
            &[
                "/bin/busybox",
                "sh",
                "-c",
                "mount -t proc proc /proc 2>/dev/null; cat /proc/[0-9]*/cmdline",
            ],
        );
        String::from_utf8_lossy(&list.stdout).contains("/etc/service")
    });
    assert!(the_box.is_up());
}

#[test]
fn s11_a_panic_of_pid_one_reboots_while_the_flash_is_whole() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    assert!(the_box.apply(&["panic=1"]).status.success());
    the_box.until("pid one: up");
    the_box.reboots();
}

/// What of the mounts of the box is shared with other namespaces.
fn shared_mounts(the_box: &LittleBox) -> Vec<String> {
    let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", the_box.init)).expect("readable");
    let shared = table.lines().filter(|line| line.contains(" shared:"));
    let mut mounts: Vec<String> = shared
        .filter_map(|line| line.split(' ').nth(4).map(str::to_owned))
        .collect();
    mounts.sort();
    mounts
}

/// As systemd has all mounts.
#[test]
fn mounts_that_were_shared_are_shared_when_everything_is_put_back() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::of(&Kind {
        last: "/bin/busybox mount --make-rshared /",
        ..Kind::default()
    });
    let (before, shared) = (the_box.mounts(), shared_mounts(&the_box));
    assert!(shared.iter().any(|path| path == "/mnt/data"), "{shared:?}");
    for killed in [false, true] {
        common::signal("-STOP", the_box.init);
        let caller = the_box
            .command(&[], &["/box", "apply", &the_box.name, "arm_s=3"])
            .spawn()
            .expect("runs");
        let seen = the_box.until("asked to re-read");
        if killed {
            let pid = seen[0].trim_start_matches("stage one: goes on as process ");
            let pid = pid.split(',').next().expect("a number");
            the_box.run(&[], &["/oldroot/bin/busybox", "kill", "-KILL", pid]);
        }
        let output = caller.wait_with_output().expect("ends");
        common::signal("-CONT", the_box.init);
        assert_eq!(output.status.code(), Some(71), "{output:?}");
        assert_eq!(the_box.mounts(), before, "{output:?}");
        assert_eq!(shared_mounts(&the_box), shared, "{output:?}");
        the_box.service_is_respawned();
        the_box.forget_reports();
    }
    assert!(the_box.apply(&[]).status.success());
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

#[test]
fn s12_stage_one_is_killed_and_the_caller_puts_everything_back() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    let before = the_box.mounts();
    let init = the_box.init.to_string();
    let signal = |name: &str| {
        assert!(
            std::process::Command::new("kill")
                .args([name, &init])
                .status()
                .expect("runs")
                .success()
        );
    };
    signal("-STOP");
    let caller = the_box
        .command(&[], &["/box", "apply", &the_box.name])
        .spawn()
        .expect("runs");
    let seen = the_box.until("asked to re-read");
    let pid = seen[0]
        .trim_start_matches("stage one: goes on as process ")
        .split(',')
        .next()
        .expect("a number")
        .to_owned();
    the_box.run(&[], &["/oldroot/bin/busybox", "kill", "-KILL", &pid]);
    let output = caller.wait_with_output().expect("ends");
    signal("-CONT");
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("StageOneDied"),
        "{output:?}"
    );
    assert_eq!(the_box.mounts(), before, "{output:?}");
    the_box.service_is_respawned();
    assert!(the_box.is_up());
}

/// A cgroup (v1) whose processes not even SIGKILL ends until they are thawed.
struct Freezer {
    dir: std::path::PathBuf,
}

impl Freezer {
    fn new(name: &str) -> Self {
        let dir = std::path::Path::new("/sys/fs/cgroup/freezer").join(name);
        std::fs::create_dir(&dir).expect(
            "this story needs the cgroup v1 freezer: mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer",
        );
        Self { dir }
    }

    /// Freezes a process and its children.
    fn freeze(&self, pid: u32) {
        let mut all = vec![pid.to_string()];
        while let Some(next) = all.pop() {
            let children = std::fs::read_to_string(format!("/proc/{next}/task/{next}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().map(str::to_owned));
            std::fs::write(self.dir.join("cgroup.procs"), &next).expect("moved");
        }
        std::fs::write(self.dir.join("freezer.state"), "FROZEN").expect("frozen");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.dir.join("freezer.state"), "THAWED");
        for _ in 0..50 {
            if std::fs::remove_dir(&self.dir).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A root as OpenWrt and others have it: a read-only lower file system, a writable one over it, both mounted below as well.
#[test]
fn s13_an_overlay_root_is_unmounted_with_what_lies_under_it() {
    if !common::is_root() {
        return;
    }
    let setup = "mkdir $PWD/l && rom=$PWD/l && mount -t tmpfs rom $rom && cp -a bin sbin etc box $rom/ && \
                 mkdir $rom/dev $rom/proc $rom/sys $rom/run $rom/tmp $rom/mnt $rom/rom $rom/overlay $rom/old && \
                 mount -o remount,ro $rom && up=$PWD/u && mkdir $up && mount -t tmpfs overlayfs $up && \
                 mkdir $up/upper $up/work && new=$PWD/n && mkdir $new && \
                 mount -t overlay overlay -o lowerdir=$rom,upperdir=$up/upper,workdir=$up/work $new && \
                 mount --move dev $new/dev && mount --move proc $new/proc && mount --move sys $new/sys && \
                 mount --move run $new/run && mount --move $rom $new/rom && mount --move $up $new/overlay && \
                 rmdir $rom $up && cd $new";
    let mut the_box = LittleBox::of(&common::Kind {
        setup,
        ..common::Kind::default()
    });
    assert!(
        the_box.mounts().iter().any(|line| line.starts_with("/ overlay")),
        "{:?}",
        the_box.mounts()
    );
    assert!(the_box.apply(&[]).status.success());
    in_order(
        &the_box.until("work done, proof given: true"),
        &["/oldroot/overlay unmounted", "/oldroot unmounted", "proved gone"],
    );
    the_box.reboots();
}

/// What told the old init to halt, to power off, to reboot or to start anew means nothing to PID 1 now.
#[test]
fn s14_signals_to_pid_one_make_no_difference() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    assert!(the_box.apply(&[PAUSE, "grace_ms=50"]).status.success());
    the_box.until("pid one: up");
    for name in [
        "-HUP", "-INT", "-QUIT", "-USR1", "-PIPE", "-USR2", "-TERM", "-TSTP", "-PWR", "-ALRM",
    ] {
        signal(name, the_box.init);
    }
    the_box.go();
    the_box.until("work done, proof given: true");
    the_box.reboots();
}

/// Leaves no byte free in the RAM root.
fn fill(the_box: &LittleBox) {
    let script = "b=/oldroot/bin/busybox; set -- $($b df -k / | $b tail -n 1); $b mount -o remount,size=${3}k /; \
                  echo x >/full; [ ! -s /full ]";
    let output = the_box.run(&[], &["/oldroot/bin/busybox", "sh", "-c", script]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn s15_the_ram_root_is_full_before_init_has_answered() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    let before = the_box.mounts();
    common::signal("-STOP", the_box.init);
    let caller = the_box
        .command(&[], &["/box", "apply", &the_box.name, "arm_s=10"])
        .spawn()
        .expect("runs");
    the_box.until("asked to re-read");
    fill(&the_box);
    common::signal("-CONT", the_box.init);
    let output = caller.wait_with_output().expect("ends");
    // The marker has no room to show itself.
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert_eq!(the_box.mounts(), before);
    the_box.service_is_respawned();
    assert!(the_box.is_up());
}

#[test]
fn s16_the_ram_root_is_full_when_init_hands_over() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    let mut caller = the_box
        .command(&[], &["/box", "apply", &the_box.name, STAYS[0], STAYS[1], STAYS[2]])
        .spawn()
        .expect("runs");
    the_box.until("hands over now");
    fill(&the_box);
    the_box.ends_caller();
    the_box.until("work done, proof given: true");
    the_box.reboots();
    let _ = caller.wait();
}

/// Names are bytes: a mount, a file that is open there and a process that are called by none of UTF-8's.
#[test]
fn s17_names_that_are_no_text_are_unmounted_and_shown_quoted() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::of(&common::Kind {
        setup: "odd=$(printf 'mnt/M\\374ller\\033'); mkdir $odd; mount -t tmpfs odd $odd; mkdir $odd/in; mount -t tmpfs in $odd/in; \
                name=$(printf 'bin/z\\374\\033'); printf '#!/bin/sh\\ncd /mnt/M*; while :; do sleep 1; done\\n' >$name; \
                chmod 755 $name",
        last: "/bin/z* & true",
        ..common::Kind::default()
    });
    assert!(the_box.apply(&[]).status.success());
    let seen = the_box.until("work done, proof given: true");
    in_order(
        &seen,
        &[
            r#""/oldroot/mnt/M\xfcller\u{1b}/in" unmounted"#,
            r#""/oldroot/mnt/M\xfcller\u{1b}" unmounted"#,
            "/oldroot unmounted",
            "proved gone",
        ],
    );
    assert!(!seen.iter().any(|line| line.contains('\u{1b}')), "{seen:?}");
    the_box.reboots();
}

/// Programs of the box serve file systems, and have stopped: whoever asks them for anything waits for ever.
#[test]
fn s18_what_a_program_served_that_has_stopped_is_unmounted() {
    if !common::is_root() || !std::path::Path::new("/dev/fuse").exists() {
        return;
    }
    let setup = format!(
        "cp {} served; mknod dev/fuse c 10 229; mkdir mnt/served mnt/gone",
        common::stand_in("served").display()
    );
    let mut the_box = LittleBox::of(&common::Kind {
        setup: &setup,
        last: "/served /mnt/served; /served /mnt/gone; /bin/busybox umount -l /mnt/gone",
        ..common::Kind::default()
    });
    assert!(the_box.mounts().iter().any(|mount| mount.contains("/mnt/served fuse")));
    assert!(the_box.apply(&[]).status.success());
    let seen = the_box.until("work done, proof given: true");
    in_order(
        &seen,
        &["/oldroot/mnt/served unmounted", "/oldroot unmounted", "proved gone"],
    );
    the_box.reboots();
}

/// The program itself lies where the RAM root would be mounted, on a box that has no other place in RAM.
#[test]
fn a_program_at_the_name_of_the_ram_root_is_not_in_its_way() {
    if !common::is_root() {
        return;
    }
    let setup = "umount run; rmdir run; cp box tmp/flasher; : >mnt/keep";
    let kind = Kind {
        setup,
        ..Kind::default()
    };
    let mut the_box = LittleBox::of(&kind);
    let before = the_box.mounts();
    let name = the_box.name.clone();
    let output = the_box.run(&[], &["/tmp/flasher", "apply", &name, "arm_s=0"]);
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("not undone"), "{said}");
    assert_eq!(the_box.mounts(), before);
    let output = the_box.run(&[], &["/tmp/flasher", "apply", &name]);
    assert!(output.status.success(), "{output:?}");
    the_box.until("proof given: true");
    the_box.reboots();
}

/// Init ends everybody, but not before the caller has said its last word and ended by itself.
#[test]
fn a_caller_that_takes_its_time_ends_with_its_last_line() {
    if !common::is_root() {
        return;
    }
    let mut the_box = LittleBox::start();
    let output = the_box.apply(&["last_ms=2000", "exit_ms=30000"]);
    assert!(output.status.success(), "{output:?}");
    let seen = the_box.until("proof given: true");
    in_order(&seen, &["hands over now", "caller: last line", "pid one: up"]);
    the_box.reboots();
}
