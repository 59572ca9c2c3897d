//! Stories with the inits of other people, real ones from Debian's packages.

mod common;

use common::{Kind, LittleBox, QUICK, is_taken_over, looks, signal, unpacked};

const SYSVINIT: &str = "\
id:2:initdefault:
si::sysinit:/bin/true
sv:2:respawn:/bin/sh /etc/service
ca:12345:ctrlaltdel:/bin/reboot
";

/// What makes the unpacked packages the root of a box.
fn laid_over(suite: &str, packages: &[&str]) -> String {
    let tree = unpacked(suite, packages);
    format!("cp -a --remove-destination {}/. .; rm .complete", tree.display())
}

fn sysvinit() -> LittleBox {
    LittleBox::of(&Kind {
        inittab: Some(SYSVINIT),
        setup: &laid_over("bookworm", &["sysvinit-core", "libselinux1", "libpcre2-8-0", "libc6"]),
        ..Kind::default()
    })
}

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

/// systemd and the libraries it is linked with, and those that have other names in trixie.
const SYSTEMD: [&str; 22] = [
    "systemd",
    "libsystemd-shared",
    "libseccomp2",
    "libpam0g",
    "libaudit1",
    "libkmod2",
    "libapparmor1",
    "libselinux1",
    "libmount1",
    "libacl1",
    "libblkid1",
    "libcap2",
    "libcrypt1",
    "libgcrypt20",
    "liblz4-1",
    "libzstd1",
    "liblzma5",
    "libcap-ng0",
    "libpcre2-8-0",
    "libgpg-error0",
    "libgcc-s1",
    "libc6",
];

/// In a container systemd needs to be told that it is in one, and a console that does not wait for a reader.
fn systemd(suite: &str, others: &[&str]) -> LittleBox {
    let setup = format!(
        "{}; [ -e lib ] || ln -s usr/lib lib; [ -e lib64 ] || ln -s usr/lib64 lib64; mkdir -p etc/systemd/system var/log; echo flasher-box >etc/machine-id; \
         printf '[Unit]\nDefaultDependencies=no\nWants=service.service\n' >etc/systemd/system/default.target; \
         printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sh /etc/service\nRestart=always\n' \
         >etc/systemd/system/service.service; \
         mount -t cgroup2 cgroup2 sys/fs/cgroup; rm dev/console; touch dev/console",
        laid_over(suite, &[&SYSTEMD, others].concat())
    );
    let mut the_box = LittleBox::of(&Kind {
        inittab: None,
        setup: &setup,
        unshare: &["--cgroup"],
        exec: "/bin/busybox env container=box /lib/systemd/systemd",
        comm: "systemd",
        serves: false,
        ..Kind::default()
    });
    the_box.wait_until("the service starts", |this| {
        std::fs::read_to_string(this.root().join("tmp/service")).is_ok_and(|text| text.ends_with('\n'))
    });
    the_box
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
    let openrc = laid_over(
        "bookworm",
        &[
            "openrc",
            "libeinfo1",
            "librc1",
            "libaudit1",
            "libcap-ng0",
            "libselinux1",
            "libpam0g",
            "libpcre2-8-0",
            "libc6",
        ],
    );
    let mut the_box = LittleBox::of(&Kind {
        inittab: None,
        // In place of its scripts, a service.
        setup: &format!(
            "{openrc}; {SERVE}; rm -f sbin/openrc; printf '#!/bin/sh\n/bin/busybox mkdir -p /run/openrc; sh /serve >/dev/null 2>&1 &\n' >sbin/openrc; \
             chmod 755 sbin/openrc; rm dev/console; touch dev/console"
        ),
        exec: "/sbin/openrc-init",
        comm: "openrc-init",
        serves: false,
        ..Kind::default()
    });
    the_box.wait_until("its FIFO is there", |this| {
        this.root().join("run/openrc/init.ctl").exists()
    });
    assert_eq!(looks(&the_box), "openrc-init: OpenrcCtl");
    is_taken_over(the_box, "openrc-init");
}

/// Inits that execute nothing by themselves: how each is set up, started and called.
fn stubborn() -> [(String, &'static str, &'static str, &'static str); 3] {
    let runit = format!(
        "{}; mkdir -p etc/runit; printf '#!/bin/sh\nexit 0\n' >etc/runit/1; \
         printf '#!/bin/sh\nexec /bin/sh /serve\n' >etc/runit/2; chmod 755 etc/runit/1 etc/runit/2",
        laid_over("bookworm", &["runit", "libc6"])
    );
    let s6 = format!(
        "{}; mkdir -p service/a; printf '#!/bin/sh\nexec /bin/sh /serve\n' >service/a/run; chmod 755 service/a/run",
        laid_over(
            "bookworm",
            &["s6", "libskarnet2.13", "libs6-2.11", "libexecline2.9", "libc6"]
        )
    );
    let shell = "printf '#!/bin/sh\nsh /serve & while :; do sleep 1; done\n' >init; chmod 755 init".to_owned();
    [
        (runit, "/sbin/runit", "runit", "runit"),
        (s6, "/usr/bin/s6-svscan /service", "s6-svscan", "s6"),
        (shell, "/init", "init", "busybox sh"),
    ]
}

/// Debian's runit has something else at `/etc/service`.
const SERVE: &str = "echo 'while :; do echo $$ >/tmp/service; sleep 1; done' >serve";

fn stubborn_box(setup: &str, exec: &str, comm: &str) -> LittleBox {
    let mut the_box = LittleBox::of(&Kind {
        inittab: None,
        // Not one that waits for a reader.
        setup: &format!("{setup}; {SERVE}; rm dev/console; touch dev/console"),
        exec,
        comm,
        serves: false,
        ..Kind::default()
    });
    the_box.wait_until("the service starts", |this| {
        std::fs::read_to_string(this.root().join("tmp/service")).is_ok_and(|text| text.ends_with('\n'))
    });
    the_box
}

#[test]
fn an_init_that_executes_nothing_is_made_to_by_ptrace() {
    if !common::is_root() {
        return;
    }
    for (setup, exec, comm, name) in stubborn() {
        let the_box = stubborn_box(&setup, exec, comm);
        assert_eq!(looks(&the_box), format!("{name}: Ptrace"));
        is_taken_over(the_box, name);
    }
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
